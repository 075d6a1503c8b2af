"""What of a JSON schema a grammar holds. Knows llguidance's judgment, no tokens.

What a grammar cannot hold is left out of it, said in a warning, and checked when the answer is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jsonschema_rs
from llguidance import LLMatcher

from qwen_agentkit.engine.grammar.content_check import ContentCheck
from qwen_agentkit.engine.grammar.json_schemas import Preparation
from qwen_agentkit.engine.grammar.older_schemas import map_schemas, upgrade
from qwen_agentkit.errors import InputError

__all__ = ["Held", "hold_schema", "without_newer_settings"]

# JSON as `json.dumps` and the chat templates write it: it is the form that the models were trained on, and an
# answer cannot be filled with blanks. Without \u no answer can hold half of a surrogate pair.
_JSON_FORM = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
    # What it does not know is left out, and told as a warning.
    "lenient": True,
    "coerce_one_of": True,
}

# Keywords that may be what a grammar cannot hold, in the order in which they are tried.
_SUSPECTS = (
    *("pattern", "format", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf"),
    *("patternProperties", "maxLength", "minLength", "maxItems", "minItems", "allOf", "$ref"),
)


@dataclass(frozen=True)
class Held:
    """A schema, as far as a grammar holds it.

    Attributes:
        grammar: The schema for the grammar, as JSON.
        left: What it leaves out, in words; empty if it holds all.
        checker: Checks a value against the whole schema.
    """

    grammar: str
    left: tuple[str, ...]
    checker: jsonschema_rs.Validator

    def find_fault(self, value: Any) -> str:
        """Return what of a value does not fit the whole schema; "" if it fits."""
        error = next(self.checker.iter_errors(value), None)
        if error is None:
            return ""
        place = ".".join(map(str, error.instance_path))
        return f"{place}: {error.message}" if place else str(error.message)


def hold_schema(owner: str, schema: Mapping[str, Any], *, strict: bool = False) -> Held:
    """Return what of a schema a grammar holds.

    Args:
        owner: Names the owner of the schema in errors.
        schema: A JSON schema of any draft.
        strict: Whether all of it has to be held.

    Raises:
        InputError: Nothing fits it, it is no schema, or, if `strict`, the grammar does not hold all of it.
    """
    try:
        held = _hold(json.dumps(schema, ensure_ascii=False))
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"A grammar cannot express the schema of {owner}: {reason}. Correct that part, or leave it out "
            "and check the answer yourself."
        ) from error
    if strict and held.left:
        raise InputError(
            f"A grammar cannot express the schema of {owner}: {held.left[0]}. Simplify that part, or leave "
            "strict out: then it is checked when the answer is there."
        )
    return held


@lru_cache(maxsize=512)
def _hold(text: str) -> Held:
    """As `hold_schema`, from JSON.

    Raises:
        ValueError: Nothing fits the schema, or it is none.
    """
    schema, foreign = _without_foreign(upgrade(json.loads(text)))
    found = _prepare(schema)
    left = tuple(dict.fromkeys([*foreign, *found.left]))
    formats = any(part.startswith("format") for part in left)
    return Held(json.dumps(found.schema, ensure_ascii=False), left, _checker(schema, formats=formats))


def _without_foreign(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a schema without references to what is elsewhere, and these in words. Nothing is fetched."""
    left: list[str] = []

    def leave_out(node: Any) -> Any:
        if not isinstance(node, Mapping):
            return node
        copy = map_schemas(node, leave_out)
        reference = copy.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            del copy["$ref"]
            left.append(f"$ref {reference[:80]} (not in the schema, so that every value fits it)")
        return copy

    return leave_out(schema), left


@dataclass
class _Found:
    schema: dict[str, Any]
    left: list[str]


