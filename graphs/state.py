"""What the graphs keep between nodes, and the settings a caller may choose."""

from __future__ import annotations

from typing import Literal

from langchain_core.documents import Document
from langgraph.graph import MessagesState
from langgraph.managed import RemainingSteps
from pydantic import BaseModel, ConfigDict, Field

from qwen_agentkit.citations import Citation
from qwen_agentkit.verification import Unsupported, Verification

__all__ = ["CorrectiveContext", "CorrectiveState", "Move", "RagContext", "RagInput", "RagState"]

Move = Literal["generate", "rewrite", "translate", "widen", "abstain", "repair", "cite"]


class RagInput(MessagesState):
    """What a caller sends: the conversation, whose last human message is the question."""


class RagState(MessagesState):
    """What the nodes of `rag` keep."""

    question: str
    language: str
    """Language to answer in, as an ISO 639-1 code."""
    retrieved: list[Document]
    """First stage, in its order."""
    documents: list[Document]
    """The passages of the answer; marker [n] is the n-th."""
    answer: str
    reasoning: str
    """What the model thought, or ""."""
    citations: list[Citation]
    verification: Verification | None
    """Every sentence of the answer as the model wrote it, and whether its passages support it."""
    abstained: bool
    timings: dict[str, float]
    """Seconds of each stage."""


class CorrectiveState(RagState):
    """What the nodes of `corrective_rag` keep beside that."""

    queries: list[str]
    """All that is searched for, the question first."""
    translations: dict[str, str]
    """The question in languages of the documents, by ISO 639-1 code."""
    width: int
    """Passages of each search."""
    tried: list[str]
    """Corrections so far, in order: "translate", "rewrite", "widen"."""
    hard: bool
    """Whether grading found the question worth thinking about."""
    move: Move
    """Where the graph goes next."""
    remaining_steps: RemainingSteps


class RagContext(BaseModel):
    """Settings of one run. They may come from a request: no paths, no secrets, no filters."""

    model_config = ConfigDict(extra="forbid")

    candidates: int = Field(default=20, ge=1, le=200, description="Passages of the first stage")
    passages: int = Field(default=3, ge=1, le=20, description="Passages kept after reranking")
    min_score: float = Field(
        default=0.3, ge=0, le=1, description="Reranker score under which a passage is irrelevant"
    )
    sentences: int = Field(default=2, ge=1, le=10, description="Most sentences of an extractive answer")
    thinking: bool | None = Field(
        default=None, description="Think before answering; empty: as the model does"
    )
    answer_language: str | None = Field(
        default=None, description="ISO 639-1 code of the answer's language; empty: the question's"
    )
    unsupported: Unsupported = Field(
        default="flag",
        description="Sentences that their passages do not support: flag with [?], drop, or keep",
    )


class CorrectiveContext(RagContext):
    """Settings of one run of `corrective_rag`."""

    sure_score: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Reranker score from which a passage counts as relevant without asking the chat model",
    )
    attempts: int = Field(
        default=2, ge=0, le=5, description="Further searches when nothing found answers the question"
    )
    languages: list[str] = Field(
        default=[],
        max_length=5,
        description=(
            "ISO 639-1 codes of the documents' languages, to translate the question into; "
            "empty: those of the passages found"
        ),
    )
    thinking: bool | None = Field(
        default=None, description="Think before answering; empty: only when the question proves hard"
    )
