"""Whether the sentences of an answer are in the passages that they cite, as far as words can show it.

Knows text, documents and any scorer of pairs. Proves nothing: a sentence whose quotes, numbers and names
are all in its passages may still say something else with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

from langchain_core.documents import Document
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.citations import (
    document_source,
    find_markers,
    marker_numbers,
    nearest_sentence,
    without_markers,
)
from qwen_agentkit.text.facts import (
    Figure,
    codes,
    figures,
    names,
    normalised,
    quotations,
    reads_words,
    stated_values,
    unaccented,
)
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sentences import Sentence, split_sentences

__all__ = [
    "CheckedSentence",
    "Missing",
    "Support",
    "Unsupported",
    "Verdict",
    "Verification",
    "treat_unsupported",
    "verify_citations",
]

Score = Callable[[list[tuple[str, str]]], Sequence[float]]
"""Scores pairs of (claim, passage) from 0 to 1, as a reranker's `score` does."""

Verdict = Literal["supported", "unsupported", "uncited", "no claim"]
Unsupported = Literal["flag", "drop", "keep"]

FLAG = "[?]"
"""What stands behind a sentence that is not supported: a mark that every language reads."""


class Missing(TypedDict):
    """Something that a sentence states and none of its passages does.

    Attributes:
        kind: "quote", "number" (also times and dates) or "name" (also addresses and codes).
        text: as the sentence has it.
    """

    kind: Literal["quote", "number", "name"]
    text: str


class Support(TypedDict):
    """One source of one sentence.

    Attributes:
        marker: number of the passage, counted from one.
        source: where the passage comes from.
        quote: its sentence that is nearest to the claim, word for word.
        score: how well the passage supports the claim by the scorer, 0 to 1; None without one.
    """

    marker: int
    source: str
    quote: str
    score: float | None


class CheckedSentence(TypedDict):
    """A sentence of an answer and what became of it.

    Attributes:
        text: the sentence without its markers.
        start: where it begins in the answer.
        end: where it ends there, markers behind it included.
        verdict: "supported"; "unsupported" (see `missing`, or a score under `min_support`, or no marker
            that resolves); "uncited" (no marker at all); "no claim" (a lead-in that ends with a colon, a
            question back, a heading or the head of a table).
        support: its sources, in the order of their markers.
        unknown_markers: numbers that are no passage.
        missing: what it states and no cited passage does.
    """

    text: str
    start: int
    end: int
    verdict: Verdict
    support: list[Support]
    unknown_markers: list[int]
    missing: list[Missing]


class Verification(TypedDict):
    """Every sentence of an answer, and how many of those that claim something are supported."""

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
    """Hold every sentence of `answer` against the passages whose markers it carries.

    A sentence may cite several passages: what it states has to be in one of them. Quotes have to be there
    word for word, but for case, white space, kinds of quotation marks, Arabic points and digits' script.
    Names are compared when answer and passage are in the same language, since others write them otherwise;
    addresses and codes such as QX-200 always.

    Example:
        >>> checked = verify_citations("It opens at 10:30 [1].", documents, score=reranker.score)
        >>> [(sentence["verdict"], sentence["missing"]) for sentence in checked["sentences"]]
        [('unsupported', [{'kind': 'number', 'text': '10:30'}])]

    Args:
        answer: with markers such as [1], [1, 2] or 【3】.
        documents: the passages; marker [n] is the n-th.
        language: of the answer, as an ISO 639-1 code; None: detected.
        score: such as the `score` method of a reranker; called once, with all pairs.
        min_support: a sentence whose best score is less is unsupported.

    Raises:
        InputError: `score` gave another number of scores than it got pairs.
    """
    language = language or detect_language(answer)
    evidence = [_Evidence(document) for document in documents]
    sentences = [_checked(found, evidence, language) for found in _cited_sentences(answer)]
    if score is not None:
        _add_scores(sentences, documents, score, min_support)
    claims = [sentence for sentence in sentences if sentence["verdict"] != "no claim"]
    supported = sum(sentence["verdict"] == "supported" for sentence in claims)
    return {"sentences": sentences, "claims": len(claims), "supported": supported}


