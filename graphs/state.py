"""What the graphs keep between nodes, and the settings a caller may choose."""

from __future__ import annotations

from langchain_core.documents import Document
from langgraph.graph import MessagesState
from pydantic import BaseModel, ConfigDict, Field

from qwen_agentkit.citations import Citation

__all__ = ["RagContext", "RagInput", "RagState"]


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
    abstained: bool
    timings: dict[str, float]
    """Seconds of each stage."""


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
