"""What all readers share: the parts of a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Part", "Reader", "replace_surrogates"]


class Part(NamedTuple):
    """A part of a document with metadata of its own, such as a page.

    A part without text is not stored; its warnings are reported.
    """

    text: str
    metadata: dict[str, Any]
    warnings: tuple[str, ...] = ()
    """What could not be read here, or was read with doubt: sentences for the report."""


Reader = Callable[[bytes], list[Part]]
"""Reads the bytes of a document."""


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates by question marks: broken fonts and JSON contain them, no store keeps them."""
    return text.encode("utf-8", "replace").decode()
