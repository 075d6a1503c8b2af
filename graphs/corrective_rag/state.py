"""What `corrective_rag` keeps between its nodes, and the settings that a caller may choose. No behavior."""

from __future__ import annotations

from typing import Any, ClassVar

from langgraph.managed import RemainingSteps
from pydantic import BaseModel, Field

from qwen_agentkit.graphs.shared.state import LanguageCode, RagContext, RagState, Thinking

__all__ = ["CorrectiveContext", "CorrectiveState", "Grade"]


class Grade(BaseModel):
    """Which passages help to answer the question."""

    relevant: list[int] = Field(
        description="Numbers of the passages that hold the answer or a part of it; empty if none does"
    )
    hard: bool = Field(
        description="Whether passages have to be combined, compared or computed with to answer"
    )


class CorrectiveState(RagState):
    """State of `corrective_rag`."""

    queries: list[str]
    """All search queries, the question first."""
    translations: dict[str, str]
    """The question in the languages of the documents, by ISO 639-1 code."""
    width: int
    """Passages that each search returns."""
    tried: list[str]
    """Corrections so far, in order: "translate", "rewrite", "widen"."""
    hard: bool
    """Whether the question was found to be worth thinking about."""
    remaining_steps: RemainingSteps


class CorrectiveContext(RagContext):
    """Settings of one run of `corrective_rag`."""

    efforts: ClassVar[dict[str, dict[str, Any]]] = {
        "low": {"thinking": False, "candidates": 10, "sure_score": 0.0, "attempts": 0},
        "high": {"candidates": 40, "passages": 5, "sure_score": 0.9, "attempts": 4},
    }

    sure_score: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Reranker score from which a passage is relevant without asking the chat model",
    )
    attempts: int = Field(
        default=2,
        ge=0,
        le=5,
        description="Maximum number of further searches when no passage answers the question",
    )
    languages: list[LanguageCode] = Field(
        default=[],
        max_length=5,
        description=(
            "ISO 639-1 codes of the languages to translate the question into. "
            "Empty: the languages of the passages found"
        ),
    )
    thinking: Thinking = Field(
        default=None,
        description="Whether to think before answering. auto: only if the question proves hard",
        json_schema_extra={"default": "auto"},
    )
