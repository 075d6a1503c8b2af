"""JSON schemas made ready for a grammar that promises them. Knows JSON schema, no tokens or models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["ANY_STRING", "CALENDAR", "prepare"]

_DATE = (
    "(?:(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(?:"
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)
_TIME = (
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)

CALENDAR = {"date": _DATE, "time": _TIME, "date-time": f"{_DATE}T{_TIME}"}
"""Patterns of the dates and times that exist: no 29 February of other years, no year 0, no leap seconds."""

ANY_STRING = ("binary", "password", "path")
"""Formats that any string has."""

# What schema writers say of names although every name of JSON has it.
_ANY_NAME: tuple[Any, ...] = ({"type": "string"}, {}, True)

# What llguidance skips without a word: keywords of older drafts.
_SKIPPED = ("additionalItems", "disallow", "divisibleBy", "extends")

# Keywords that make a value fit two schemas at once, when they stand beside others.
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const")
_OF_OBJECTS = ("properties", "patternProperties", "additionalProperties", "required")

# llguidance writes exponents only where there are no bounds.
_PLAIN_NUMBER = {"anyOf": [{"minimum": 0}, {"maximum": 0}]}

_LOOKAROUND = re.compile(r"\(\?<?[=!]")


def prepare(owner: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with everything said that the grammar has to know; what fits it fits the schema.

    Objects hold the properties they declare and no others, unless the schema says that there may be more.
    Dates and times are those of the calendar, and numbers have no exponent, which could overflow. A choice
    that the grammar cannot express is left out where another remains.

    Args:
        owner: Whose schema it is, for errors.
        schema: A JSON schema, left as it is.

    Raises:
        InputError: A keyword that the grammar would skip.
    """
    nodes = list(_nodes(schema))
    for node in nodes:
        _refuse(owner, node)
    close = not any(_combines(node) for node in nodes)
    prepared: dict[str, Any] = _map(dict(schema), close)
    return prepared


def _map(node: Any, close: bool) -> Any:
    """Copy a schema with each schema in it made ready."""
    if not isinstance(node, Mapping):
        return node
    copy = {key: _map_value(key, value, close) for key, value in node.items()}
    if close and isinstance(copy.get("properties"), dict) and "patternProperties" not in copy:
        copy.setdefault("additionalProperties", False)
    if copy.get("propertyNames") in _ANY_NAME:
        del copy["propertyNames"]
    if "oneOf" in copy and "discriminator" in copy and "anyOf" not in copy:
        copy["anyOf"] = copy.pop("oneOf")  # the discriminator already keeps the choices apart
    if isinstance(choices := copy.get("anyOf"), list):
        copy["anyOf"] = [choice for choice in choices if not _looks_around(choice)] or choices
    if (kind := copy.get("format")) in ANY_STRING:
        del copy["format"]
    elif isinstance(kind, str) and kind in CALENDAR:
        copy["allOf"] = [*copy.get("allOf", ()), {"pattern": f"^(?:{CALENDAR[kind]})$"}]
    if "number" in _types(copy) and not any(key in copy for key in _BOUNDS):
        copy["allOf"] = [*copy.get("allOf", ()), _PLAIN_NUMBER]
    return copy


def _types(node: Mapping[str, Any]) -> list[Any]:
    kinds = node.get("type")
    return kinds if isinstance(kinds, list) else [kinds]


def _map_value(key: str, value: Any, close: bool) -> Any:
    if key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
        return {name: _map(schema, close) for name, schema in value.items()}
    if key in _LISTS_OF_SCHEMAS and isinstance(value, list):
        return [_map(schema, close) for schema in value]
    return _map(value, close) if key in _SCHEMAS else value


_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_LISTS_OF_SCHEMAS = ("anyOf", "allOf", "oneOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties")


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema in a schema, itself first."""
    if not isinstance(node, Mapping):
        return
    yield node
    for key, value in node.items():
        if key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
            for schema in value.values():
                yield from _nodes(schema)
        elif key in _LISTS_OF_SCHEMAS and isinstance(value, list):
            for schema in value:
                yield from _nodes(schema)
        elif key in _SCHEMAS:
            yield from _nodes(value)


def _refuse(owner: str, node: Mapping[str, Any]) -> None:
    for key in _SKIPPED:
        if key in node:
            raise InputError(
                f"The schema of {owner} uses {key!r}, which no grammar here can hold an answer to. "
                "Expected JSON Schema 2020-12; leave it out, or say it in a description and check the answer."
            )
    others = node.get("additionalProperties", "properties" not in node)
    open_keys = others is not False or "patternProperties" in node
    if open_keys and node.get("minProperties", 0) > 1:
        raise InputError(
            f"The schema of {owner} asks for minProperties={node['minProperties']} where keys are free, and "
            "no grammar here keeps free keys from repeating. Name the properties, or ask for a list of pairs."
        )


def _combines(node: Mapping[str, Any]) -> bool:
    """Whether objects have to fit several schemas at once, so that none may be closed on its own."""
    combining = [key for key in _COMBINING if key in node]
    beside = len(combining) > 1 or any(key in node for key in _OF_OBJECTS)
    return bool(combining and beside) or len(node.get("allOf", ())) > 1


def _looks_around(schema: Any) -> bool:
    return isinstance(schema, Mapping) and bool(_LOOKAROUND.search(str(schema.get("pattern", ""))))
