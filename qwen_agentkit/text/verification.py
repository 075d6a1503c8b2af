"""Check every sentence of an answer against the passages it cites.

Knows text, documents and any scorer of pairs. Is no proof: see `qwen_agentkit.text.evidence`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from langchain_core.documents import Document
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.citations import (
    find_markers,
    marker_numbers,
    nearest_sentence,
    without_markers,
)
from qwen_agentkit.text.evidence import Evidence
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.missing import Missing, find_missing
from qwen_agentkit.text.sentences import Sentence, split_sentences

__all__ = [
    "CheckedSentence",
    "Missing",
    "Support",
    "Unsupported",
    "Verdict",
    "Verification",
    "place_verification",
    "treat_unsupported",
    "verify_citations",
]

Score = Callable[[list[tuple[str, str]]], Sequence[float]]
"""Scores pairs of (claim, passage) from 0 to 1, as the `score` method of a reranker does."""

Verdict = Literal["supported", "unsupported", "uncited", "no claim"]
Unsupported = Literal["flag", "drop", "keep"]

FLAG = "[?]"
"""The mark behind a sentence that is not supported. It needs no translation."""


class Support(TypedDict):
    """One source of one sentence.

    Attributes:
        marker: The number of the passage, from 1.
        source: Where the passage comes from.
        quote: The sentence of the passage that is nearest to the claim, word for word.
        score: How well the passage supports the claim, 0 to 1; None without a scorer.
    """

    marker: int
    source: str
    quote: str
    score: float | None


class CheckedSentence(TypedDict):
    """A sentence of an answer and the result of its check.

    Attributes:
        text: The sentence without its markers.
        start: Where it begins in the answer, in characters.
        end: Where it ends in the answer, with the markers behind it.
        verdict: "supported"; "unsupported" (something is missing, the score is below `min_support`, or no
            marker resolves); "uncited" (no marker); "no claim" (a lead-in that ends with a colon, a
            question, a heading or the head of a table).
        support: The sources, in the order of their markers.
        unknown_markers: The marker numbers that belong to no passage.
        missing: What the sentence states and no cited passage does.
    """

    text: str
    start: int
    end: int
    verdict: Verdict
    support: list[Support]
    unknown_markers: list[int]
    missing: list[Missing]


class Verification(TypedDict):
    """The checked sentences of an answer, the number of claims and the number of supported claims."""

    sentences: list[CheckedSentence]
    claims: int
    supported: int


def verify_citations(
    answer: str,
    documents: Sequence[Document],
    *,
    language: str | None = None,
    score: Score | None = None,
    min_support: float = 0.0,
) -> Verification:
    """Check every sentence of an answer against the passages whose markers it carries.

    If a sentence cites several passages, each fact has to be in one of them. Quotations have to occur word
    for word; case, white space, the kind of quotation marks, Arabic vowel points and the script of digits do
    not matter, nor does markup. Numbers are compared with their units and currencies, and so are ordinal
    numbers, weekdays, months, ranges and dates (Jalali, Hijri too), across languages. Names are compared
    only if answer and passage are in the same language; in scripts without capitals, only beside a title, or
    where the claim else repeats a sentence of the passage. Names beside a title are compared across languages
    of one script. Addresses and codes such as QX-200 are always compared.

    Example:
        >>> checked = verify_citations("It opens at 10:30 [1].", documents, score=reranker.score)
        >>> [(sentence["verdict"], sentence["missing"]) for sentence in checked["sentences"]]
        [('unsupported', [{'kind': 'number', 'text': '10:30'}])]

    Args:
        answer: Text with markers such as [1], [1, 2] or 【3】.
        documents: The passages; marker [n] is the n-th, from 1.
        language: The language of the answer, as an ISO 639-1 code; None detects it, among those of the
            passages first.
        score: A scorer such as the `score` method of a reranker; called once with all pairs.
        min_support: The lowest best score, 0 to 1, of a supported sentence.

    Raises:
        InputError: `score` did not return one score per pair.
    """
    evidence = [Evidence(document) for document in documents]
    language = language or detect_language(answer, among=_languages(evidence))
    sentences = [_check(found, evidence, language) for found in _find_cited_sentences(answer)]
    if score is not None:
        _add_scores(sentences, documents, score, min_support)
    claims = [sentence for sentence in sentences if sentence["verdict"] != "no claim"]
    supported = sum(sentence["verdict"] == "supported" for sentence in claims)
    return {"sentences": sentences, "claims": len(claims), "supported": supported}


def place_verification(verification: Verification, answer: str) -> Verification | None:
    """Return a verification with the places of its sentences in another form of the verified answer.

    Its markers may be written in another way, and marks may be gone. No claim is checked again.

    Args:
        verification: The result of `verify_citations`.
        answer: The other form.

    Returns:
        The verification; None if a sentence or its markers differ, so that it has to be checked anew.
    """
    sentences: list[CheckedSentence] = []
    found = _find_cited_sentences(answer)
    if len(found) != len(verification["sentences"]):
        return None
    for cited, checked in zip(found, verification["sentences"], strict=True):
        markers = [*(support["marker"] for support in checked["support"]), *checked["unknown_markers"]]
        is_same = _one_line(cited["sentence"].text) == checked["text"]
        if not is_same or sorted(cited["markers"]) != sorted(markers):
            return None
        sentences.append({**checked, "start": cited["sentence"].start, "end": cited["end"]})
    return {**verification, "sentences": sentences}


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _languages(evidence: Sequence[Evidence]) -> list[str]:
    """Return the languages of the passages, the most frequent first."""
    return [code for code, _ in Counter(source.language for source in evidence).most_common()]


def treat_unsupported(answer: str, verification: Verification, how: Unsupported) -> str:
    """Flag the unsupported and uncited sentences with [?], or drop them.

    Args:
        answer: The text that was verified.
        verification: The result of `verify_citations` for it.
        how: "flag", "drop" or "keep".

    Returns:
        The answer; an empty string if all of its claims were dropped.
    """
    bad = [s for s in verification["sentences"] if s["verdict"] in ("unsupported", "uncited")]
    if how == "keep" or not bad:
        return answer
    if how == "flag":
        for sentence in reversed(bad):
            answer = f"{answer[: sentence['end']]} {FLAG}{answer[sentence['end'] :]}"
        return answer
    return _drop(answer, bad) if len(bad) < verification["claims"] else ""


def _drop(answer: str, sentences: Sequence[CheckedSentence]) -> str:
    """Remove sentences, and the lines that then hold only list marks."""
    cut: set[int] = set()
    for sentence in sentences:
        end = sentence["end"]
        while answer[end : end + 1] in (" ", "\t"):
            end += 1
        cut.update(range(sentence["start"], end))
    kept, position = [], 0
    for line in answer.splitlines(keepends=True):
        places = range(position, position + len(line))
        left = "".join(answer[place] for place in places if place not in cut)
        if len(left) == len(line) or any(char.isalnum() for char in _LIST_MARK.sub("", left)):
            kept.append(left)
        position += len(line)
    return "".join(kept).strip()


_LIST_MARK = re.compile(r"^\s*\(?\w{1,3}[.)]\s")
_NO_CLAIM = re.compile(r"[:：?？؟;][\s\"'”’»›)\]】」』*_\u200e\u200f]*$")


# A heading, or the table row above "|---|".
_TITLE = re.compile(r"^[ \t>]*#{1,6}[ \t][^\n]*|^[^|\n]*\|[^\n]*\n(?=[ \t|:]*-[-|: \t]*$)", re.M)


class _Cited(TypedDict):
    sentence: Sentence
    end: int
    markers: list[int]
    claims: bool


def _find_cited_sentences(answer: str) -> list[_Cited]:
    """Split an answer into sentences, each with the markers in it and behind it."""
    # Markers are blanked, not removed, so that the offsets stay.
    blank = without_markers(answer, blank=True)
    titles = {place for match in _TITLE.finditer(blank) for place in range(*match.span())}
    found: list[_Cited] = [
        {
            "sentence": sentence,
            "end": sentence.end,
            "markers": [],
            "claims": not (sentence.start in titles or _NO_CLAIM.search(sentence.text)),
        }
        for sentence in split_sentences(blank)
    ]
    for match in find_markers(answer):
        before = [cited for cited in found if cited["sentence"].start <= match.start()]
        after = found[len(before) : len(before) + 1]
        # A marker at the start of a line belongs to the sentence behind it: "[1] says that ...".
        owner = before[-1] if before else None
        if owner is None or (after and "\n" in answer[owner["end"] : match.start("numbers")]):
            owner = after[0] if after else None
        if owner is not None:
            owner["end"] = max(owner["end"], match.end()) if owner in before else owner["end"]
            owner["markers"] += [n for n in marker_numbers(match) if n not in owner["markers"]]
    return found


def _check(cited: _Cited, evidence: Sequence[Evidence], language: str) -> CheckedSentence:
    sentence = cited["sentence"]
    known = [number for number in cited["markers"] if 1 <= number <= len(evidence)]
    sources = [evidence[number - 1] for number in known]
    missing = find_missing(sentence.text, sources, language) if sources else []
    if sources:
        verdict: Verdict = "unsupported" if missing else "supported"
    elif cited["markers"]:
        verdict = "unsupported"
    else:
        verdict = "uncited" if cited["claims"] else "no claim"
    return {
        "text": _one_line(sentence.text),
        "start": sentence.start,
        "end": cited["end"],
        "verdict": verdict,
        "support": [_support(number, evidence[number - 1], sentence.text) for number in known],
        "unknown_markers": [number for number in cited["markers"] if number not in known],
        "missing": missing,
    }


def _support(marker: int, source: Evidence, claim: str) -> Support:
    quote = nearest_sentence(claim, source.document)
    return {"marker": marker, "source": source.source, "quote": quote, "score": None}


def _add_scores(
    sentences: Sequence[CheckedSentence], documents: Sequence[Document], score: Score, min_support: float
) -> None:
    """Score all pairs with one call and write the scores into the supports."""
    supports = [(sentence["text"], support) for sentence in sentences for support in sentence["support"]]
    pairs = [(text, documents[support["marker"] - 1].page_content) for text, support in supports]
    scores = list(score(pairs)) if pairs else []
    if len(scores) != len(pairs):
        raise InputError(
            f"The scorer returned {len(scores)} scores for {len(pairs)} pairs; expected one per pair. Pass a "
            "function that takes a list of (claim, passage) pairs, such as reranker.score."
        )
    for (_, support), value in zip(supports, scores, strict=True):
        support["score"] = float(value)
    for sentence in sentences:
        best = max((support["score"] or 0.0 for support in sentence["support"]), default=1.0)
        if sentence["verdict"] == "supported" and best < min_support:
            sentence["verdict"] = "unsupported"
