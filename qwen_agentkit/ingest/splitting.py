"""Split a text into chunks along its structure: sections, paragraphs, sentences, graphemes.

Knows Markdown headings, blank lines and sentences. Counts tokens through a given function, many texts at a
time because this is fastest for tokenizers. No chunk crosses a heading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest.headings import find_headings
from qwen_agentkit.text.sentences import split_sentences

__all__ = ["Chunk", "CountTokens", "split"]

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Returns the number of tokens of each text."""

Span = tuple[int, int]

_PARAGRAPH = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+\s*")
_SMALLEST = 16
_LONGEST = 64
"""Characters of a token: a longer text is halved without counting, or a long line would be counted often."""
_REACH = 2000
"""Characters from the middle of a text in which a space is looked for."""


class Chunk(NamedTuple):
    """A piece of a text: ``source[start:end] == text``. The section is its headings, joined by " > "."""

    text: str
    start: int
    end: int
    section: str


def split(text: str, count_tokens: CountTokens, max_tokens: int = 320, overlap: int = 32) -> list[Chunk]:
    """Split a text along its structure.

    Args:
        text: Plain text or Markdown.
        count_tokens: Counts the tokens of texts.
        max_tokens: Most tokens of a chunk, 16 or more.
        overlap: Most tokens that a chunk repeats of the previous one in its section, in whole sentences.

    Returns:
        Chunks in order. None has more than `max_tokens` tokens, and each has a letter or digit.

    Raises:
        InputError: `max_tokens` is below 16, or `overlap` is not less than half of it.
    """
    if max_tokens < _SMALLEST:
        raise InputError(f"max_tokens is {max_tokens!r}; expected {_SMALLEST} or more. Try 320.")
    if not 0 <= overlap < max_tokens / 2:
        raise InputError(
            f"overlap is {overlap!r}; expected 0 to less than half of max_tokens={max_tokens}. Try 32."
        )
    splitter = _Splitter(text, count_tokens, max_tokens, overlap)
    return [
        Chunk(text[start:end], start, end, section)
        for path, span in _sections(text)
        for start, end in splitter.chunks(span)
        for section in [" > ".join(path)]
        if any(char.isalnum() for char in text[start:end])
    ]


def _sections(text: str) -> Iterator[tuple[list[str], Span]]:
    """Yield the headings and the span of each section. A heading without text opens the next section."""
    path: list[tuple[int, str]] = []
    start, behind = 0, 0
    for heading in find_headings(text):
        if text[behind : heading.start].strip():
            yield [name for _, name in path], (start, heading.start)
            start = heading.start
        path = [(level, name) for level, name in path if level < heading.level]
        path.append((heading.level, heading.title))
        behind = heading.end
    yield [name for _, name in path], (start, len(text))


class _Splitter:
    """Splits the spans of one text."""

    def __init__(self, text: str, count: CountTokens, limit: int, overlap: int) -> None:
        self.text = text
        self.count = count
        self.limit = limit
        self.overlap = overlap

    def chunks(self, span: Span) -> list[Span]:
        """Split a section into trimmed spans that fit."""
        whole = self._trim(span)
        if self._count([whole])[0] <= self.limit:
            return [whole]
        units = [span]
        for finer in (self._paragraphs, self._sentences, self._halves):
            units = self._refine(units, finer)
        return [self._trim(packed) for packed in self._pack(units)]

    def _refine(self, units: list[Span], finer: Callable[[Span], list[Span]]) -> list[Span]:
        sizes = self._count(units)
        return [
            piece
            for unit, size in zip(units, sizes, strict=True)
            for piece in (finer(unit) if size > self.limit else [unit])
        ]

    def _pack(self, units: list[Span]) -> list[Span]:
        """Join neighbors while they fit. The joined text is counted, since sums of parts can be too low."""
        sizes = self._count(units)
        packed: list[Span] = []
        first = 0
        while first < len(units):
            last, total = first, sizes[first]
            while last + 1 < len(units) and total + sizes[last + 1] <= self.limit:
                last += 1
                total += sizes[last]
            while last > first and self._count([(units[first][0], units[last][1])])[0] > self.limit:
                last -= 1
            packed.append((units[first][0], units[last][1]))
            if last + 1 == len(units):
                break
            first = self._next_first(sizes, first, last)
        return packed

    def _next_first(self, sizes: Sequence[int], first: int, last: int) -> int:
        """Return the first unit of the next chunk: it repeats some units and adds at least one."""
        start, repeated = last + 1, 0
        while start - 1 > first and repeated + sizes[start - 1] <= self.overlap:
            start -= 1
            repeated += sizes[start]
        return start if repeated + sizes[last + 1] <= self.limit else last + 1

    def _paragraphs(self, span: Span) -> list[Span]:
        # Starts behind leading blank lines, since the pattern would be slow on their spaces.
        line = self.text.rfind("\n", span[0], self._trim(span)[0]) + 1
        return [match.span() for match in _PARAGRAPH.finditer(self.text, max(span[0], line), span[1])]

    def _sentences(self, span: Span) -> list[Span]:
        starts = [span[0] + found.start for found in split_sentences(self.text[slice(*span)])]
        borders = [span[0], *starts[1:], span[1]]
        return list(pairwise(borders))

    def _halves(self, span: Span) -> list[Span]:
        """Halve until everything fits, at a space near the middle or between two graphemes."""
        length = span[1] - span[0]
        if length < 2 or (length <= _LONGEST * self.limit and self._count([span])[0] <= self.limit):
            return [span]
        middle = self._find_cut(span)
        return [*self._halves((span[0], middle)), *self._halves((middle, span[1]))]

    def _find_cut(self, span: Span) -> int:
        start, end = span
        middle = (start + end) // 2
        reach = min((end - start) // 4, _REACH)
        near = sorted(range(middle - reach, middle + reach + 1), key=lambda place: abs(place - middle))
        inside = [place for place in near if start < place < end]
        for is_border in (_after_space, _between_graphemes):
            for place in inside:
                if is_border(self.text, place):
                    return place
        return middle

    def _trim(self, span: Span) -> Span:
        piece = self.text[slice(*span)]
        start = span[0] + len(piece) - len(piece.lstrip())
        return start, max(start, span[0] + len(piece.rstrip()))

    def _count(self, spans: Sequence[Span]) -> Sequence[int]:
        return self.count([self.text[start:end] for start, end in spans])


def _after_space(text: str, place: int) -> bool:
    return text[place - 1].isspace()


def _between_graphemes(text: str, place: int) -> bool:
    """Tell whether a cut here splits no accent, emoji sequence, flag or syllable."""
    before, after = text[place - 1], text[place]
    joins = unicodedata.category(after).startswith("M") or "\u200d" in (before, after)
    skin_tone = "\U0001f3fb" <= after <= "\U0001f3ff"
    flag = "\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff"
    jamo = "\u1160" <= after <= "\u11ff"
    return not (joins or skin_tone or flag or jamo)
