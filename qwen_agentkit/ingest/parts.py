"""What a document comes out as, and bytes into plain text: what all its readers share."""

from __future__ import annotations

import codecs
from typing import Any, NamedTuple

from qwen_agentkit.errors import LoadError

__all__ = ["Part", "decoded", "storable"]


class Part(NamedTuple):
    """A piece of a document with its own place in it, such as a page."""

    text: str
    metadata: dict[str, Any]


def decoded(data: bytes, declared: str = "") -> str:
    """Read text in UTF-8, in marked UTF-16, or else in the encoding that it declares, if any."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise LoadError(
                "is a binary file, expected text; give it its true ending or remove it"
            ) from error
        try:
            text = data.decode(declared)
        except (LookupError, ValueError):
            raise LoadError(
                f"is not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}; "
                "save it as UTF-8"
            ) from error
    if "\0" in text:
        raise LoadError("is a binary file, expected text; give it its true ending or remove it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def storable(text: str) -> str:
    """Replace half characters, which no store can keep: fonts without a proper table and JSON give some."""
    return text.encode("utf-8", "replace").decode()
