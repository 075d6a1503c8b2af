"""JSON schemas of types, with what pydantic's validation asks for and its own schemas leave out.

Knows pydantic's types, no grammars and no models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import EncodedStr, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import is_typeddict

from qwen_agentkit.errors import InputError

__all__ = ["AnswerSchema", "refers_to_itself", "schema_of"]

_NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"
_KEYS = {"int": "^-?(0|[1-9][0-9]{0,17})$", "float": _NUMBER, "decimal": _NUMBER, "bool": "^(true|false)$"}
"""Patterns of names that pydantic reads as keys of a type."""


class AnswerSchema(GenerateJsonSchema):
    """Says of pydantic's types what its own schema leaves out and its validation asks for."""

    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        """Return a number, since most texts are none, of as many digits as are allowed."""
        choices = super().decimal_schema(schema)
        found = next((choice for choice in choices["anyOf"] if choice["type"] == "number"), choices)
        digits, places = schema.get("max_digits"), schema.get("decimal_places")
        if digits is None:
            forms = [] if places is None else [{"multipleOf": 10.0**-places}]
        else:
            # Without places, any of the digits may stand behind the point.
            after = range(digits + 1) if places is None else [places]
            forms = [_digits(digits - count, count) for count in after]
        return {**found, "allOf": [{"anyOf": forms}]} if forms else found

    def bytes_schema(self, schema: Any) -> dict[str, Any]:
        """Return a text of as many bytes as it has characters, where its bytes are counted."""
        found = super().bytes_schema(schema)
        counted = "minLength" in found or "maxLength" in found
        return {**found, "pattern": "^[ -~]*$"} if counted else found

    def url_schema(self, schema: Any) -> dict[str, Any]:
        """Return an address of the schemes that are allowed."""
        return {**super().url_schema(schema), **_schemes(schema.get("allowed_schemes"))}

    def multi_host_url_schema(self, schema: Any) -> dict[str, Any]:
        """Return an address of the schemes that are allowed."""
        return {**super().multi_host_url_schema(schema), **_schemes(schema.get("allowed_schemes"))}

    def datetime_schema(self, schema: Any) -> dict[str, Any]:
        """Return a time without a zone where none is allowed: JSON Schema's own format asks for one."""
        found = super().datetime_schema(schema)
        naive = schema.get("tz_constraint") == "naive" and found.get("format") == "date-time"
        return {**found, "format": "naive-date-time"} if naive else found

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """Return an object whose names are numbers where the keys are: names are texts in JSON."""
        found = super().dict_schema(schema)
        pattern = _KEYS.get(schema.get("keys_schema", {}).get("type"))
        return {"propertyNames": {"pattern": pattern}, **found} if pattern else found

    def function_after_schema(self, schema: Any) -> dict[str, Any]:
        """Return a text that holds another one in base64, of which not every one holds characters."""
        found = super().function_after_schema(schema)
        encoded = getattr(schema["function"]["function"], "__self__", None)
        if not isinstance(encoded, EncodedStr):
            return found
        return {
            **found,
            "contentEncoding": encoded.encoder.get_json_format(),
            "contentMediaType": "text/plain",
        }


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a type; a schema is returned as it is.

    Args:
        kind: A pydantic class of version 1 or 2, a TypedDict, a dataclass, another type, or a schema.

    Raises:
        InputError: No JSON stands for it.
    """
    if isinstance(kind, Mapping):
        return dict(kind)
    try:
        if isinstance(kind, type) and is_basemodel_subclass(kind) and not hasattr(kind, "model_json_schema"):
            older: dict[str, Any] = kind.schema()  # type: ignore[attr-defined]  # of pydantic 1
            return older
        schema: dict[str, Any] = TypeAdapter(kind).json_schema(schema_generator=AnswerSchema)
        return _described_by_langchain(kind, schema) if is_typeddict(kind) else schema
    except (PydanticUserError, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"No JSON schema describes {getattr(kind, '__name__', kind)}: {reason} Expected a pydantic "
            "class, a TypedDict, a dataclass or a JSON schema, of types that JSON can hold."
        ) from error


def refers_to_itself(schema: Mapping[str, Any]) -> bool:
    """Whether a schema or a definition in it is used inside itself."""
    uses = {
        f"#/{key}/{name}": {*_references(part)}
        for key in _DEFINITIONS
        for name, part in (schema.get(key) or {}).items()
    }
    return "#" in _references(schema) or any(name in _reached(name, uses) for name in uses)


def _reached(name: str, uses: Mapping[str, set[str]]) -> set[str]:
    """Return what a definition uses, itself or by others."""
    reached: set[str] = set()
    new = uses[name]
    while new:
        reached |= new
        new = {other for one in new for other in uses.get(one, ())} - reached
    return reached


_DEFINITIONS = ("$defs", "definitions")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, Mapping):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for value in node.values():
            yield from _references(value)


def _described_by_langchain(kind: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Add what LangChain reads of a TypedDict: docstrings, and `Annotated[type, default, "description"]`."""
    try:
        other = convert_to_json_schema(kind)
    except Exception:  # it does not know all forms of a TypedDict
        return schema
    properties = {
        name: {**{key: words[key] for key in ("description", "default") if key in words}, **part}
        for name, part in schema.get("properties", {}).items()
        if isinstance(words := other.get("properties", {}).get(name, {}), Mapping)
    }
    said = {key: other[key] for key in ("title", "description") if other.get(key)}
    required = [name for name in schema.get("required", ()) if "default" not in properties.get(name, {})]
    return {**schema, **said, "properties": properties, **({"required": required} if required else {})}


def _digits(before: int, after: int) -> dict[str, Any]:
    """Return the numbers with so many digits at most before the point and after it."""
    step = 10.0**-after
    largest = round(10.0**before - step, after) if before > 0 else round(1 - step, after)
    return {"multipleOf": step, "minimum": -largest, "maximum": largest}


def _schemes(allowed: Sequence[str] | None) -> dict[str, str]:
    if not allowed:
        return {}
    return {
        "pattern": f"^(?:{'|'.join(map(re.escape, allowed))})://[a-z0-9-]+([.][a-z0-9-]+)*(/[a-z0-9._-]*)*$"
    }
