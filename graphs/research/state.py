"""What `research` keeps between its nodes, and the settings that a caller may choose. No behavior."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from langchain_core.documents import Document
from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict

from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState
from qwen_agentkit.graphs.shared.parallel import append_or_clear, merge_timings
from qwen_agentkit.graphs.shared.state import Effort

__all__ = ["Finding", "PlanDecision", "ResearchContext", "ResearchState"]

_MAX_SUB_QUESTIONS = 10


class Finding(TypedDict):
    """The result of one branch.

    Attributes:
        question: The sub-question.
        queries: The search queries, translations included.
        documents: The relevant passages, best first.
        error: Why the search failed, or "".
    """

    question: str
    queries: list[str]
    documents: list[Document]
    error: str


class ResearchState(CorrectiveState):
    """State of `research`."""

    plan: list[str]
    """Sub-questions made from the question alone."""
    further: list[str]
    """Sub-questions of further rounds. They are searched for, but never shown to the model that answers: a
    passage may have suggested them."""
    findings: Annotated[list[Finding], append_or_clear]
    rounds: int
    """Number of further rounds so far."""
    timings: Annotated[dict[str, float], merge_timings]


class ResearchContext(CorrectiveContext):
    """Settings of one run of `research`."""

    efforts: ClassVar[dict[str, dict[str, Any]]] = {
        "low": {"thinking": False, "sub_questions": 1, "attempts": 0, "candidates": 10},
        "high": {"sub_questions": 6, "attempts": 3, "candidates": 40, "evidence": 20, "sure_score": 1.0},
    }

    effort: Effort = Field(
        default="medium",
        description=(
            "low: one search for the question as it is. medium: a plan of sub-questions and one further "
            "round. high: more of both, and the model judges what is missing. A setting that is given has "
            "priority"
        ),
    )
    sub_questions: int = Field(
        default=4,
        ge=1,
        le=_MAX_SUB_QUESTIONS,
        description="Maximum number of sub-questions per round. 1: the question as it is",
    )
    attempts: int = Field(
        default=1, ge=0, le=5, description="Maximum number of further rounds when something is missing"
    )
    passages: int = Field(default=3, ge=1, le=20, description="Passages kept for each sub-question")
    evidence: int = Field(default=12, ge=1, le=60, description="Maximum number of passages of the answer")
    sure_score: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description=(
            "Reranker score from which a passage answers its sub-question. When each sub-question has such a "
            "passage, the chat model is not asked what is missing"
        ),
    )
    approve_plan: bool = Field(
        default=False,
        description="Wait for a person to approve, edit or reject the plan. Needs a checkpointer",
    )


class PlanDecision(BaseModel):
    """A person's decision about a plan, as ``Command(resume={"type": "approve"})`` sends it."""

    type: Literal["approve", "edit", "reject"]
    plan: list[str] = Field(
        default=[],
        max_length=_MAX_SUB_QUESTIONS,
        description="For an edit: the sub-questions to search for instead",
    )

    @model_validator(mode="after")
    def _check_edit(self) -> PlanDecision:
        if self.type == "edit" and not any(one.strip() for one in self.plan):
            raise ValueError('An edit needs sub-questions, as in {"type": "edit", "plan": ["When ...?"]}.')
        return self