def treat_unsupported(answer: str, verification: Verification, how: Unsupported) -> str:
    """Mark the sentences that are unsupported or uncited with [?], or leave them out.

    Args:
        answer: the text that was verified.
        verification: of it.
        how: "flag", "drop" or "keep".

    Returns:
        The answer; "" when all its claims are dropped.
    """
    bad = [s for s in verification["sentences"] if s["verdict"] in ("unsupported", "uncited")]
    if how == "keep" or not bad:
        return answer
    if how == "flag":
        for sentence in reversed(bad):
            answer = f"{answer[: sentence['end']]} {FLAG}{answer[sentence['end'] :]}"
        return answer
    return _without(answer, bad) if len(bad) < verification["claims"] else ""


def _without(answer: str, sentences: Sequence[CheckedSentence]) -> str:
    """The answer without some sentences, and without lines that hold nothing but marks then."""
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


# A heading, or the row above "|---|": they name what follows.
_TITLE = re.compile(r"^[ \t>]*#{1,6}[ \t][^\n]*|^[^|\n]*\|[^\n]*\n(?=[ \t|:]*-[-|: \t]*$)", re.M)


class _Cited(TypedDict):
    sentence: Sentence
    end: int
    markers: list[int]
    claims: bool


def _cited_sentences(answer: str) -> list[_Cited]:
    """The sentences of an answer, each with the markers in it and behind it."""
    # Blanked, not removed: the offsets stay, and a marker is no part of any sentence.
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
        # A marker at the head of a line belongs to what follows it: "[1] says that ...".
        owner = before[-1] if before else None
        if owner is None or (after and "\n" in answer[owner["end"] : match.start("numbers")]):
            owner = after[0] if after else None
        if owner is not None:
            owner["end"] = max(owner["end"], match.end()) if owner in before else owner["end"]
            owner["markers"] += [n for n in marker_numbers(match) if n not in owner["markers"]]
    return found


# A marker leaves it behind: "in 1950 [2], and".
_PAUSE = re.compile(r" (?=[.,;:!?])")


class _Evidence:
    """A passage and what can be looked up in it, worked out when it is first needed."""

    def __init__(self, document: Document) -> None:
        self.document = document
        # A name or a year may stand in the title only.
        about = (str(document.metadata.get(key) or "") for key in ("title", "section"))
        self.text = "\n".join([document.page_content, *filter(None, about)])
        self.where = document_source(document)

    @cached_property
    def language(self) -> str:
        known = self.document.metadata.get("language")
        return str(known) if known else detect_language(self.document.page_content)

    @cached_property
    def folded(self) -> str:
        return normalised(self.text)

    @cached_property
    def quotable(self) -> str:
        """Without its own footnotes, which neither the model reads nor a quote holds."""
        return _PAUSE.sub("", normalised(without_markers(self.text)))

    @cached_property
    def values(self) -> set[str]:
        return stated_values(self.text, self.language)

    @cached_property
    def counted(self) -> bool:
        """Whether the passage gives figures at all."""
        stated = figures(self.text, self.language)
        return any(value.lstrip("-")[0].isdecimal() for figure in stated for value in figure.values)

    @cached_property
    def may_spell(self) -> bool:
        """Whether its numbers can be words that nobody here reads."""
        return not reads_words(self.language) and not re.search(r"\d", self.folded)

    @cached_property
    def words(self) -> set[str]:
        return set(re.findall(r"[^\W_]+", unaccented(self.folded)))

    @cached_property
    def squeezed(self) -> str:
        return re.sub(r"[\s_-]", "", normalised(f"{self.text}\n{self.where}"))


def _checked(cited: _Cited, evidence: Sequence[_Evidence], language: str) -> CheckedSentence:
    sentence = cited["sentence"]
    known = [number for number in cited["markers"] if 1 <= number <= len(evidence)]
    sources = [evidence[number - 1] for number in known]
    missing = _missing(sentence.text, sources, language) if sources else []
    if sources:
        verdict: Verdict = "unsupported" if missing else "supported"
    elif cited["markers"]:
        verdict = "unsupported"
    else:
        verdict = "uncited" if cited["claims"] else "no claim"
    return {
        "text": re.sub(r"\s+", " ", sentence.text),
        "start": sentence.start,
        "end": cited["end"],
        "verdict": verdict,
        "support": [_support(number, evidence[number - 1], sentence.text) for number in known],
        "unknown_markers": [number for number in cited["markers"] if number not in known],
        "missing": missing,
    }


