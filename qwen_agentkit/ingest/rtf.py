"""Rich Text Format into text, through striprtf (extra `formats`)."""

from __future__ import annotations

import re
import warnings
from itertools import groupby
from typing import NamedTuple

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.office import first_title
from qwen_agentkit.ingest.parts import Part, replace_surrogates
from qwen_agentkit.ingest.struck import join_struck, mark_struck
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["read_rtf"]

_TOKEN = re.compile(r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'[0-9a-f]{2}|\\[^a-z]|[{}]|[^\\{}]+|\\", re.I)
_TITLE = re.compile(r"\{\\title ([^{}\\]{1,300})\}")
_POSITIONS = {"super": "super", "sub": "sub", "nosupersub": "", "plain": "", "up": "super", "dn": "sub"}
_APART = re.compile(r"footnote|header[lrf]?|footer[lrf]?|shptxt|dptxbxtext")
"""Groups that are written as paragraphs of their own."""
_BOXES = frozenset({"shp", "shpinst", "shpgrp", "do"})
"""Groups of drawn boxes, which the library passes over with the text in them."""


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
    said: tuple[str, ...] = ("Hidden text was left out.",) if hidden else ()
    # Characters beyond 16 bits are written as two numbers.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return [Part(join_struck(replace_surrogates(_write(text))), first_title(title and title[1]), said)]


class _State(NamedTuple):
    """What holds in a group."""

    position: str = ""
    hidden: bool = False
    struck: bool = False
    skipped: int = 1
    """How many characters stand for one that is written by its number."""
    end: str = ""
    """What ends the group."""

    def after(self, word: str, number: str | None) -> _State:
        """Return the state behind a control word."""
        on = number != "0"
        if word in _POSITIONS:
            plain = word == "plain"
            state = self._replace(position=_POSITIONS[word] if on else "")
            return state._replace(hidden=False, struck=False) if plain else state
        if word in ("v", "deleted"):
            return self._replace(hidden=on)
        if word in ("strike", "striked"):
            return self._replace(struck=on)
        if word == "uc":
            return self._replace(skipped=int(number or 1))
        return self._replace(end="\\par ") if _APART.fullmatch(word) else self


def _rewrite(source: str) -> tuple[str, bool]:
    """Mark raised, lowered and struck text, drop what is hidden, and let notes follow as paragraphs.

    The library knows none of these: it would read 10 and a raised 6 as 106.
    """
    written: list[str] = []
    state, stack = _State(), list[_State]()
    before, hidden, references, skip = "", False, 0, 0
    for token in _TOKEN.finditer(source):
        piece, word, number = token[0], token[1], token[2]
        if piece == "{":
            stack.append(state)
            state = state._replace(end="")
        elif piece == "}":
            piece = f"{state.end}}}"
            state = stack.pop() if stack else _State()
        elif word == "chftn":
            references += 1
            piece = _escape(mark_raised(str((references + 1) // 2), ""))
        elif word == "u" and (state.position or state.struck or state.hidden):
            skip = state.skipped
            piece = _show(chr(int(number or 0) % 0x10000), before, state, escape=True)
            before = ""
        elif word:
            state = state.after(word, number)
            piece = "\\par " if word == "column" or (state.end and _APART.fullmatch(word)) else piece
            piece = "" if word == "pntext" or word in _BOXES else piece
            if word in _BOXES and written[-1:] == ["\\*"]:
                written.pop()
        elif piece.startswith("\\'"):
            if skip or state.hidden:
                skip, hidden = max(0, skip - 1), hidden or not skip
                continue
            if (char := chr(int(piece[2:], 16))).isascii():
                piece, before = _show(char, before, state), char
        elif not piece.startswith("\\"):
            piece, skip = piece[skip:], 0
            hidden = hidden or (state.hidden and bool(piece.strip()))
            before, piece = piece.rstrip("\r\n") or before, _show(piece, before, state)
        written.append(piece)
    return "".join(written), hidden


def _show(text: str, before: str, state: _State, *, escape: bool = False) -> str:
    """Return text as it is seen."""
    if state.hidden:
        return ""
    shown = text
    if state.position and text.strip():
        shown = mark_raised(text, before, lowered=state.position == "sub")
    if state.struck:
        shown = mark_struck(shown)
    return _escape(shown) if escape or shown != text else text


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
