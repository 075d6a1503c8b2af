"""What all readers share: the parts of a document, and decoding bytes into text."""

from __future__ import annotations

import codecs
from typing import Any, NamedTuple

from qwen_agentkit.errors import LoadError

__all__ = ["Part", "decode_text", "replace_surrogates"]


class Part(NamedTuple):
    """A part of a document with metadata of its own, such as a page.

    A part without text is not stored; its warnings are reported.
    """

    text: str
    metadata: dict[str, Any]
    warnings: tuple[str, ...] = ()
    """What could not be read here, or was read with doubt: sentences for the report."""


def decode_text(data: bytes, declared: str = "") -> str:
    r"""Decode text: UTF-8, UTF-16 with a byte order mark, or else the declared encoding.

    Args:
        data: The bytes of the file.
        declared: Python's name of the encoding that the file declares; empty if it declares none.

    Returns:
        The text with ``\n`` as line ends.

    Raises:
        LoadError: The bytes are not text, or are in another encoding.
    """
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise LoadError(
                "The file is binary; expected text. Give it its true ending, or remove it."
            ) from error
        try:
            text = data.decode(declared)
        except (LookupError, ValueError):
            raise LoadError(
                f"The file is not UTF-8: byte {error.object[error.start]:#04x} at position {error.start}. "
                "Save it as UTF-8."
            ) from error
    if "\0" in text:
        raise LoadError("The file is binary; expected text. Give it its true ending, or remove it.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates by question marks: broken fonts and JSON contain them, no store keeps them."""
    return text.encode("utf-8", "replace").decode()
