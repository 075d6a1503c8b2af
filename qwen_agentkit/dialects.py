"""Reads the body of one tool call, in the two dialects the Qwen families write.

Knows Hermes JSON and Coder XML as text; nothing of streams, think blocks or models.
A body that cannot be read is a `ValueError` here, which `parsing` turns into an invalid call.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from qwen_agentkit.stops import overlap

__all__ = ["OPEN_CALL", "Dialect", "begin_call", "cut_call", "guess_name", "read_call"]

Dialect = Literal["auto", "json", "xml"]

OPEN_CALL = "<tool_call>"
CLOSE_CALL = "</tool_call>"

_TAG = re.compile(r"</?tool_call>")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]*)"|<function=([^>\n]*)>')
_FUNCTION = re.compile(r"\s*<function=([^>\n]+)>(.*)</function>\s*", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>(.*?)</parameter>", re.DOTALL)


def cut_call(text: str, dialect: Dialect, *, final: bool) -> tuple[int, int] | None:
    """Find where the call that starts at the beginning of the text ends.

    A tag inside a JSON string or a parameter value is part of the value. Where the quotes of a damaged call
    never match, the first tag ends it, so that the calls after it are kept.

    Args:
        text: What follows `<tool_call>`.
        dialect: How the body is written.
        final: Whether no more text will come.

    Returns:
        The end of the body and the start of what follows the call, in characters; None while more text
        is needed.
    """
    inner: tuple[int, int] | None = None
    for tag in _TAG.finditer(text):
        cut = (tag.start(), tag.end() if tag.group() == CLOSE_CALL else tag.start())
        body = text[: tag.start()]
        if not _inside_value(body, dialect):
            return inner if inner and not _readable(body, dialect) else cut
        inner = inner or cut
    if not final:
        return None
    whole = (len(text) - overlap(text, CLOSE_CALL), len(text))
    return inner if inner and not _readable(text[: whole[0]], dialect) else whole


def read_call(body: str, dialect: Dialect, tools: Iterable[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Read the body of one call.

    Args:
        body: The text between the tags.
        dialect: How it is written; "auto" looks at its first word.
        tools: Tool schemas in the OpenAI form, which give the untyped values of the XML dialect their types.

    Returns:
        The tool's name, known or not, and its arguments, string values kept to the byte.

    Raises:
        ValueError: The body is damaged; the message says how.
    """
    return _read_xml(body, tools) if _is_xml(body, dialect) else _read_json(body)


def begin_call(dialect: Dialect, name: str | None) -> str:
    """Return the beginning of a call, as far as it is known before the model writes it.

    Args:
        dialect: How the model writes calls; "auto" means JSON.
        name: The tool to call; None lets the model choose.
    """
    if dialect == "xml":
        return f"{OPEN_CALL}\n<function=" + (f"{name}>\n" if name else "")
    named = f'{json.dumps(name, ensure_ascii=False)}, "arguments":' if name else '"'
    return f'{OPEN_CALL}\n{{"name": {named}'


def guess_name(body: str) -> str | None:
    """Return the tool name that a damaged body mentions first, if any."""
    found = _NAME.search(body)
    return (found[1] or found[2]) if found else None


def _is_xml(body: str, dialect: Dialect) -> bool:
    return dialect == "xml" or (dialect == "auto" and body.lstrip().startswith("<function="))


def _inside_value(body: str, dialect: Dialect) -> bool:
    if _is_xml(body, dialect):
        return body.rfind("<parameter=") > body.rfind("</parameter>")
    return '"' in _STRING.sub("", body)


def _readable(body: str, dialect: Dialect) -> bool:
    try:
        read_call(body, dialect, ())
    except ValueError:
        return False
    return True


def _read_json(body: str) -> tuple[str, dict[str, Any]]:
    call = _load(body)
    if not isinstance(call, dict) or not isinstance(name := call.get("name"), str) or not name:
        raise ValueError("expected a JSON object with a name and arguments")
    args = call.get("arguments")
    if isinstance(args, str):  # encoded twice
        args = _load(args)
    if args is None:
        args = {}
    if not isinstance(args, dict):
        raise ValueError("expected the arguments to be a JSON object")
    return name, args


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False)  # models write raw newlines inside strings
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _read_xml(body: str, tools: Iterable[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    function = _FUNCTION.fullmatch(body)
    if function is None:
        raise ValueError("expected <function=name> ... </function>")
    name, parameters = function[1], function[2]
    if _PARAMETER.sub("", parameters).strip():
        raise ValueError("expected only <parameter=name> ... </parameter> inside <function>")
    types = _types(name, tools)
    values = _PARAMETER.findall(parameters)
    return name, {key: _typed(_trim(value), types.get(key, [])) for key, value in values}


def _types(name: str, tools: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the JSON types that the tool's schema allows for each parameter."""
    for tool in tools:
        function = tool.get("function", tool)
        if function.get("name") == name:
            properties = function.get("parameters", {}).get("properties", {})
            return {key: list(_schema_types(schema)) for key, schema in properties.items()}
    return {}


def _schema_types(schema: Mapping[str, Any]) -> Iterable[str]:
    kind = schema.get("type", [])
    yield from [kind] if isinstance(kind, str) else kind
    for part in schema.get("anyOf", []):
        yield from _schema_types(part)


def _trim(value: str) -> str:
    """Drop the newline that the template puts on either side, and no more."""
    return value.removeprefix("\n").removesuffix("\n")


def _typed(value: str, types: list[str]) -> Any:
    """Read an untyped value as the first type that fits; a value that fits none stays as written."""
    if types and value.lower() == "null":
        return None
    for kind in types:
        try:
            return _READERS[kind](value)
        except (KeyError, ValueError):
            continue
    return value


def _number(value: str) -> int | float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return int(number) if number.is_integer() else number


def _boolean(value: str) -> bool:
    return {"true": True, "false": False}[value.lower()]


def _container(value: str) -> Any:
    loaded = _load(value)
    if not isinstance(loaded, list | dict):
        raise ValueError("expected an array or an object")
    return loaded


_READERS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": _number,
    "boolean": _boolean,
    "array": _container,
    "object": _container,
    "string": str,
}
