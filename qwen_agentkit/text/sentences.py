"""Split a text into sentences, in any script, with exact offsets.

Knows the marks that end a sentence in any script (Unicode's property Sentence_Terminal, from the library
`regex`), list items, headings and wrapped lines. Knows no grammar: in doubt two sentences stay together,
because a quotation that is too long is still true and half a sentence may not be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import regex

__all__ = ["Sentence", "split_sentences"]


class Sentence(NamedTuple):
    """A sentence and its place: ``source[start:end] == text``."""

    text: str
    start: int
    end: int


_CLOSERS = "\"'”’»›)\\]】」』）》〉*_"
_SPACED = ".!?…‼⁇⁈⁉․⸮"
"""Marks that also stand inside words and numbers: they end a sentence only in front of a space."""
_END = regex.compile(
    rf"(?P<latin>[{_SPACED}]+[{_CLOSERS}]*)(?=\s|$)"
    # A full-width point between digits is a decimal point.
    rf"|(?:[\p{{Sentence_Terminal}}\u0f0d\u0f0e--[{_SPACED}．]]|(?<!\d)．|．(?!\d))+[{_CLOSERS}]*"
    r"|(?<=[\u0370-\u03ff\u1f00-\u1fff]);(?=\s|$)",  # the Greek question mark
    regex.V1,
)

# The sentence continues behind a quotation: 「…。」とあります。
_QUOTE_GOES_ON = re.compile(r"[。｡．]+[\"'”’»›」』]+(?=[^\W\d_])")

_LIST_MARK = re.compile(r"[ \t]*(?:[-*+•‣◦–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])[ \t]+")
_HEADING = re.compile(r"[ \t]*(?:#{1,6}[ \t]|(?:===+|---+|\*\*\*+)[ \t]*$)")
_OWN_LINE = re.compile(r"[ \t]*(?:\||>|```|~~~)")
_MARKS = re.compile(r"[ \t]*(?:(?:#{1,6}|>|[-*+•‣◦–]|\(?\d{1,3}[.)])[ \t]+)+")

# In lower case, without the last dot. A dot behind one of these does not end a sentence.
_ABBREVIATIONS = (
    "mr mrs ms dr prof jr sr messrs vs e.g i.e eg ie cf approx ca vol fig figs pp eds dept est inc ltd "
    "corp capt lt sgt rev gov rep u.s u.k a.m p.m z.b d.h u.a o.ä s.o bzw evtl ggf inkl vgl abb nr mio mrd "
    "mme mlle etc ee av env p.ex sra srta ud uds pág núm dña dott sig sigg avv exmo st mt gen col "
    "med rer nat phil jur h.c डॉ प्रो कु ডা ড মো திரு திருமதி "
    "ул им т.е т.к т.д т.п руб тыс млн млрд рис стр гл др проф д-р св напр т.зв هـ"
)
# Abbreviations only in front of a number: "No. 5", "Jan. 3", "Art. 12".
_BEFORE_NUMBER = (
    "no nos art p jan feb mar apr jun jul aug sep sept oct nov dec ст гл г tel тел tlf telf abs kap kl str "
    "max std öffn godz ust hod al nº ave sec"
)
_THAI_ERAS = ("พ.ศ", "ค.ศ")
# What may end a sentence too: "at 5 p.m. The shop ...".
_MAY_END = frozenset(("a.m", "p.m", "etc", "u.s", "u.k", "inc", "ltd", "corp", "eds", "usw", "u.a"))
_STARTS = re.compile(
    r"\s+(?:The|It|An?|In|We|They|He|She|This|These|If|There|You|After|Before|On|At|For|Please|No|All|But|And"
    r"|Der|Die|Das|Es|Ein|Eine|Wir|Sie|Er|Im|Am|Bitte)\s"
)
_NOT_AN_END = frozenset(_ABBREVIATIONS.split())
_NOT_BEFORE_A_NUMBER = frozenset(_BEFORE_NUMBER.split())
# German and related languages write the day of a date as an ordinal number: "am 3. Oktober".
_AFTER_ORDINAL = re.compile(
    r"\s+(?:jan|feb|mär|mar|apr|ma[ij]|jun|jul|aug|sep|okt|oct|nov|de[zc]|jahrh|klass|stock|etage)", re.I
)
# No sentence ends between an article and its noun: "am 5. Tag".
_BEFORE_ORDINAL = re.compile(
    r"\b(?:am|im|ans|ins|beim|vom|zum|zur|der|die|das|den|dem|des|jede[mnrs]?|eine?[mnrs]?|d[ae]n|det)\s+$",
    re.I,
)
_LONGEST_WORD = 20
"""The longest abbreviation, in characters. The bound keeps a text of dots fast."""
# Includes vowel signs: without them the last letter of a vowelled word looks like an initial.
_LAST_WORD = re.compile(
    r"[\w.\-\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0b80-\u0bff]*$"
)

_UNSPACED = regex.compile(r"[\p{Thai}\p{Lao}\p{Tibetan}\p{Khmer}\p{Myanmar}]")
_LONG = 160
"""Text of these scripts without full stops is split at spaces above this length, in characters."""
_WRAPPED = 50
"""A line of at least this width without a full stop continues in the next line."""


def split_sentences(text: str) -> list[Sentence]:
    """Split a text into sentences, without the marks of headings and list items.

    Args:
        text: Plain text or Markdown in any script.

    Returns:
        Sentences in order, without surrounding white space; none is empty. Only white space and marks lie
        between them.
    """
    sentences = []
    for start, end in _blocks(text):
        for left, right in _split_block(text, start, end):
            while left < right and text[left].isspace():
                left += 1
            while left < right and text[right - 1].isspace():
                right -= 1
            if any(char.isalnum() for char in text[left:right]):
                sentences.append(Sentence(text[left:right], left, right))
    return sentences


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of blocks: a paragraph, a list item, a heading, a table row."""
    start: int | None = None
    position = 0
    previous = ""
    for line in text.splitlines(keepends=True):
        if start is not None and not _continues_block(previous, line):
            yield start, position
            start = None
        if start is None and line.strip():
            marks = _MARKS.match(line)
            start = position + (marks.end() if marks else 0)
        previous = line
        position += len(line)
    if start is not None:
        yield start, position


