"""JSON schemas prepared for a grammar. Knows JSON Schema and what llguidance reads of it, no tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["ANY_STRING", "CALENDAR", "prepare_schema"]

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
"""Patterns of valid dates and times: 29 February only in leap years, no year 0, no leap seconds."""

ANY_STRING = ("binary", "password", "path")
"""Formats that every string satisfies."""

# Values of `propertyNames` that every name satisfies; some libraries write them.
_ANY_NAME: tuple[Any, ...] = ({"type": "string"}, {}, True)

# Keywords of older drafts, which llguidance ignores silently.
_IGNORED = ("additionalItems", "disallow", "divisibleBy", "extends")

# Keywords that, beside others, make a value satisfy two schemas at once.
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const")
_OBJECT_KEYS = ("properties", "patternProperties", "additionalProperties", "required")

# llguidance allows exponents only in numbers without bounds.
_PLAIN_NUMBER = {"anyOf": [{"minimum": 0}, {"maximum": 0}]}

_LOOKAROUND = re.compile(r"\(\?<?[=!]")


def prepare_schema(owner: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stricter schema that says explicitly what the grammar has to know.

    Objects have only the properties that they declare, unless the schema allows others. Dates and times are
    valid ones, and numbers have no exponent, which could overflow. An alternative that the grammar cannot
    express is left out if another one remains.

    Args:
        owner: Names the owner of the schema in errors.
        schema: A JSON schema; it is not changed.

    Raises:
        InputError: The schema has a keyword that the grammar would ignore.
    """
    nodes = list(_nodes(schema))
    for node in nodes:
        _check_keywords(owner, node)
    close = not any(_combines(node) for node in nodes)
    prepared: dict[str, Any] = _prepare(dict(schema), close)
    return prepared


def _prepare(node: Any, close: bool) -> Any:
    """Return a prepared copy of a schema and of all schemas in it."""
    if not isinstance(node, Mapping):
        return node
    copy = {key: _prepare_value(key, value, close) for key, value in node.items()}
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


def _prepare_value(key: str, value: Any, close: bool) -> Any:
    if key in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
        return {name: _prepare(schema, close) for name, schema in value.items()}
    if key in _LISTS_OF_SCHEMAS and isinstance(value, list):
        return [_prepare(schema, close) for schema in value]
    return _prepare(value, close) if key in _SCHEMAS else value


_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_LISTS_OF_SCHEMAS = ("anyOf", "allOf", "oneOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties")


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema in it."""
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


def _check_keywords(owner: str, node: Mapping[str, Any]) -> None:
    for key in _IGNORED:
        if key in node:
            raise InputError(
                f"The schema of {owner} uses {key!r}, which a grammar cannot express here. "
                "Expected JSON Schema 2020-12; leave it out, or say it in a description and check the answer."
            )
    others = node.get("additionalProperties", "properties" not in node)
    open_keys = others is not False or "patternProperties" in node
    if open_keys and node.get("minProperties", 0) > 1:
        raise InputError(
            f"The schema of {owner} asks for minProperties={node['minProperties']} where keys are free, and "
            "a grammar cannot keep free keys from repeating. Name the properties, or ask for a list of pairs."
        )


def _combines(node: Mapping[str, Any]) -> bool:
    """Whether objects have to satisfy several schemas at once, so that none may forbid other properties."""
    combining = [key for key in _COMBINING if key in node]
    beside = len(combining) > 1 or any(key in node for key in _OBJECT_KEYS)
    return bool(combining and beside) or len(node.get("allOf", ())) > 1


def _looks_around(schema: Any) -> bool:
    return isinstance(schema, Mapping) and bool(_LOOKAROUND.search(str(schema.get("pattern", ""))))