def _prepare(schema: dict[str, Any]) -> _Found:
    preparation = Preparation(schema)
    prepared = preparation.prepare()
    error, notes = _judge(prepared)
    if error and _UNSATISFIABLE in error:  # perhaps only with our own additions
        preparation = Preparation(schema, narrow=False)
        prepared = preparation.prepare()
        error, notes = _judge(prepared)
        if _UNSATISFIABLE in error:
            raise ValueError(error)
    if error:
        prepared = _Weakening(prepared, preparation.left).result()
        error, notes = _judge(prepared)
        if any(limit in error for limit in _LIMITS):  # not of one part: nothing but the type can be held
            preparation.left.append(error.partition(":")[0].partition(".")[0])
            prepared = {"type": schema.get("type", "object")}
            error, notes = _judge(prepared)
        if error:
            raise ValueError(error)
    return _Found({**prepared, "x-guidance": _JSON_FORM}, [*preparation.left, *map(_in_words, notes)])


def without_newer_settings(lark: str) -> str:
    """Return a grammar without what llguidance 1.0, the version in llama.cpp, does not know of JSON.

    Strings may then be escaped in every way that JSON has.
    """
    newer = json.dumps({name: _JSON_FORM[name] for name in ("json_allowed_escapes",)})[1:-1]
    return lark.replace(f"{newer}, ", "")


_UNSATISFIABLE = "Unsatisfiable"

# What llguidance says of schemas that are beyond it as a whole.
_LIMITS = ("circular references", "too large", "not supported")


def _judge(schema: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return why llguidance refuses a schema, "" if it does not, and what it leaves out."""
    text = json.dumps({**schema, "x-guidance": _JSON_FORM}, ensure_ascii=False)
    failed, messages = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_json_schema(text))
    if not failed:
        return "", [message for message in messages if message]
    first, *more = messages[0].splitlines()
    return " ".join([first, *more[-1:]]), []


def _in_words(note: str) -> str:
    """Return what is left out by a note such as 'Unimplemented keys: ["not"]'."""
    if note.startswith("Unknown format"):
        return f"format {note.partition(': ')[2]}"
    if note.startswith("oneOf"):
        return "oneOf (no more than one)"
    return note.partition(": ")[2].strip("[]").replace('"', "") or note


class _Weakening:
    """Leaves the smallest parts out of a schema that a grammar refuses.

    Args:
        schema: The schema.
        left: Where it says what it left out.
    """

    def __init__(self, schema: dict[str, Any], left: list[str]) -> None:
        self._schema, self._left = schema, left
        kinds = [kind for kind in ("$defs", "definitions") if isinstance(schema.get(kind), Mapping)]
        # References find a definition that is never at fault.
        self._stubs: dict[str, Any] = {kind: dict.fromkeys(schema[kind], True) for kind in kinds}

    def result(self) -> dict[str, Any]:
        """Return the schema without what the grammar cannot hold."""
        definitions = {
            kind: {name: self._mend(part) for name, part in self._schema[kind].items()}
            for kind in self._stubs
        }
        root = {key: value for key, value in self._schema.items() if key not in self._stubs}
        mended = self._mend(root)
        return {**(mended if isinstance(mended, dict) else {}), **definitions}

    def _mend(self, node: Any) -> Any:
        if not isinstance(node, Mapping) or self._holds(node):
            return node
        copy = map_schemas(node, self._mend)
        if self._holds(copy):
            return copy
        for key in (key for key in _SUSPECTS if key in copy):
            rest = {name: value for name, value in copy.items() if name != key}
            if self._holds(rest):
                self._left.append(f"{key} {json.dumps(copy[key], ensure_ascii=False)[:80]}")
                return rest
        self._left.append(f"the part {json.dumps(node, ensure_ascii=False)[:80]}")
        kind = {"type": copy["type"]} if "type" in copy else {}
        return kind if self._holds(kind) else {}

    def _holds(self, node: Mapping[str, Any]) -> bool:
        return not _judge({**node, **self._stubs})[0]


def _checker(schema: Mapping[str, Any], *, formats: bool) -> jsonschema_rs.Validator:
    """Return what checks values against a schema.

    Raises:
        ValueError: It is no schema, or refers to something that is not in it.
    """
    return jsonschema_rs.validator_for(
        dict(schema),
        validate_formats=formats,
        retriever=_refuse,
        keywords={"contentMediaType": ContentCheck},
    )


def _refuse(uri: str) -> Any:
    """Fetch nothing: a schema comes with a tool, and may name any address."""
    raise ValueError(f"{uri!r} is not part of the schema")