def _continues_block(previous: str, line: str) -> bool:
    if not line.strip() or any(mark.match(line) for mark in (_LIST_MARK, _HEADING, _OWN_LINE)):
        return False
    if _HEADING.match(previous) or _OWN_LINE.match(previous):
        return False
    # A line holds half as many wide characters.
    width = sum(2 if char >= "\u2e80" else 1 for char in previous.strip())
    return width >= _WRAPPED or line.lstrip()[0].islower()


def _split_block(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    left = start
    for match in _END.finditer(text, start, end):
        if match["latin"] and _continues_sentence(text, left, match):
            continue
        if _QUOTE_GOES_ON.match(text, match.start()):
            continue
        yield from _split_unspaced(text, left, match.end())
        left = match.end()
    yield from _split_unspaced(text, left, end)


def _continues_sentence(text: str, left: int, match: regex.Match[str]) -> bool:
    after = text[match.end() : match.end() + 12]
    following = after.lstrip()[:1]
    if following.islower():
        return True
    if match[0] != ".":
        return False
    found = _LAST_WORD.search(text, max(left, match.start() - _LONGEST_WORD), match.start())
    word = found[0].lower() if found else ""
    # A single letter is an initial or half of an abbreviation: "J. Smith", "z. B.", "د. أحمد".
    if word in _MAY_END and _STARTS.match(after):
        return False
    if word in _NOT_AN_END or word.endswith(_THAI_ERAS) or (len(word) == 1 and word.isalpha()):
        return bool(following)
    # "Hauptstr. 5" is a German address.
    if following.isdigit() and (word in _NOT_BEFORE_A_NUMBER or word.endswith("str")):
        return True
    if not (word.isdigit() and len(word) <= 2):
        return False
    start = match.start() - len(word)
    return bool(_AFTER_ORDINAL.match(after) or _BEFORE_ORDINAL.search(text, max(left, start - 8), start))


def _split_unspaced(text: str, left: int, right: int) -> Iterator[tuple[int, int]]:
    """Split long text of scripts in which a space, not a mark, ends most sentences."""
    if right - left > _LONG and len(_UNSPACED.findall(text, left, right)) * 2 > right - left:
        cut = left
        for space in re.finditer(r"\s+", text[left:right]):
            if left + space.start() - cut >= _LONG // 2:
                yield cut, left + space.start()
                cut = left + space.end()
        left = cut
    yield left, right
