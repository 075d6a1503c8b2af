"""JSON schemas of older drafts and of habit, brought to JSON Schema 2020-12. Knows keywords, no grammars.

Source: the migration notes at https://json-schema.org/draft/2020-12/release-notes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from qwen_agentkit.engine.grammar.references import gather_references

__all__ = ["map_schemas", "upgrade"]

_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "additionalItems", "contains", "propertyNames", "not"),
    *("if", "then", "else", "unevaluatedItems", "unevaluatedProperties"),
)

# Characters that a JSON pointer in a URI may hold unescaped, and what is escaped already.
_IN_POINTER = "#/:?&=+$,;@%~!*'()-._"


def map_schemas(node: Mapping[str, Any], function: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a copy of a schema with a function applied to every schema directly in it."""
    copy = dict(node)
    for key, value in node.items():
        if key in _BY_NAME and isinstance(value, Mapping):
            copy[key] = {name: function(schema) for name, schema in value.items()}
        elif key in _LISTS and isinstance(value, list):
            copy[key] = [function(schema) for schema in value]
        elif key in _SINGLE or key == "items":
            copy[key] = function(value)
    return copy


def upgrade(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that means in JSON Schema 2020-12 what this one means in the draft of its keywords."""
    upgraded: dict[str, Any] = _upgrade(gather_references(schema))
    return upgraded


def _upgrade(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    if isinstance(items := node.get("items"), list):
        rest = {"items": node["additionalItems"]} if "additionalItems" in node else {}
        node = {key: value for key, value in node.items() if key not in ("items", "additionalItems")}
        node = {**node, "prefixItems": items, **rest}
    copy = map_schemas(node, _upgrade)
    for key in ("$schema", "$id", "id", "$anchor"):
        if isinstance(copy.get(key), str):
            del copy[key]  # references do not need it any more, and a draft would change what others mean
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(switch := copy.get(exclusive), bool):
            del copy[exclusive]
            if switch and bound in copy:
                copy[exclusive] = copy.pop(bound)
    if isinstance(pattern := copy.get("pattern"), str):
        copy["pattern"] = _in_ecma_script(pattern)
    if "divisibleBy" in copy:
        copy["multipleOf"] = copy.pop("divisibleBy")
    if isinstance(copy.get("dependencies"), Mapping):
        for name, value in copy.pop("dependencies").items():
            key = "dependentRequired" if isinstance(value, list) else "dependentSchemas"
            copy[key] = {**copy.get(key, {}), name: value if isinstance(value, list) else _upgrade(value)}
    if isinstance(copy.get("required"), bool):
        del copy["required"]  # belongs to the object around it, which has read it
    if isinstance(properties := node.get("properties"), Mapping):
        names = [name for name, one in properties.items() if _says_required(one)]
        if names:
            copy["required"] = [*copy.get("required", ()), *names]
    if isinstance(reference := copy.get("$ref"), str):
        copy["$ref"] = quote(reference, safe=_IN_POINTER)
    return copy


def _in_ecma_script(pattern: str) -> str:
    """Return a pattern without what only Python writes: names of groups, and ends of texts."""
    try:
        numbers = re.compile(pattern).groupindex
    except (re.error, RecursionError):  # not of Python
        return pattern
    for name, number in numbers.items():
        pattern = pattern.replace(f"(?P={name})", f"\\{number}")
    for written, meant in ((r"\(\?P<\w+>", "("), (r"\\A", "^"), (r"\\Z", "$")):
        pattern = re.sub(rf"(?<!\\)((?:\\\\)*){written}", rf"\g<1>{meant}", pattern)
    return pattern


def _says_required(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("required") is True
