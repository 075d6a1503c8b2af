"""What `compare` keeps between its nodes, and the settings a caller may choose."""

from __future__ import annotations

from typing import Annotated

from langchain_core.documents import Document
from pydantic import Field
from typing_extensions import TypedDict

from qwen_agentkit.graphs.corrective_rag.state import CorrectiveState
from qwen_agentkit.graphs.shared.branches import joined, together
from qwen_agentkit.graphs.shared.state import LanguageCode, RagContext
from qwen_agentkit.text.citations import Citation

__all__ = ["CompareBranch", "CompareContext", "CompareState", "LanguageFinding", "Quote"]


class Quote(Citation):
    """A sentence of a document, word for word.

    Attributes:
        translation: into the reader's language; "" when it is in that language, or nobody translated it.
    """

    translation: str


class LanguageFinding(TypedDict):
    """What the documents of one language say.

    Attributes:
        language: their ISO 639-1 code.
        documents: the passages, best first; [] when nothing is relevant.
        quotes: the sentences that answer best.
        error: why there is nothing, or "".
    """

    language: str
    documents: list[Document]
    quotes: list[Quote]
    error: str


class CompareState(CorrectiveState):
    """What the nodes of `compare` keep beside that."""

    languages: list[str]
    """Languages of the documents to compare, that of the question first."""
    findings: Annotated[list[LanguageFinding], joined]
    """As the branches brought them; each counts its own passages."""
    by_language: list[LanguageFinding]
    """The same in the order of `languages`; markers are those of the answer."""
    timings: Annotated[dict[str, float], together]


class CompareBranch(CorrectiveState):
    """What the search in one language knows."""

    of: str
    """The language to search in; `language` is the reader's."""


class CompareContext(RagContext):
    """Settings of one run of `compare`."""

    languages: list[LanguageCode] = Field(
        default=[],
        max_length=10,
        description=(
            "ISO 639-1 codes of the documents' languages to compare; empty: those of what is found first"
        ),
    )
    passages: int = Field(default=3, ge=1, le=20, description="Passages kept for each language")
    sentences: int = Field(default=2, ge=1, le=10, description="Most sentences quoted for each language")
