"""Finds and reads single tool calls, in the two dialects of the Qwen families.

Knows Hermes JSON and Coder XML as text, nothing about streams, think blocks or models.
A body that cannot be read is a `ValueError` here, which `parsing` turns into an invalid call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from qwen_agentkit.chat.coercion import coerce, load_json, parameter_kinds
from qwen_agentkit.chat.stops import overlap
from qwen_agentkit.chat.tags import (
    CLOSE_CALL,
    CLOSE_FUNCTION,
    CLOSE_PARAMETER,
    OPEN_CALL,
    OPEN_FUNCTION,
    OPEN_PARAMETER,
)

__all__ = [
    "CallEnd",
    "Dialect",
    "find_call",
    "guess_name",
    "is_readable",
    "partial_call",
    "read_call",
    "read_calls",
]

Dialect = Literal["auto", "json", "xml", "none"]
"""How calls are written; with "none" all text is content."""

_TAGGED = re.compile(OPEN_CALL)
# Coder models sometimes forget the tag; what follows the name tells such a call from prose about functions.
_TAGGED_OR_BARE = re.compile(
    rf"{OPEN_CALL}|{OPEN_FUNCTION}[^<>\n]+>(?=\s{{0,8}}(?:{OPEN_PARAMETER}|{CLOSE_FUNCTION}))"
)
_HALF_BARE = re.compile(rf"{OPEN_FUNCTION}[^<>\n]*(?:>\s{{0,8}}(?:<[^<>\n]{{0,9}})?)?")

_FUNCTION = re.compile(rf"{OPEN_FUNCTION}([^<>\n]+)>(.*){CLOSE_FUNCTION}", re.DOTALL)
_PARAMETER = re.compile(rf"\s*{OPEN_PARAMETER}([^<>\n]+)>(.*)", re.DOTALL)
# JSON as some models put it between the tags.
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
_NAME = re.compile(rf'"name"\s*:\s*"([^"\\]*)"|{OPEN_FUNCTION}([^<>\n]*)>')

# What ends a state of the search, outside and inside a value of each dialect: "flip" leads to the other one.
_TAG = f"(?P<tag>{OPEN_CALL}|{CLOSE_CALL})"
_OUTSIDE_JSON = re.compile(rf'(?P<flip>")|{_TAG}')
_INSIDE_JSON = re.compile(rf'\\.|(?P<flip>")|{_TAG}', re.DOTALL)
_OUTSIDE_XML = re.compile(rf"(?P<flip>{OPEN_PARAMETER})|(?P<end>{CLOSE_FUNCTION})|{_TAG}")
_INSIDE_XML = re.compile(rf"(?P<flip>{CLOSE_PARAMETER})|{_TAG}")
_LONGEST = len(CLOSE_CALL)


def find_call(text: str, dialect: Dialect) -> tuple[int, int] | None:
    """Find the first call in a text.

    Returns:
        Where the call starts and where its body does, in characters; None if no call is open yet.
    """
    if dialect == "none":
        return None
    found = (_TAGGED if dialect == "json" else _TAGGED_OR_BARE).search(text)
    if found is None:
        return None
    return found.start(), found.end() if found.group() == OPEN_CALL else found.start()


def partial_call(text: str, dialect: Dialect) -> int:
    """Return the length of the end of a text that may be the beginning of a call, in characters."""
    if dialect == "none":
        return 0
    tagged = overlap(text, OPEN_CALL)
    if dialect == "json":
        return tagged
    start = text.rfind(OPEN_FUNCTION)
    bare = len(text) - start if start >= 0 and _HALF_BARE.fullmatch(text, start) else 0
    return max(tagged, bare, overlap(text, OPEN_FUNCTION))


class CallEnd:
    """Finds the end of a call at the start of a growing text.

    A tag inside a JSON string or a parameter value is part of the value. If the quotes of a damaged call
    never match, the first tag ends it, so that the calls after it are kept. Each character is read once.

    Args:
        dialect: How the body is written; "auto" looks at its first word.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._steps: tuple[re.Pattern[str], re.Pattern[str]] | None = None
        self._closer = ""  # ends a value
        self._inside = False
        self._at = 0  # what comes before has been read
        self._inner: tuple[int, int] | None = None  # the first tag inside a value, the end of a damaged call

    def find(self, text: str, *, final: bool = False) -> tuple[int, int] | None:
        """Read what is new in the text.

        Args:
            text: What follows `<tool_call>`, so far.
            final: Whether a value that is still open will never be closed.

        Returns:
            The end of the body and the start of what follows the call, in characters; None while more text
            is needed.
        """
        if self._steps is None:
            if OPEN_FUNCTION.startswith(text.lstrip()):
                return None
            is_xml = _is_xml(text, self._dialect)
            self._steps = (_OUTSIDE_XML, _INSIDE_XML) if is_xml else (_OUTSIDE_JSON, _INSIDE_JSON)
            self._closer = CLOSE_PARAMETER if is_xml else '"'
        while step := self._steps[self._inside].search(text, self._at):
            if step.lastgroup == "end":
                return self._after_function(text, step.end())
            if step.lastgroup == "flip":
                self._inside = not self._inside
            elif step.lastgroup == "tag":
                cut = step.start(), step.end() if step.group() == CLOSE_CALL else step.start()
                if not self._inside:
                    return self._choose(text, cut)
                self._inner = self._inner or cut
                if final and text.find(self._closer, step.end()) < 0:
                    return self._inner
            self._at = step.end()
        self._at = max(self._at, len(text) - _LONGEST + 1)
        return None

    def close(self, text: str) -> tuple[int, int]:
        """Read the text to its end, after which no more comes; returns what `find` does."""
        return self.find(text, final=True) or self._choose(
            text, (len(text) - overlap(text, CLOSE_CALL), len(text))
        )

    def _after_function(self, text: str, end: int) -> tuple[int, int] | None:
        """Return the end of a call after its function: at the closing tag, if there is one."""
        rest = text[end:].lstrip()
        if rest.startswith(CLOSE_CALL):
            return self._choose(text, (end, len(text) - len(rest) + len(CLOSE_CALL)))
        return None if CLOSE_CALL.startswith(rest) else self._choose(text, (end, end))

    def _choose(self, text: str, cut: tuple[int, int]) -> tuple[int, int]:
        if self._inner and not is_readable(text[: cut[0]], self._dialect):
            return self._inner
        return cut


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
    try:
        call = _read_xml(body, tools) if _is_xml(body, dialect) else _read_json(body)
        # Python reads halves of escaped characters and infinity, which cannot be written again.
        json.dumps(call, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return call


def read_calls(
    body: str, dialect: Dialect, tools: Iterable[Mapping[str, Any]]
) -> list[tuple[str, dict[str, Any]]]:
    """Read a body that may hold several whole calls, as a list or one after the other; else as `read_call`.

    Raises:
        ValueError: The body, or one of its calls, is damaged.
    """
    if _is_xml(body, dialect):
        return [read_call(body, dialect, tools)]
    if fenced := _FENCED.fullmatch(body):
        body = fenced[1]
    return [read_call(part, "json", tools) for part in _split_objects(body)]


def is_readable(body: str, dialect: Dialect) -> bool:
    """Whether `read_calls` can read the body."""
    try:
        read_calls(body, dialect, ())
    except ValueError:
        return False
    return True


def guess_name(body: str) -> str | None:
    """Return the tool name that a damaged body mentions first, if any."""
    found = _NAME.search(body)
    return (found[1] or found[2]) if found else None


def _is_xml(body: str, dialect: Dialect) -> bool:
    return dialect == "xml" or (dialect == "auto" and body.lstrip().startswith(OPEN_FUNCTION))


def _split_objects(body: str) -> list[str]:
    """Return the JSON objects of a body that holds several of them and nothing else; else the body."""
    text = body.strip()
    if text.startswith("["):
        text, separator = text[1:].removesuffix("]").strip(), ","
        if not body.rstrip().endswith("]"):
            return [body]
    else:
        separator = ""
    decoder, parts, start = json.JSONDecoder(strict=False), [], 0
    try:
        while start < len(text):
            found, end = decoder.raw_decode(text, start)
            if not isinstance(found, dict):
                return [body]
            parts.append(text[start:end])
            rest = text[end:].lstrip()
            if rest and separator and not rest.startswith(separator):
                return [body]
            start = len(text) - len(rest.removeprefix(separator).lstrip())
    except (ValueError, RecursionError):
        return [body]
    return parts or [body]


def _read_json(body: str) -> tuple[str, dict[str, Any]]:
    call = load_json(body)
    if not isinstance(call, dict) or not isinstance(name := call.get("name"), str) or not name:
        raise ValueError("expected a JSON object with a name and arguments")
    if "arguments" not in call and len(call) > 1:
        raise ValueError("expected the arguments under the key 'arguments'")
    args = call.get("arguments")
    while isinstance(args, str):  # encoded twice, or more often
        args = load_json(args)
    if args is None:
        args = {}
    if not isinstance(args, dict):
        raise ValueError("expected the arguments to be a JSON object")
    return name, args


def _read_xml(body: str, tools: Iterable[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    function = _FUNCTION.fullmatch(body.strip())
    if function is None:
        raise ValueError(f"expected {OPEN_FUNCTION}name> ... {CLOSE_FUNCTION}")
    *parameters, rest = function[2].split(CLOSE_PARAMETER)
    found = [_PARAMETER.fullmatch(parameter) for parameter in parameters]
    if rest.strip() or None in found:
        raise ValueError(f"expected only {OPEN_PARAMETER}name> ... {CLOSE_PARAMETER} inside the function")
    values = {parameter[1]: _trim(parameter[2]) for parameter in found if parameter}
    if len(values) < len(found):
        raise ValueError("expected each parameter once")
    kinds = parameter_kinds(function[1], tools)
    return function[1], {name: coerce(value, kinds.get(name, set())) for name, value in values.items()}


def _trim(value: str) -> str:
    """Drop the newline that the template puts on either side, and no more."""
    return value.removeprefix("\n").removesuffix("\n")
