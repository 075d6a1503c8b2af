"""JSON schemas prepared for a grammar. Knows JSON Schema and what llguidance reads of it, no tokens."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from qwen_agentkit.engine.grammar.conditions import write_as_choices
from qwen_agentkit.engine.grammar.formats import ANY_STRING, CALENDAR, PATTERNS, PYDANTIC
from qwen_agentkit.engine.grammar.older_schemas import map_schemas

__all__ = ["Preparation"]

# Keywords that say what a value is where its type is left out.
_OF_OBJECTS = ("properties", "patternProperties", "additionalProperties", "required", "propertyNames")
_OF_ARRAYS = ("items", "prefixItems", "minItems", "maxItems", "uniqueItems")

# Keywords that, beside others, make a value satisfy two schemas at once.
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const")
_LENGTHS = ("minLength", "maxLength")
_OBJECT_KEYS = ("properties", "patternProperties", "additionalProperties", "required")

# llguidance allows exponents only in numbers without bounds.
_PLAIN_NUMBER = {"anyOf": [{"minimum": 0}, {"maximum": 0}]}

# llguidance computes bounds in 64 bits, and stops just short of them.
_LARGEST, _CLOSE = 2**63, 2**63 - 1024

# A bound that would have to be left out by a hair is moved by this part of the range.
_HAIR = 1000

_LOOKAROUND = re.compile(r"\(\?<?[=!]")


@dataclass
class Preparation:
    """Says explicitly what a grammar has to know of a schema.

    Objects have only the properties that they declare, unless the schema allows others. Dates and times are
    valid ones, and numbers have no exponent, which could overflow. An alternative that the grammar cannot
    express is left out if another one remains. A value is an object where its keywords are those of objects.

    Attributes:
        schema: The schema, of the newest draft; it is not changed.
        narrow: Whether objects are closed. Where a value satisfies several schemas at once, none may forbid
            the properties of the others.
        left: What the grammar will not hold, in words.
    """

    schema: Mapping[str, Any]
    narrow: bool = True
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        nodes = list(_nodes(self.schema))
        self._close = self.narrow and not any(_combines(node) for node in nodes)

    def prepare(self) -> dict[str, Any]:
        """Return the schema for the grammar, and fill `left`."""
        prepared: dict[str, Any] = self._prepare(self.schema)
        if any(key in self.schema for key in _OF_OBJECTS) and isinstance(prepared.get("type"), list):
            prepared["type"] = "object"
        return prepared

    def _prepare(self, node: Any) -> Any:
        """Return a prepared copy of a schema and of all schemas in it."""
        if not isinstance(node, Mapping):
            return node
        copy = map_schemas(node, self._prepare)
        _name_type(copy)
        self._write_keys(copy, node.get("propertyNames"))
        if self._close and ("properties" in copy or "patternProperties" in copy):
            _close(copy)
        copy = write_as_choices(copy)
        if "oneOf" in copy and "discriminator" in copy and "anyOf" not in copy:
            copy["anyOf"] = copy.pop("oneOf")  # the discriminator already keeps the choices apart
        if isinstance(choices := copy.get("anyOf"), list):
            copy["anyOf"] = [choice for choice in choices if not _looks_around(choice)] or choices
        self._write_format(copy)
        self._write_literals(copy)
        self._write_bounds(copy)
        if "number" in _types(copy) and not any(key in copy for key in _BOUNDS):
            copy["allOf"] = [*copy.get("allOf", ()), _PLAIN_NUMBER]
        others = copy.get("additionalProperties", "properties" not in copy)
        if copy.get("minProperties", 0) > 1 and (others is not False or "patternProperties" in copy):
            self.left.append(f"minProperties={copy['minProperties']} (free keys can repeat)")
        if not self._close and copy.get("unevaluatedProperties") is False:
            self.left.append("unevaluatedProperties")
        copy.pop("unevaluatedProperties", None)
        return copy

    def _write_keys(self, copy: dict[str, Any], names: Any) -> None:
        """Write names of properties as the properties themselves, or as their pattern."""
        value = copy.get("additionalProperties", True)
        if names is None or "properties" in copy or "patternProperties" in copy:
            return
        names = _resolve(names, self.schema)
        if isinstance(names, Mapping) and (literals := _literals(names)) is not None:
            copy["properties"] = {name: value for name in literals if isinstance(name, str)}
        elif (pattern := _pattern_of(names)) is not None:
            copy["patternProperties"] = {pattern: value}
            self.left += [f"{key} of names" for key in _LENGTHS if key in names and "pattern" in names]
        elif names is True or not {*names} - {"type", "title", "description"}:
            del copy["propertyNames"]
            return
        else:
            return  # the grammar says that it does not know it
        del copy["propertyNames"]
        copy["additionalProperties"] = False

    def _write_format(self, copy: dict[str, Any]) -> None:
        kind = copy.get("format")
        if kind in ANY_STRING:
            del copy["format"]
        elif isinstance(kind, str) and (pattern := CALENDAR.get(kind) or PYDANTIC.get(kind)):
            if kind in PYDANTIC:
                del copy["format"]
            copy["allOf"] = [*copy.get("allOf", ()), {"pattern": f"^(?:{pattern})$"}]
        if copy.get("contentMediaType") in ("application/json", "text/plain"):
            self.left.append("contentMediaType")

    def _write_literals(self, copy: dict[str, Any]) -> None:
        """Write 1.0 as 1, which is the same number and fits integers.

        The grammar would take a number beyond 64 bits for the largest within them.
        """
        if "const" in copy:
            copy["const"] = _whole(copy["const"])
        if isinstance(copy.get("enum"), list):
            copy["enum"] = [_whole(value) for value in copy["enum"]]
            copy["enum"] = [value for value in copy["enum"] if not _is_beyond(value)] or copy["enum"]
        for key in ("const", "enum"):
            if _is_beyond(copy.get(key)):
                self.left.append(f"{key} {json.dumps(copy.pop(key))[:80]}")

    def _write_bounds(self, copy: dict[str, Any]) -> None:
        whole = _types(copy) == ["integer"]
        for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            bound = copy.get(key)
            if not _is_number(bound) or abs(bound) < _CLOSE:
                continue
            if whole and abs(bound) <= _LARGEST:
                copy[key] = _CLOSE if bound > 0 else -_CLOSE
            else:
                self.left.append(f"{key}={bound}")
                del copy[key]
        if not whole:
            _leave_a_hair(copy)


def _name_type(copy: dict[str, Any]) -> None:
    """Name the type that the keywords speak of where the schema leaves it out."""
    if "type" in copy or "enum" in copy or "const" in copy or "$ref" in copy:
        return
    if any(key in copy for key in _OF_OBJECTS):
        copy["type"] = "object"
    elif any(key in copy for key in _OF_ARRAYS):
        copy["type"] = "array"


def _close(copy: dict[str, Any]) -> None:
    """Forbid properties that are not declared; what is required is declared."""
    if "additionalProperties" in copy:
        return
    copy["additionalProperties"] = False
    if "patternProperties" not in copy and isinstance(copy.get("required"), list):
        copy["properties"] = {**dict.fromkeys(copy["required"], True), **copy["properties"]}


def _leave_a_hair(copy: dict[str, Any]) -> None:
    """Move a whole exclusive bound that shares its whole part with the other: the grammar would allow it."""
    low = copy.get("exclusiveMinimum", copy.get("minimum"))
    high = copy.get("exclusiveMaximum", copy.get("maximum"))
    if not _is_number(low) or not _is_number(high) or not low < high:
        return
    hair = 10.0 ** math.floor(math.log10((high - low) / _HAIR))
    if "exclusiveMinimum" in copy and float(low).is_integer() and high - low < 1:
        copy["minimum"] = float(f"{copy.pop('exclusiveMinimum') + hair:.12g}")
    if "exclusiveMaximum" in copy and float(high).is_integer() and high - low < 1:
        copy["maximum"] = float(f"{copy.pop('exclusiveMaximum') - hair:.12g}")


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST else value


def _is_beyond(value: Any) -> bool:
    """Whether a value is or holds a number that has no place in 64 bits."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return any(_is_beyond(item) for item in value)
    return _is_number(value) and (abs(value) >= _LARGEST or not math.isfinite(value))


