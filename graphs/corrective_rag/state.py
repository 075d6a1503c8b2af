"""What `corrective_rag` keeps between its nodes, and the settings a caller may choose."""

from __future__ import annotations

from typing import Any, ClassVar

from langgraph.managed import RemainingSteps
from pydantic import Field

from qwen_agentkit.graphs.shared.state import LanguageCode, RagContext, RagState, Thinking

__all__ = ["CorrectiveContext", "CorrectiveState"]


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
        description="Reranker score from which a passage counts as relevant without asking the chat model",
    )
    attempts: int = Field(
        default=2, ge=0, le=5, description="Further searches when nothing found answers the question"
    )
    languages: list[LanguageCode] = Field(
        default=[],
        max_length=5,
        description=(
            "ISO 639-1 codes of the documents' languages, to translate the question into; "
            "empty: those of the passages found"
        ),
    )
    thinking: Thinking = Field(
        default=None,
        description="Think before answering: on, off, or auto: only when the question proves hard",
        json_schema_extra={"default": "auto"},
    )
