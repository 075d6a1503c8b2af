"""What the graphs keep between nodes, and the settings a caller may choose."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from langchain_core.documents import Document
from langgraph.graph import MessagesState
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from qwen_agentkit.text.citations import Citation
from qwen_agentkit.text.languages import language_name
from qwen_agentkit.text.verification import Unsupported, Verification

__all__ = [
    "Effort",
    "LanguageCode",
    "Move",
    "Node",
    "RagContext",
    "RagInput",
    "RagState",
    "Thinking",
]

Move = Literal["generate", "rewrite", "translate", "widen", "abstain", "repair", "cite"]
Node = Literal["prepare", "grade", "rewrite", "translate", "generate", "repair"]
"""A node that asks the chat model."""
Effort = Literal["low", "medium", "high"]

_SWITCH = {"off": False, "on": True, "auto": None}


def _switched(value: Any) -> Any:
    return _SWITCH.get(value, value) if isinstance(value, str) else value


Thinking = Annotated[
    bool | None,
    BeforeValidator(_switched),
    WithJsonSchema({"enum": ["auto", "off", "on"], "type": "string"}),
]
"""Whether to think: "on" or True, "off" or False, "auto" or None."""

# It stands in prompts, and it may come from a request.
LanguageCode = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[a-zA-Z]{2,3}(-[a-zA-Z]{2,8})?$")
]


def _or_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _known(code: str) -> str:
    if language_name(code) == code:
        raise ValueError(f"{code!r} is no language this package has a name for; try en, ar or zh")
    return code


class RagInput(MessagesState):
    """What a caller sends: the conversation, whose last human message is the question."""


class RagState(MessagesState):
    """What the nodes of `rag` keep."""

    asked: str
    """The question as it was written."""
    question: str
    """The same so that it can be understood without the conversation."""
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
    thought: int
    """Tokens of thought so far."""
    move: Move
    """Where the graph goes next."""
    before: list[str]
    """What the passages of the last answer were, as hashes in their order."""
    summary: str
    """The conversation's oldest turns, when they are too long to be read again."""
    summarised: str
    """Id of the last message in it."""


class RagContext(BaseModel):
    """Settings of one run. They may come from a request: no paths, no secrets, no filters."""

    model_config = ConfigDict(extra="forbid")

    efforts: ClassVar[dict[str, dict[str, Any]]] = {
        "low": {"thinking": False, "candidates": 10},
        "high": {"thinking": True, "candidates": 40, "passages": 5},
    }
    """What an effort changes of the defaults."""

    effort: Effort = Field(
        default="medium",
        description="Sets thinking, candidates and passages together; a setting of its own wins",
    )
    candidates: int = Field(default=20, ge=1, le=200, description="Passages of the first stage")
    passages: int = Field(default=3, ge=1, le=20, description="Passages kept after reranking")
    min_score: float = Field(
        default=0.3, ge=0, le=1, description="Reranker score under which a passage is irrelevant"
    )
    sentences: int = Field(default=2, ge=1, le=10, description="Most sentences of an extractive answer")
    thinking: Thinking = Field(
        default=None,
        description="Think before answering: on, off, or auto: as the model does",
        json_schema_extra={"default": "auto"},
    )
    thinking_budget: int | None = Field(
        default=None, ge=0, description="Most tokens of thought of a run, all its calls together; empty: any"
    )
    node_budgets: dict[Node, Annotated[int, Field(ge=0)]] = Field(
        default={},
        description=(
            "Most tokens of thought of one call, by node, such as {generate: 512, repair: 128}; other "
            "nodes than generate think only when they stand here"
        ),
    )
    history_tokens: int = Field(
        default=1500,
        ge=0,
        le=100_000,
        description=(
            "Tokens of the conversation that are read to understand a further question; older turns are "
            "summarised. 0: each question stands for itself"
        ),
    )
    search_timeout: float = Field(
        default=60,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds after which a search is given up",
    )
    answer_language: Annotated[
        Annotated[LanguageCode, AfterValidator(_known)] | None, BeforeValidator(_or_none)
    ] = Field(default=None, description="ISO 639-1 code of the answer's language; empty: the question's")
    unsupported: Unsupported = Field(
        default="flag",
        description="Sentences that their passages do not support: flag with [?], drop, or keep",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_the_effort_says(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**cls.efforts.get(str(given.get("effort")), {}), **given}
