"""Whether a claim denies what its source says, or says what its source denies.

Compares only where a claim repeats words of a sentence in their order and differs from it in nothing but
words such as "not": other words for the same thing ("forbidden") are no contradiction that can be seen here.
Knows the words and endings of negation of many languages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.text.stems import find_stems

__all__ = ["find_denial"]

# Words that only carry a negation, and that the sentence without it lacks: "does not open", "opens".
_CARRIERS = {"en": frozenset(["do", "does", "did"])}
_SAME_SIGNS = {"ja": ("はでき", "ができ")}
_MARKS = "\u0300-\u036f\u0900-\u0963\u0971-\u0dff"
_TOKEN = re.compile(rf"(?:[^\W_]|[{_MARKS}])+(?:['’][^\W_]+)?")
_FEWEST = 2
"""The words of a claim that make it the same statement, without negations."""
_FEWEST_SIGNS = 4
_LONGEST = 300


class _Plain(NamedTuple):
    """The words or characters of a text without negations, and which negations stand where."""

    tokens: list[str]
    denied: list[int]
    """The number of words in front of each negation."""
    said: list[str]
    """The negations as written."""

    def add_negation(self, word: str) -> None:
        """Note a negation behind the words read so far."""
        self.denied.append(len(self.tokens))
        self.said.append(word)


def find_denial(claim: str, passages: Sequence[str], language: str) -> str | None:
    """Return the negation in which a claim differs from a sentence that it repeats; None if in none.

    Args:
        claim: A sentence without citation markers.
        passages: The texts of its sources, in the language of the claim.
        language: The language of the claim.
    """
    code = language.split("-")[0]
    if len(claim) > _LONGEST or not (code in _load()["words"] or code in _load()["signs"]):
        return None
    own = _read(claim, code)
    if len(own.tokens) < (_FEWEST_SIGNS if code in _load()["signs"] else _FEWEST):
        return None
    # Each repetition of the claim, with the negations in it.
    repeated = [
        _find_negations(sentence, place, place + len(own.tokens))
        for passage in passages
        for sentence in _read_sentences(passage, code)
        for place in _find_places(own.tokens, sentence.tokens)
    ]
    if not repeated or any(bool(inside) == bool(own.said) for inside in repeated):
        return None
    return (own.said or repeated[0])[0]


def _find_negations(sentence: _Plain, start: int, end: int) -> list[str]:
    """Return the negations of a run of words; what stands behind the run may belong to other words."""
    is_last = end == len(sentence.tokens)
    places = zip(sentence.said, sentence.denied, strict=True)
    return [said for said, place in places if start <= place < end + is_last]


def _find_places(part: list[str], whole: list[str]) -> list[int]:
    """Return where a run of words occurs in another."""
    length = len(part)
    starts = (place for place, token in enumerate(whole) if token == part[0])
    return [place for place in islice(starts, 100) if whole[place : place + length] == part]


@lru_cache(maxsize=64)  # Every sentence of an answer is compared with the same few passages.
def _read_sentences(passage: str, code: str) -> list[_Plain]:
    return [_read(found.text, code) for found in split_sentences(passage) if len(found.text) <= _LONGEST]


def _read(text: str, code: str) -> _Plain:
    return _read_signs(text, code) if code in _load()["signs"] else _read_words(text, code)


def _read_words(text: str, code: str) -> _Plain:
    plain = _Plain([], [], [])
    negations = _load_negations(code)
    folded = normalize_text(text)
    for match in _TOKEN.finditer(folded if code == "vi" else remove_accents(folded)):
        for word in _split_joined(match[0], code):
            if remove_accents(word) in negations:
                plain.add_negation(word)
                continue
            stem = _remove_denial(word, code)
            if stem != word:
                plain.add_negation(word)
            for loose, same in _load_loose(code):
                stem = loose.sub(same, stem)
            if not _CARRIERS.get(code, frozenset()) & {word, stem}:
                # "Does not cover" is the opposite of "covers".
                plain.tokens.append(find_stems(stem, code)[0] if code == "en" else stem)
    return plain


def _remove_denial(word: str, code: str) -> str:
    """Return a word without the denial inside it: "can" for "can't"."""
    changed = (pattern.sub(without, word) for pattern, without in _load_inside(code))
    return next((other for other in changed if other != word), word)


def _split_joined(word: str, code: str) -> list[str]:
    """Split what French and Italian join: "n'est" is "n" and "est". English keeps "can't"."""
    return re.split("['’]", word) if code in ("fr", "it", "ca") else [word]


def _read_signs(text: str, code: str) -> _Plain:
    folded = normalize_text(text)
    plain = _Plain([], [], [])
    marked = folded.replace(*_SAME_SIGNS[code]) if code in _SAME_SIGNS else folded
    for place, (pattern, without) in enumerate(_load()["signs"][code]):
        marked = re.sub(pattern, chr(0xE000 + place) + without, marked)
    for char in marked:
        if "\ue000" <= char <= "\ue0ff":
            plain.add_negation(_find_sign(folded, _load()["signs"][code][ord(char) - 0xE000][0]))
        elif char.isalnum() or "\u0e30" <= char <= "\u0e4e":
            plain.tokens.append(char)
    return plain


def _find_sign(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0].strip() if found else ""


def _load() -> dict[str, dict[str, Any]]:
    """Return the tables by language.

    "words" deny; "inside" are denials inside a word, with the word without them; "loose" makes forms of a
    word the same; "signs" are denials in scripts without spaces, with the text without them.
    """
    tables: dict[str, dict[str, Any]] = load_table("negations")
    return tables


@lru_cache(maxsize=64)
def _load_negations(code: str) -> frozenset[str]:
    return frozenset(remove_accents(normalize_text(word)) for word in _load()["words"].get(code, "").split())


@lru_cache(maxsize=64)
def _load_inside(code: str) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), without) for pattern, without in _load()["inside"].get(code, ())]


@lru_cache(maxsize=64)
def _load_loose(code: str) -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), same) for pattern, same in _load()["loose"].get(code, ())]
