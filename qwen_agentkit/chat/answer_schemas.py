"""JSON schemas of pydantic's classes, with what validation asks for and their own schemas leave out.

Knows pydantic's types, no grammars and no models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import EncodedStr
from pydantic.json_schema import GenerateJsonSchema

__all__ = ["AnswerSchema"]

_NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"
_KEYS = {"int": "^-?(0|[1-9][0-9]{0,17})$", "float": _NUMBER, "decimal": _NUMBER, "bool": "^(true|false)$"}
"""Patterns of names that pydantic reads as keys of a type."""


class AnswerSchema(GenerateJsonSchema):
    """Says of pydantic's types what its own schema leaves out and its validation asks for."""

    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        """Return a number: most texts are none."""
        choices = super().decimal_schema(schema)
        return next((choice for choice in choices["anyOf"] if choice["type"] == "number"), choices)

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


def _schemes(allowed: Sequence[str] | None) -> dict[str, str]:
    if not allowed:
        return {}
    return {
        "pattern": f"^(?:{'|'.join(map(re.escape, allowed))})://[a-z0-9-]+([.][a-z0-9-]+)*(/[a-z0-9._-]*)*$"
    }
