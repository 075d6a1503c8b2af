"""Values of tool calls that were written as plain text, read according to the tool's schema.

Knows JSON schemas and strings, not how calls are written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["coerce", "load_json", "parameter_kinds"]


def parameter_kinds(name: str, tools: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the JSON types that a tool's schema allows for each of its parameters.

    Args:
        name: The tool; an unknown one has no parameters.
        tools: Tool schemas in the OpenAI form.
    """
    for tool in tools:
        function = tool.get("function") or tool
        if function.get("name") == name:
            root = function.get("parameters") or {}
            properties = root.get("properties") or {}
            return {key: set(_kinds(part, root, set())) for key, part in properties.items()}
    return {}


def coerce(text: str, kinds: set[str]) -> Any:
    """Read a value that has no quotes to tell strings from the rest.

    Args:
        text: The value as the model wrote it.
        kinds: The JSON types it may have; empty if they are not known.

    Returns:
        The value as the first type that it fits, strings last; the text itself if it fits none.
    """
    if kinds and text.lower() == "null":
        return None
    if (
        kinds and text.lower() == "none" and "string" not in kinds
    ):  # some templates write Python's word for null
        return None
    for kind, read in _READERS.items():
        if kind in kinds:
            try:
                return read(text)
            except (KeyError, ValueError, RecursionError):
                continue
    return text


def load_json(text: str) -> Any:
    """Read JSON as models write it, with raw newlines inside strings.

    Raises:
        ValueError: It is damaged, or holds a key twice, so that a value would be lost.
    """
    return json.loads(text, strict=False, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("expected each key once")
    return values


def _kinds(schema: Any, root: Mapping[str, Any], followed: set[str]) -> Iterator[str]:
    """Yield the types that a schema allows; `followed` holds the references followed: some are circular."""
    if not isinstance(schema, Mapping):
        return
    kind = schema.get("type") or ()
    yield from [kind] if isinstance(kind, str) else kind
    if schema.get("nullable"):
        yield "null"
    if not kind:
        literals = [schema["const"]] if "const" in schema else schema.get("enum", ())
        yield from (_KIND_OF[type(literal)] for literal in literals if type(literal) in _KIND_OF)
    for part in (part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word) or ()):
        yield from _kinds(part, root, followed)
    if isinstance(reference := schema.get("$ref"), str) and reference not in followed:
        followed.add(reference)
        yield from _kinds(_resolve(reference, root), root, followed)


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """Return what a reference within the schema points to, or None."""
    place: Any = root
    for step in reference.removeprefix("#/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        place = place.get(key) if isinstance(place, Mapping) else None
    return place


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not number.is_integer():
        raise ValueError("expected a whole number")
    return int(number)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _array(text: str) -> list[Any]:
    loaded = load_json(text)
    if not isinstance(loaded, list):
        raise ValueError("expected an array")
    return loaded


def _object(text: str) -> dict[str, Any]:
    loaded = load_json(text)
    if not isinstance(loaded, dict):
        raise ValueError("expected an object")
    return loaded


# In the order of trial; strings are what remains.
_READERS: dict[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}

_KIND_OF: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
