"""Checks strings that hold something: JSON, or text in base64. Knows JSON Schema's keywords for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

__all__ = ["ContentCheck"]


class ContentCheck:
    """Checks the keyword `contentMediaType`, with the `contentEncoding` and `contentSchema` beside it.

    Validators take the three for notes, but a string whose content cannot be read helps nobody.

    Args:
        schema: The schema with the keyword.
        kind: The value of the keyword.
        path: Where it is.
    """

    def __init__(self, schema: Mapping[str, Any], kind: Any, path: Any) -> None:
        self._is_json = kind == "application/json"
        self._encoding = schema.get("contentEncoding")
        self._validator: Any = None
        if self._is_json and "contentSchema" in schema and "$ref" not in str(schema["contentSchema"]):
            self._validator = jsonschema_rs.validator_for(schema["contentSchema"])

    def validate(self, text: Any) -> None:
        """Read the content of a string.

        Raises:
            ValueError: It cannot be read, or does not fit its schema.
        """
        if not isinstance(text, str):
            return
        if self._encoding in ("base64", "base64url"):
            text = base64.b64decode(text, altchars=b"-_" if self._encoding == "base64url" else None).decode()
        value = json.loads(text) if self._is_json else None
        if self._validator is not None:
            self._validator.validate(value)