def _literals(schema: Mapping[str, Any]) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _pattern_of(names: Any) -> str | None:
    """Return the pattern of names; None if they have none, or something beside it."""
    if not isinstance(names, Mapping):
        return None
    said = {*names} - {"type", "title", "description"}
    if "pattern" in said and said <= {"pattern", *_LENGTHS} and not _looks_around(names):
        return str(names["pattern"])
    if said == {"format"} and names["format"] in PATTERNS:
        return f"^(?:{PATTERNS[names['format']]})$"
    if said and said <= {*_LENGTHS}:
        return f"^(?s:.{{{names.get('minLength', 0)},{names.get('maxLength', '')}}})$"
    return None


def _resolve(schema: Any, root: Mapping[str, Any]) -> Any:
    """Return what a schema that is a reference to a definition refers to; else the schema."""
    while isinstance(schema, Mapping) and {*schema} == {"$ref"}:
        _, kind, name = (*str(schema["$ref"]).split("/", 2), "", "")[:3]
        schema = root.get(kind, {}).get(name, True)
    return schema


def _types(node: Mapping[str, Any]) -> list[Any]:
    kinds = node.get("type")
    return kinds if isinstance(kinds, list) else [kinds]


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema in it."""
    if not isinstance(node, Mapping):
        return
    yield node
    inner: list[Any] = []
    map_schemas(node, inner.append)
    for schema in inner:
        yield from _nodes(schema)


def _combines(node: Mapping[str, Any]) -> bool:
    """Whether objects have to satisfy several schemas at once, so that none may forbid other properties."""
    node = write_as_choices(node) if "allOf" not in node else node
    combining = [key for key in _COMBINING if key in node and not _asks_only(node[key])]
    beside = len(combining) > 1 or any(key in node for key in _OBJECT_KEYS)
    return (
        bool(combining and beside) or len([one for one in node.get("allOf", ()) if not _asks_only([one])]) > 1
    )


def _asks_only(branches: Any) -> bool:
    """Whether schemas only ask for keys or forbid some, and add none."""
    return isinstance(branches, list) and all(
        isinstance(branch, Mapping)
        and {*branch} <= {"required", "type", "properties", "anyOf"}
        and all(schema is False for schema in branch.get("properties", {}).values())
        and ("anyOf" not in branch or _asks_only(branch["anyOf"]))
        for branch in branches
    )


def _looks_around(schema: Any) -> bool:
    return isinstance(schema, Mapping) and bool(_LOOKAROUND.search(str(schema.get("pattern", ""))))
