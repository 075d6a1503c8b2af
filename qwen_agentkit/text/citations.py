"""From markers in an answer to the sentences they point at. Knows text and documents, no model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from langchain_core.documents import Document
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.text.sparse import sparse_document

__all__ = [
    "MARKER",
    "Citation",
    "document_source",
    "find_markers",
    "marker_numbers",
    "nearest_sentence",
    "resolve_citations",
    "without_markers",
]

_GAP = r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\u061c]{0,4}"  # invisible marks of direction, too
_NUMBER = rf"\^?{_GAP}\d{{1,3}}"
# [1], [1, 2], [1; 2], [1-3], [^1], [١] and the brackets that models write in Chinese and Japanese.
MARKER = re.compile(
    rf"\s?[\[【［〔]{_GAP}(?P<numbers>{_NUMBER}(?:{_GAP}[,，、،;；؛–—-]{_GAP}{_NUMBER})*){_GAP}[\]】］〕]"
)
_RANGE = re.compile(rf"(\d+)(?:{_GAP}[–—-]{_GAP}(\d+))?")
_LONGEST_RANGE = 20
_CODE = (
    r"^[ \t]*(?P<fence>```|~~~)[^`\n]*$.*?(?:^[ \t]*(?P=fence)|\Z)"  # to the end, while it is not closed
    r"|``(?:[^`\n]|`(?!`))+``|`[^`\n]+`"
)
_CODE_OR_MARKER = re.compile(f"{_CODE}|{MARKER.pattern}", re.M | re.S)


class Citation(TypedDict):
    """One marker of an answer.

    Attributes:
        marker: its number; passage `marker` of the documents, counted from one.
        source: where the passage comes from.
        quote: the sentence of the passage, word for word, that is nearest to what the answer says.
    """

    marker: int
    source: str
    quote: str


def resolve_citations(answer: str, documents: Sequence[Document]) -> tuple[str, list[Citation]]:
    """Check every marker of `answer` against the numbered `documents`.

    Markers that point at no document are taken out of the text; the others become citations, one for
    each marker and sentence, without repetition.

    Returns:
        The answer with the markers that resolve, as ``[n]``, and their citations in order.
    """
    citations: list[Citation] = []
    parts: list[str] = []
    claim_start = end = 0
    for match in find_markers(answer):
        between = answer[end : match.start()]
        if between.strip():
            claim_start = end
        claim = answer[claim_start : match.start()]
        valid = [number for number in marker_numbers(match) if 1 <= number <= len(documents)]
        for number in valid:
            citation = _citation(number, documents[number - 1], claim)
            if citation not in citations:
                citations.append(citation)
        parts += [between, *(f" [{number}]" for number in valid)]
        end = match.end()
    return "".join([*parts, answer[end:]]).strip(), citations


def find_markers(text: str) -> Iterator[re.Match[str]]:
    """The markers of a text. What stands in code is none: `rows[2]` cites nothing."""
    return (match for match in _CODE_OR_MARKER.finditer(text) if match["numbers"])


def without_markers(text: str, *, blank: bool = False) -> str:
    """A text without its markers.

    Args:
        text: in any script.
        blank: put spaces in their place, so that offsets stay.
    """

    def less(match: re.Match[str]) -> str:
        if not match["numbers"]:
            return match[0]
        return re.sub(r"[^\n]", " ", match[0]) if blank else ""

    return _CODE_OR_MARKER.sub(less, text)


def marker_numbers(match: re.Match[str]) -> list[int]:
    """The numbers in a match of `MARKER`, in digits of any script, with those inside a range."""
    numbers: list[int] = []
    for first, last in _RANGE.findall(match["numbers"]):
        low, high = int(first), int(last or first)
        numbers += range(low, high + 1) if low <= high <= low + _LONGEST_RANGE else [low, high]
    return list(dict.fromkeys(numbers))


def document_source(document: Document) -> str:
    """Where a document comes from: its `source`, else its id."""
    return str(document.metadata.get("source") or document.id or "")


def _citation(number: int, document: Document, claim: str) -> Citation:
    return {
        "marker": number,
        "source": document_source(document),
        "quote": nearest_sentence(claim, document.page_content),
    }


def nearest_sentence(claim: str, text: str) -> str:
    """The sentence of `text` that shares most terms with the last sentence of `claim`."""
    said = split_sentences(without_markers(claim))
    wanted = _terms(said[-1].text if said else claim)
    found = _sentence_terms(text)
    return max(found, key=lambda sentence: _likeness(wanted, found[sentence]), default="")


@lru_cache(maxsize=64)  # every sentence of an answer asks the same few passages
def _sentence_terms(text: str) -> dict[str, set[int]]:
    """The sentences of a text, each with its terms."""
    return {sentence.text: _terms(sentence.text) for sentence in split_sentences(text)}


def _terms(text: str) -> set[int]:
    return set(sparse_document(text, detect_language(text))[0])


def _likeness(one: set[int], other: set[int]) -> float:
    """Shared terms over all terms (Jaccard)."""
    return len(one & other) / max(1, len(one | other))
