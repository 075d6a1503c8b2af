"""Building blocks of grammars in llguidance's Lark: tags, text, JSON. Knows vocabularies, no tools."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llguidance import LLMatcher

from qwen_agentkit.engine.grammar.json_schemas import prepare_schema
from qwen_agentkit.errors import InputError

if TYPE_CHECKING:  # slow to import
    from transformers import PreTrainedTokenizerFast

__all__ = ["Tags", "exclude", "json_rule", "quote"]

# JSON as `json.dumps` and the chat templates write it: it is the form that the models were trained on, and an
# answer cannot be filled with blanks. Without \u no answer can hold half of a surrogate pair.
_JSON_FORM = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}


class Tags:
    """Rules for tags, and for text without them, in one vocabulary.

    A tag that is one token is only ever generated as this token, never letter by letter, so that grammar and
    parser agree on what is a tag.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        added = tokenizer.added_tokens_decoder.items()
        self._added = {token.content: number for number, token in added if not token.special}

    def tag(self, tag: str) -> str:
        """Return a tag as it is written in a rule."""
        return f"<[{self._added[tag]}]>" if tag in self._added else quote(tag)

    def until(self, name: str, tag: str, *forbidden: str) -> list[str]:
        """Return rules that define `name` as any text up to and including the first such tag.

        Args:
            name: The name of the rule.
            tag: Ends the text.
            forbidden: Regular expressions that match nothing in the text.
        """
        if tag not in self._added:
            return [f"{name}[lazy]: {name.upper()}", f"{name.upper()}: /(?s:.*)/ {quote(tag)}"]
        return [f"{name}: {name}_text? {self.tag(tag)}", *self.text(f"{name}_text", tag, *forbidden)]

    def text(self, name: str, tag: str, *forbidden: str) -> list[str]:
        """Return rules that define `name` as text, at least one character, without such a tag.

        Args:
            name: The name of the rule.
            tag: Does not occur in the text.
            forbidden: Regular expressions that match nothing in the text.
        """
        words = name.upper()
        others = ",".join(str(number) for content, number in self._added.items() if content != tag)
        mixed = f" | {words}? (<[{others}]> {words}?)+" if others else ""
        patterns = [re.escape(content) for content in self._added if content in (tag, "<think>")]
        excluded = "".join(map(exclude, [*patterns, *forbidden]))
        return [f"{name}: {words}{mixed}", f"{words}: /(?s:.+)/{excluded}"]


def json_rule(owner: str, schema: Mapping[str, Any]) -> str:
    """Return the right side of a rule that matches JSON of a schema.

    Args:
        owner: Names the owner of the schema in errors.
        schema: A JSON schema.

    Raises:
        InputError: A grammar cannot express it; the message names the part.
    """
    prepared = json.dumps({**prepare_schema(owner, schema), "x-guidance": _JSON_FORM}, ensure_ascii=False)
    if problem := _find_problem(prepared):
        raise InputError(
            f"A grammar cannot express the schema of {owner}: {problem}. "
            "Simplify that part, or leave it out and check the answer yourself."
        )
    return f"%json {prepared}"


def quote(text: str) -> str:
    """Return a text as a literal of a rule."""
    return json.dumps(text, ensure_ascii=False)


def exclude(pattern: str) -> str:
    """Return what to append to a terminal so that a regular expression matches nothing in it."""
    escaped = pattern.replace("/", r"\/")
    return f" & ~/(?s:.*){escaped}(?s:.*)/"


@lru_cache
def _find_problem(schema: str) -> str:
    """Return what llguidance finds wrong with a JSON schema; empty if nothing."""
    failed, messages = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_json_schema(schema))
    first, *more = messages[0].splitlines() if failed else [""]
    return " ".join([first, *more[-1:]])
