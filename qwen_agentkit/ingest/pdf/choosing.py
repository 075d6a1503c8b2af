"""Which reader's glyphs of a page to believe, by evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from qwen_agentkit.ingest.pdf.characters import clean, count_torn, illegible, may_be_words, needs_care
from qwen_agentkit.ingest.pdf.glyphs import Glyph

__all__ = ["choose_glyphs", "find_doubt"]

_AGREEMENT = 0.5
"""Readers that share a smaller part of their letters have not read the same page."""


def choose_glyphs(
    first: list[Glyph], ask_second: Callable[[], list[Glyph] | None]
) -> tuple[list[Glyph], str]:
    """Return the glyphs to believe, and a sentence of doubt or nothing.

    PDFium is believed where each glyph is a character, as in Latin, Cyrillic or Han text. Elsewhere the
    content itself is read, which is slower, and believed unless it is less legible.

    Args:
        first: The glyphs by PDFium.
        ask_second: Reads them from the content; None if that fails.
    """
    text = join(first)
    if not first or not (needs_care(text) or any(not glyph.text for glyph in first)):
        return first, ""
    second = ask_second()
    dropped = bool(second) and _unknown(first) > 0.3 * len(first) and len(second or ()) < 0.5 * len(first)
    if not second or dropped or _legible(second) < 0.6 * _legible(first):
        return _believe_guess(first)
    if _unknown(first) < 0.3 * len(first) and _agreement(text, join(second)) < _AGREEMENT:
        return second, "Two readers do not agree on the text of this page. Compare it with the page."
    if illegible(join(second), _unknown(second)):
        return _believe_guess(first) if _reads_like_words(first) else (second, "")
    return second, ""


def _believe_guess(glyphs: list[Glyph]) -> tuple[list[Glyph], str]:
    """Take glyphs without text for the characters of their codes if that gives words."""
    if not _reads_like_words(glyphs):
        return glyphs, ""
    for glyph in glyphs:
        glyph.text = glyph.text or glyph.guess
    return (
        glyphs,
        "The file does not say which letters it shows; they are guessed. Compare them with the page.",
    )


def _reads_like_words(glyphs: Sequence[Glyph]) -> bool:
    guessed = any(glyph.guess for glyph in glyphs)
    return guessed and may_be_words("".join(glyph.text or glyph.guess for glyph in glyphs))


def find_doubt(glyphs: Sequence[Glyph], text: str) -> tuple[bool, str]:
    """Tell whether a page can be stored, and a sentence of doubt or nothing.

    Args:
        glyphs: The glyphs of the page.
        text: Their text, with spaces between words.
    """
    strange = "".join(glyph.text for glyph in glyphs if not clean(glyph.text))
    reason = illegible(text + strange, sum(not glyph.text and glyph.x1 > glyph.x0 for glyph in glyphs))
    if reason:
        return False, (
            f"The page holds no legible text: {reason}. Install Tesseract, which reads the picture of the "
            "page, or save it anew."
        )
    lost = _lost(glyphs)
    if lost:
        return True, (
            f"{lost} {'letters have' if lost > 1 else 'letter has'} no text in the file and "
            f"{'are' if lost > 1 else 'is'} missing in words. Compare them with the page."
        )
    if torn := count_torn(text):
        return True, (
            f"{torn} letters stand alone where the script joins them; words are torn apart or lack letters. "
            "Compare them with the page."
        )
    return True, ""


def join(glyphs: Sequence[Glyph]) -> str:
    """Return the text of glyphs in the order in which they come."""
    return "".join(glyph.text for glyph in glyphs)


def _unknown(glyphs: Sequence[Glyph]) -> int:
    return sum(map(_is_unknown, glyphs))


def _is_unknown(glyph: Glyph) -> bool:
    return glyph.x1 > glyph.x0 and not clean(glyph.text)


def _lost(glyphs: Sequence[Glyph]) -> int:
    """Return how many letters of words have no text.

    A glyph without text is not lost if one beside it has the text of several: the one behind it or the one in
    front, as the producer has it. A symbol that stands alone, such as the mark of a list, is no letter.
    """
    if all(clean(glyph.text) for glyph in glyphs):
        return 0
    return min(_count_lost(glyphs, 0), _count_lost(glyphs, 1))


def _count_lost(glyphs: Sequence[Glyph], preferred: int) -> int:
    texts = [clean(glyph.text) for glyph in glyphs]
    covering: set[int] = set()
    lost = 0
    for known, group in groupby(range(len(glyphs)), lambda index: bool(texts[index])):
        indices = list(group)
        wide = sum(glyphs[index].x1 > glyphs[index].x0 for index in indices)
        if known or not wide:
            continue
        beside = [
            other
            for other, edge in ((indices[-1] + 1, indices[-1]), (indices[0] - 1, indices[0]))
            if 0 <= other < len(glyphs)
            and any(map(str.isalpha, texts[other]))
            and _touch(glyphs[other], glyphs[edge])
        ]
        beside = beside[::-1] if preferred else beside
        cover = next((other for other in beside if len(texts[other]) > 1 and other not in covering), None)
        if cover is not None:
            covering.add(cover)
        elif beside:
            lost += wide
    return lost


def _touch(one: Glyph, other: Glyph) -> bool:
    gap = max(one.x0 - other.x1, other.x0 - one.x1)
    return abs(one.y - other.y) < 0.1 * one.size and gap < 0.15 * max(one.size, other.size)


def _legible(glyphs: Sequence[Glyph]) -> int:
    return sum(char.isalnum() for char in clean(join(glyphs)))


def _agreement(one: str, other: str) -> float:
    """Return the share of letters that two texts have in common, in any order."""
    letters = [Counter(char for char in clean(text) if char.isalnum()) for text in (one, other)]
    common = sum((letters[0] & letters[1]).values())
    return common / max(1, *(sum(counts.values()) for counts in letters))
