"""Pieces of llguidance's dialect of Lark: texts, tags, JSON. Knows vocabularies, no tools or chats."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher
from transformers import PreTrainedTokenizerFast

from qwen_agentkit.chat.tags import OPEN_THINK
from qwen_agentkit.engine.grammar.schemas import prepare
from qwen_agentkit.errors import InputError

__all__ = ["Tags", "json_rule", "quote", "without"]

# JSON as `json.dumps` and the chat templates write it: the one form that the models were trained on, with no
# way to fill an answer with blanks. Without \u nothing can write half of a surrogate pair.
_JSON_FORM = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}


class Tags:
    """Spells tags, and texts without them, for one vocabulary.

    A tag that is one token is only ever written as this token, never letter by letter: what a grammar takes
    for a tag and what a parser takes for one are then the same.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        added = tokenizer.added_tokens_decoder.items()
        self._added = {token.content: number for number, token in added if not token.special}

    def tag(self, tag: str) -> str:
        """Return what stands for a tag in a rule."""
        return f"<[{self._added[tag]}]>" if tag in self._added else quote(tag)

    def until(self, name: str, tag: str, *forbidden: str) -> list[str]:
        """Return rules: `name` is any text up to the first such tag, with the tag.

        Args:
            name: A name for the rule.
            tag: Where the text ends.
            forbidden: Regular expressions of what the text does not spell letter by letter.
        """
        if tag not in self._added:
            return [f"{name}[lazy]: {name.upper()}", f"{name.upper()}: /(?s:.*)/ {quote(tag)}"]
        return [f"{name}: {name}_text? {self.tag(tag)}", *self.text(f"{name}_text", tag, *forbidden)]

    def text(self, name: str, tag: str, *forbidden: str) -> list[str]:
        """Return rules: `name` is some text without such a tag.

        Args:
            name: A name for the rule.
            tag: What the text does not hold.
            forbidden: Regular expressions of what it does not spell letter by letter.
        """
        words = name.upper()
        others = ",".join(str(number) for content, number in self._added.items() if content != tag)
        mixed = f" | {words}? (<[{others}]> {words}?)+" if others else ""
        patterns = [re.escape(content) for content in self._added if content in (tag, OPEN_THINK)]
        kept_out = "".join(map(without, [*patterns, *forbidden]))
        return [f"{name}: {words}{mixed}", f"{words}: /(?s:.+)/{kept_out}"]


def json_rule(owner: str, schema: Mapping[str, Any]) -> str:
    """Return what stands for JSON of a schema in a rule.

    Args:
        owner: Whose schema it is, for errors.
        schema: A JSON schema.

    Raises:
        InputError: No grammar can hold an answer to it; the message names the part.
    """
    prepared = json.dumps({**prepare(owner, schema), "x-guidance": _JSON_FORM}, ensure_ascii=False)
    if wrong := _wrong(prepared):
        raise InputError(
            f"No grammar can hold an answer to the schema of {owner}: {wrong}. "
            "Simplify that part, or leave it out and check the answer yourself."
        )
    return f"%json {prepared}"


def quote(text: str) -> str:
    """Return a text as a literal."""
    return json.dumps(text, ensure_ascii=False)


def without(pattern: str) -> str:
    """Return what keeps a regular expression out of the terminal that it is added to."""
    escaped = pattern.replace("/", r"\/")
    return f" & ~/(?s:.*){escaped}(?s:.*)/"


@lru_cache
def _wrong(schema: str) -> str:
    """Return what llguidance finds wrong with a JSON schema, empty if nothing."""
    failed, messages = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_json_schema(schema))
    first, *more = messages[0].splitlines() if failed else [""]
    return " ".join([first, *more[-1:]])
