"""Rich Text Format into text, through striprtf (extra `formats`)."""

from __future__ import annotations

import re
import warnings
from itertools import groupby

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.office import first_title
from qwen_agentkit.ingest.parts import Part, replace_surrogates
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["read_rtf"]

_TOKEN = re.compile(r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'[0-9a-f]{2}|\\[^a-z]|[{}]|[^\\{}]+|\\", re.I)
_TITLE = re.compile(r"\{\\title ([^{}\\]{1,300})\}")
_POSITIONS = {"super": "super", "sub": "sub", "nosupersub": "", "plain": "", "pard": None, "up": "super"}


def read_rtf(data: bytes) -> list[Part]:
    r"""Read Rich Text: paragraphs, rows of tables and footnotes. Hidden text (``\v``) is left out.

    Raises:
        LoadError: The file is no Rich Text, or the extra is not installed.
    """
    if not data.lstrip().startswith(b"{\\rtf"):
        raise LoadError("The file is no Rich Text; expected one that begins with {\\rtf. Save it anew.")
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError as error:
        raise LoadError(
            f"The file is Rich Text, which needs the extra 'formats' ({error}). "
            "Type: pip install 'qwen-agentkit[formats]'"
        ) from error
    source = data.decode("latin-1")
    rewritten, hidden = _rewrite(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = rtf_to_text(rewritten, errors="replace")  # type: ignore[no-untyped-call]  # has no annotations
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise LoadError(
            f"The file is broken Rich Text ({error}); expected a readable one. Save it anew and try again."
        ) from error
    title = _TITLE.search(source)
    said = ("Hidden text was left out.",) if hidden else ()
    return [Part(replace_surrogates(_write(text)), first_title(title and title[1]), said)]


def _rewrite(source: str) -> tuple[str, bool]:
    """Mark raised and lowered text, drop what is hidden, and let footnotes follow as paragraphs.

    The library knows none of these: it would read 10 and a raised 6 as 106.
    """
    written: list[str] = []
    state: tuple[str, bool] = ("", False)  # Position, and whether hidden.
    stack: list[tuple[str, bool]] = []
    before, hidden, references = "", False, 0
    for token in _TOKEN.finditer(source):
        piece, word, number = token[0], token[1], token[2]
        position, is_hidden = state
        if piece == "{":
            stack.append(state)
        elif piece == "}":
            state = stack.pop() if stack else ("", False)
        elif word == "v":
            state = (position, number != "0")
        elif word in _POSITIONS:
            raised = _POSITIONS[word]
            if raised is not None:
                state = (raised if number != "0" else "", is_hidden and word != "plain")
        elif word == "footnote":
            piece = "\\par "
        elif word == "chftn":
            references += 1
            piece = _escape(mark_raised(str((references + 1) // 2), ""))
        elif word is None and not piece.startswith("\\"):
            if is_hidden:
                hidden = hidden or bool(piece.strip())
                continue
            if position and piece.strip():
                piece = _escape(mark_raised(piece, before, lowered=position == "sub"))
            before = token[0].rstrip("\r\n") or before
        elif is_hidden and piece.startswith("\\'"):
            hidden = True
            continue
        written.append(piece)
    return "".join(written), hidden


def _escape(text: str) -> str:
    return "".join(char if char.isascii() else f"{{\\uc1\\u{ord(char)}?}}" for char in text)


def _write(text: str) -> str:
    """Write paragraphs apart, and the rows of tables as those of other formats."""
    blocks = []
    for is_row, lines in groupby(text.split("\n"), key=lambda line: line.rstrip().endswith("|")):
        if is_row:
            rows = [line.rstrip().removesuffix("|").split("|") for line in lines]
            blocks.append(rows_as_text(rows, plain="| {} |"))
        else:
            blocks += [line.strip() for line in lines]
    return "\n\n".join(filter(None, blocks))
