"""What `compare` keeps between its nodes, and the settings that a caller may choose. No behavior."""

from __future__ import annotations

from typing import Annotated

from langchain_core.documents import Document
from pydantic import Field
from typing_extensions import TypedDict

from qwen_agentkit.graphs.corrective_rag.state import CorrectiveState
from qwen_agentkit.graphs.shared.parallel import append_or_clear, merge_timings
from qwen_agentkit.graphs.shared.state import LanguageCode, RagContext
from qwen_agentkit.text.citations import Citation

__all__ = ["CompareBranch", "CompareContext", "CompareState", "LanguageFinding", "Quote"]


class Quote(Citation):
    """A sentence of a document, word for word.

    Attributes:
        translation: The sentence in the reader's language; "" if it is in that language, or there is none.
    """

    translation: str


class LanguageFinding(TypedDict):
    """The result of one branch.

    Attributes:
        language: ISO 639-1 code of the documents.
        documents: The relevant passages, best first.
        quotes: The sentences that answer best.
        error: Why the search failed, or "".
    """

    language: str
    documents: list[Document]
    quotes: list[Quote]
    error: str


class CompareState(CorrectiveState):
    """State of `compare`."""

    languages: list[str]
    """Languages to compare, that of the question first."""
    findings: Annotated[list[LanguageFinding], append_or_clear]
    """Results of the branches. The markers of each count its own passages."""
    by_language: list[LanguageFinding]
    """The findings in the order of `languages`. The markers are those of the answer."""
    timings: Annotated[dict[str, float], merge_timings]


class CompareBranch(CorrectiveState):
    """State of the branch of one language."""

    of: str
    """The language to search in. `language` is the reader's."""


class CompareContext(RagContext):
    """Settings of one run of `compare`."""

    languages: list[LanguageCode] = Field(
        default=[],
        max_length=10,
        description=(
            "ISO 639-1 codes of the languages to compare. Empty: the languages of the passages found"
        ),
    )
    passages: int = Field(default=3, ge=1, le=20, description="Passages kept for each language")
    sentences: int = Field(
        default=2, ge=1, le=10, description="Maximum number of sentences quoted for each language"
    )
