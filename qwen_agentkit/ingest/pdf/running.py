"""What the pages of one document share: running headers, page numbers, and sentences that go on overleaf."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from qwen_agentkit.ingest.pdf.characters import script_of
from qwen_agentkit.ingest.pdf.layout import join_lines
from qwen_agentkit.ingest.pdf.lines import Row
from qwen_agentkit.text.sentences import split_sentences

__all__ = ["join_pages", "running_lines", "without_lines"]

_OUTER = 3
"""How many lines at the head and at the foot of a page may be running ones."""
_END = re.compile(r"[.!?:;…。．！？：；؟۔؛।॥።፧၊။។៕։᠃᱾܂]['\"”’»)\]」』]*$")
_NUMBER = re.compile(r"\d+")
Place = tuple[int, int]
"""A page and a line of it, counted from 0."""


def running_lines(pages: Sequence[Sequence[Row]]) -> dict[Place, str]:
    """Return the lines that stand at one place of many pages.

    Lines are alike if their texts are equal, or differ in a number that counts the pages. The result holds
    their text, empty in the second case.
    """
    places: dict[tuple[str, int | None, int], set[Place]] = defaultdict(set)
    texts: dict[Place, str] = {}
    for page, rows in enumerate(pages):
        for index in sorted({*range(len(rows))[:_OUTER], *range(len(rows))[-_OUTER:]}):
            text = " ".join(segment.text for segment in rows[index])
            texts[page, index] = text
            height = round(rows[index][0].y / 3)
            for key in _keys(text, page):
                for near in (height, height + 1):
                    places[(*key, near)].add((page, index))
    filled = sum(map(bool, pages))
    repeated = max(2, 0.4 * filled)
    # Numbers in text go up by chance, but not from page to page all the way; a title page has none.
    counted = max(2, filled - max(filled > 3, filled // 4))
    return {
        place: texts[place] if offset is None else ""
        for (_, offset, _), found in places.items()
        if len({page for page, _ in found}) >= (repeated if offset is None else counted)
        for place in found
    }


def _keys(text: str, page: int) -> list[tuple[str, int | None]]:
    """Return what a line may share with those of other pages: its text, or that without the page's number."""
    numbered = [
        (f"{text[: match.start()]}#{text[match.end() :]}", int(match[0]) - page)
        for match in _NUMBER.finditer(text)
        if len(match[0]) < 6
    ]
    return [(text, None), *numbered]


def without_lines(pages: Sequence[Sequence[Row]], places: dict[Place, str]) -> list[list[Row]]:
    """Return the pages without some of their lines, unless nothing else is on a page."""
    kept = []
    for page, rows in enumerate(pages):
        own = [row for index, row in enumerate(rows) if (page, index) not in places]
        # A page of nothing else, such as a form, keeps its text.
        kept.append(own or [row for row in rows if any(map(str.isalpha, row[0].text))])
    return kept


def join_pages(pages: list[list[str]]) -> None:
    """Move the rest of a sentence that goes on overleaf to the page on which it starts, in place.

    Args:
        pages: The paragraphs of each page.
    """
    for paragraphs, following in pairwise(pages):
        if paragraphs and following and _goes_on(paragraphs[-1], following[0]):
            end = _first_sentence_end(following[0])
            paragraphs[-1] = join_lines(paragraphs[-1], following[0][:end].strip())
            rest = following[0][end:].strip()
            following[:1] = [rest] if rest else []


def _goes_on(text: str, following: str) -> bool:
    """Tell whether a paragraph at the end of a page is continued by the first one of the next."""
    last, first = text.rsplit("\n", 1)[-1], following.split("\n", 1)[0]
    if _END.search(last) or " | " in last or " | " in first or not (last and first):
        return False
    if script_of(_letters(last)[-1:]) != script_of(_letters(first)[:1]):
        return False
    if first[0].islower() or last.endswith(("-", "\u2010", ",", "،", "、")):
        return True
    if not (last[-1].isalnum() and first[0].isalnum()):
        return False
    # A heading is short. A sentence that goes on with a capital stops at a small word, such as "of".
    words = last.split()
    if first[0].isupper():
        return len(words) > 4 and words[-1].islower() and len(words[-1]) < 4
    return len(last) > 12


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


def _first_sentence_end(text: str) -> int:
    sentences = split_sentences(text)
    return sentences[0].end if sentences else len(text)