def _support(marker: int, source: _Evidence, claim: str) -> Support:
    quote = nearest_sentence(claim, source.document.page_content)
    return {"marker": marker, "source": source.where, "quote": quote, "score": None}


def _missing(claim: str, sources: Sequence[_Evidence], language: str) -> list[Missing]:
    """What the claim states and none of its sources does."""
    lacking: list[Missing] = []
    for parts in quotations(claim):
        if not any(all(_quoted(part, source) for part in parts) for source in sources):
            lacking.append({"kind": "quote", "text": " … ".join(parts)})
    values = set().union(*(source.values for source in sources))
    for figure in figures(claim, language):
        if not figure.values & values and _contradicts(figure, sources):
            lacking.append({"kind": "number", "text": figure.text})
    lacking += [{"kind": "name", "text": name} for name in _missing_names(claim, sources, language)]
    return list({(item["kind"], item["text"]): item for item in lacking}.values())


def _contradicts(figure: Figure, sources: Sequence[_Evidence]) -> bool:
    """Whether a figure that no source states speaks against the claim."""
    if not all(value.isdecimal() and int(value) <= 12 for value in figure.values):
        return True
    # "Two rules" may count what a passage lists: it contradicts only passages that have figures.
    if figure.spelled:
        return any(source.counted for source in sources)
    return not any(source.may_spell for source in sources)


def _quoted(part: str, source: _Evidence) -> bool:
    wanted = _PAUSE.sub("", normalised(part))
    # Where words are separated by spaces, half a word is no quote of it.
    head, tail = (r"(?<!\w)" if _spaced(wanted[0]) else ""), (r"(?!\w)" if _spaced(wanted[-1]) else "")
    quote = re.compile(f"{head}{re.escape(wanted)}{tail}")
    return any(quote.search(text) for text in (source.folded, source.quotable))


def _spaced(char: str) -> bool:
    """Whether a letter is of Latin, Greek or Cyrillic script."""
    return char < "\u0530" and char.isalnum()


def _missing_names(claim: str, sources: Sequence[_Evidence], language: str) -> list[str]:
    lacking = []
    for code in codes(claim):
        wanted = re.sub(r"[\s_-]", "", normalised(code))
        if not any(wanted in source.squeezed for source in sources):
            lacking.append(code)
    alike = [source for source in sources if source.language.split("-")[0] == language.split("-")[0]]
    # A source in another language may hold the name in its own spelling: nothing can be said then.
    if len(alike) == len(sources):
        for name in names(claim, language):
            if not any(_named(name, source, language) for source in sources):
                lacking.append(name)
    return lacking


# Their names have cases: a form differs from another in its last letters.
_INFLECTING = frozenset(
    {"be", "bg", "bs", "cs", "el", "et", "fi", "hr", "hu", "kk", "la", "lt", "lv", "mk", "pl", "ro", "ru"}
    | {"sk", "sl", "sr", "tr", "uk"}
)


def _named(name: str, source: _Evidence, language: str) -> bool:
    folded = unaccented(normalised(name))
    if folded in unaccented(source.folded):
        return True
    for part in re.findall(r"[^\W_]+", folded):
        stem = part[: max(3, len(part) - 2)] if language in _INFLECTING else part.removesuffix("s")
        ends = 6 if language in _INFLECTING else 2
        if not any(word.startswith(stem) and len(word) <= len(stem) + ends for word in source.words):
            return False
    return True


def _add_scores(
    sentences: Sequence[CheckedSentence], documents: Sequence[Document], score: Score, min_support: float
) -> None:
    """Write the scores into the supports, from one call of the scorer."""
    supports = [(sentence["text"], support) for sentence in sentences for support in sentence["support"]]
    pairs = [(text, documents[support["marker"] - 1].page_content) for text, support in supports]
    scores = list(score(pairs)) if pairs else []
    if len(scores) != len(pairs):
        raise InputError(
            f"The scorer gave {len(scores)} scores for {len(pairs)} pairs; expected one for each. Pass a "
            "function of a list of (claim, passage), such as reranker.score."
        )
    for (_, support), value in zip(supports, scores, strict=True):
        support["score"] = float(value)
    for sentence in sentences:
        best = max((support["score"] or 0.0 for support in sentence["support"]), default=1.0)
        if sentence["verdict"] == "supported" and best < min_support:
            sentence["verdict"] = "unsupported"
