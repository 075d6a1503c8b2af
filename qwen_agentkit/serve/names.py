"""Names that come from outside and become names of files. Opens no file."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest.discovery import SUFFIXES
from qwen_agentkit.serve.texts import INVISIBLE, JOINERS

__all__ = ["check_document_name", "check_name"]

_MOST_BYTES = 200
"""File systems take 255, and a name gets an ending while it is written."""
_SEPARATORS = set('/\\:*?"<>|')
_UNDECODED = "\ufffd"
"""Stands for bytes that are not UTF-8, so that two names would become one."""
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{kind}{digit}" for kind in ("com", "lpt") for digit in "123456789¹²³")]
)
"""Windows opens these in place of a file, whatever ending they have."""


def check_name(name: str, what: str) -> str:
    """Return a name in NFC that is safe as the name of one file or folder.

    Args:
        name: In any script.
        what: Is named so, for the error.

    Raises:
        InputError: The name is empty or too long, begins with a dot, or has characters that separate folders,
            cannot be seen, or turn the direction of writing, or it is that of a device on Windows.
    """
    name = unicodedata.normalize("NFC", name)
    bad = [
        character
        for character in name
        if character in _SEPARATORS
        or character == _UNDECODED
        or (unicodedata.category(character) in INVISIBLE and character not in JOINERS)
    ]
    if bad:
        listed = ", ".join(dict.fromkeys(f"U+{ord(character):04X}" for character in bad))
        raise InputError(
            f"The name {ascii(name)[:120]} of the {what} has characters that are not allowed: {listed}. "
            "Expected letters, digits, spaces and punctuation, without control and direction characters. "
            "Rename it."
        )
    if not name.strip(" .") or name.startswith((".", "~$")) or name != name.strip():
        raise InputError(
            f"The name {name!r} of the {what} is empty, or begins or ends with a dot or a space. Rename it."
        )
    if name.partition(".")[0].rstrip().lower() in _DEVICES:
        raise InputError(f"The name {name!r} of the {what} is that of a device on Windows. Rename it.")
    if len(name.encode()) > _MOST_BYTES:
        raise InputError(
            f"The name {name[:40]!r}... of the {what} has {len(name.encode())} bytes; expected at most "
            f"{_MOST_BYTES}. Shorten it."
        )
    return name


def check_document_name(name: str) -> str:
    """Return the name of a document to store.

    Raises:
        InputError: As `check_name`, or there is no reader for its ending.
    """
    name = check_name(name, "document")
    if PurePosixPath(name).suffix.lower() not in SUFFIXES:
        raise InputError(
            f"There is no reader for {name!r}; expected a name that ends in {', '.join(sorted(SUFFIXES))}. "
            "Convert the file."
        )
    return name
