"""Citation markers in an answer and the sentences they refer to.

Knows text and documents. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from langchain_core.documents import Document
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.text.documents import document_source
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
    "passage_language",
    "resolve_citations",
    "without_markers",
]

_GAP = r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\u061c]{0,4}"  # Includes invisible direction marks.
_NUMBER = rf"\^?{_GAP}\d{{1,3}}"
# [1], [1, 2], [1; 2], [1-3], [^1], [١], and the brackets used in Chinese and Japanese.
MARKER = re.compile(
    rf"\s?[\[【［〔]{_GAP}(?P<numbers>{_NUMBER}(?:{_GAP}[,，、،;；؛–—-]{_GAP}{_NUMBER})*){_GAP}[\]】］〕]"
)
_RANGE = re.compile(rf"(\d+)(?:{_GAP}[–—-]{_GAP}(\d+))?")
_LONGEST_RANGE = 20
_CODE = (
    r"^[ \t]*(?P<fence>```|~~~)[^`\n]*$.*?(?:^[ \t]*(?P=fence)|\Z)"  # An unclosed block reaches to the end.
    r"|``(?:[^`\n]|`(?!`))+``|`[^`\n]+`"
)
_CODE_OR_MARKER = re.compile(f"{_CODE}|{MARKER.pattern}", re.M | re.S)


class Citation(TypedDict):
    """One marker of an answer.

    Attributes:
        marker: The number of the passage, from 1.
        source: Where the passage comes from.
        quote: The sentence of the passage that is nearest to the answer's, word for word.
    """

    marker: int
    source: str
    quote: str


def resolve_citations(answer: str, documents: Sequence[Document]) -> tuple[str, list[Citation]]:
    """Resolve the markers of an answer to citations.

    Markers without a document are removed from the text. The others become citations, each marker and
    sentence once.

    Args:
        answer: Text with markers such as [1], [1, 2] or 【3】.
        documents: The passages; marker [n] is the n-th, from 1.

    Returns:
        The answer with its valid markers written as ``[n]``, and the citations in order.
    """
    citations: dict[tuple[int, str], Citation] = {}
    seen: set[tuple[int, str]] = set()
    parts: list[str] = []
    claim = ""
    end = 0
    for match in find_markers(answer):
        between = answer[end : match.start()]
        claim = between if between.strip() else claim  # Adjacent markers share one claim.
        valid = [number for number in marker_numbers(match) if 1 <= number <= len(documents)]
        for number in valid:
            if (number, claim) not in seen:
                seen.add((number, claim))
                citation = _cite(number, documents[number - 1], claim)
                citations.setdefault((number, citation["quote"]), citation)
        parts += [between, *(f" [{number}]" for number in valid)]
        end = match.end()
    return "".join([*parts, answer[end:]]).strip(), list(citations.values())


def find_markers(text: str) -> Iterator[re.Match[str]]:
    """Yield the markers of a text. Code holds none: `rows[2]` cites nothing."""
    return (match for match in _CODE_OR_MARKER.finditer(text) if match["numbers"])


def without_markers(text: str, *, blank: bool = False) -> str:
    """Remove the markers of a text.

    Args:
        text: Text in any script.
        blank: Whether to replace them by spaces, so that offsets stay.
    """

    def remove(match: re.Match[str]) -> str:
        if not match["numbers"]:
            return match[0]
        return re.sub(r"[^\n]", " ", match[0]) if blank else ""

    return _CODE_OR_MARKER.sub(remove, text)


def marker_numbers(match: re.Match[str]) -> list[int]:
    """Return the numbers in a match of `MARKER`, in digits of any script; ranges are expanded."""
    numbers: list[int] = []
    for first, last in _RANGE.findall(match["numbers"]):
        low, high = int(first), int(last or first)
        numbers += range(low, high + 1) if low <= high <= low + _LONGEST_RANGE else [low, high]
    return list(dict.fromkeys(numbers))


def _cite(number: int, document: Document, claim: str) -> Citation:
    return {
        "marker": number,
        "source": document_source(document),
        "quote": nearest_sentence(claim, document),
    }


def nearest_sentence(claim: str, passage: Document) -> str:
    """Return the sentence of the passage that shares most terms with the last sentence of `claim`."""
    sentences = split_sentences(without_markers(claim))
    language = passage_language(passage)
    wanted = _terms(sentences[-1].text if sentences else claim, language)
    found = _sentence_terms(passage.page_content, language)
    return max(found, key=lambda sentence: _jaccard(wanted, found[sentence]), default="")


def passage_language(passage: Document) -> str:
    """Return the language of a passage: that of its metadata, or else detected."""
    return str(passage.metadata.get("language") or "") or detect_language(passage.page_content)


@lru_cache(maxsize=64)  # Every sentence of an answer is compared with the same few passages.
def _sentence_terms(text: str, language: str) -> dict[str, set[int]]:
    """Return the sentences of a text with their terms."""
    return {sentence.text: _terms(sentence.text, language) for sentence in split_sentences(text)}


def _terms(text: str, language: str) -> set[int]:
    return set(sparse_document(text, language)[0])


def _jaccard(one: set[int], other: set[int]) -> float:
    """Return the shared terms over all terms."""
    return len(one & other) / max(1, len(one | other))
