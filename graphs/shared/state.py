"""What the graphs keep between nodes, and the settings that a caller may choose. No behavior."""

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
from typing_extensions import TypedDict

from qwen_agentkit.text.citations import Citation
from qwen_agentkit.text.languages import language_name
from qwen_agentkit.text.verification import Unsupported, Verification

__all__ = [
    "Effort",
    "LanguageCode",
    "Move",
    "NearestPassage",
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

_THINKING_WORDS = {"off": False, "on": True, "auto": None}


def _parse_thinking(value: Any) -> Any:
    return _THINKING_WORDS.get(value, value) if isinstance(value, str) else value


Thinking = Annotated[
    bool | None,
    BeforeValidator(_parse_thinking),
    WithJsonSchema({"enum": ["auto", "off", "on"], "type": "string"}),
]
"""Whether to think: "on" or True, "off" or False, "auto" or None."""

# Checked strictly: it is written into prompts, and it may come from a request.
LanguageCode = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[a-zA-Z]{2,3}(-[a-zA-Z]{2,8})?$")
]


def _blank_to_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _check_language(code: str) -> str:
    if language_name(code) == code:
        raise ValueError(f"The language {code!r} is not known. Expected an ISO 639-1 code: try en, ar or zh.")
    return code


class RagInput(MessagesState):
    """What a caller sends: a conversation. Its last human message is the question."""


class NearestPassage(TypedDict):
    """A passage that was not relevant enough, and its score."""

    source: str
    score: float
    text: str


class RagState(MessagesState):
    """State of `rag`."""

    asked: str
    """The question as the user wrote it."""
    question: str
    """The question in words that can be understood without the conversation."""
    language: str
    """Language of the answer, as an ISO 639-1 code."""
    retrieved: list[Document]
    """Passages that the search found, in its order."""
    documents: list[Document]
    """Passages of the answer. Marker [n] is the n-th."""
    answer: str
    reasoning: str
    """The model's thoughts, or ""."""
    citations: list[Citation]
    verification: Verification | None
    """Each sentence of the answer as the model wrote it, and whether its passages support it."""
    abstained: bool
    nearest: list[NearestPassage]
    """The best passages, when none was relevant enough for an answer."""
    timings: dict[str, float]
    """Seconds of each stage."""
    thought: int
    """Tokens of thought so far."""
    move: Move
    """The node that comes next."""
    before: list[str]
    """Keys of the passages of the last answer, in their order."""
    summary: str
    """Summary of the oldest turns, when the conversation is too long to be read in full."""
    summarized: str
    """Id of the last message in the summary."""


class RagContext(BaseModel):
    """Settings of one run of `rag`. They may come from a request: no paths, no secrets, no filters."""

    model_config = ConfigDict(extra="forbid")

    efforts: ClassVar[dict[str, dict[str, Any]]] = {
        "low": {"thinking": False, "candidates": 10},
        "high": {"thinking": True, "candidates": 40, "passages": 5},
    }
    """Defaults that each effort changes."""

    effort: Effort = Field(
        default="medium",
        description="Sets thinking, candidates and passages together. A setting that is given has priority",
    )
    candidates: int = Field(
        default=20, ge=1, le=200, description="Maximum number of passages that the search returns"
    )
    passages: int = Field(default=3, ge=1, le=20, description="Maximum number of passages of the answer")
    min_score: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Lowest score of a relevant passage. Empty: what was measured for the reranker",
    )
    sentences: int = Field(
        default=2, ge=1, le=10, description="Maximum number of sentences in an answer of quotes"
    )
    thinking: Thinking = Field(
        default=None,
        description="Whether to think before answering. auto: as the model does by default",
        json_schema_extra={"default": "auto"},
    )
    thinking_budget: int | None = Field(
        default=None,
        ge=0,
        description="Maximum tokens of thought in all calls of a run. Empty: no limit",
    )
    node_budgets: dict[Node, Annotated[int, Field(ge=0)]] = Field(
        default={},
        description=(
            "Maximum tokens of thought of one call, by node, such as {generate: 512, repair: 128}. A node "
            "other than generate thinks only if it is named here"
        ),
    )
    history_tokens: int = Field(
        default=1500,
        ge=0,
        le=100_000,
        description=(
            "Maximum tokens of the conversation that are read to understand a follow-up question. Older "
            "turns are summarized. 0: each question is read alone"
        ),
    )
    search_timeout: float = Field(
        default=60,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds after which a search fails",
    )
    answer_language: Annotated[
        Annotated[LanguageCode, AfterValidator(_check_language)] | None, BeforeValidator(_blank_to_none)
    ] = Field(
        default=None,
        description="ISO 639-1 code of the answer's language. Empty: the language of the question",
    )
    unsupported: Unsupported = Field(
        default="flag",
        description="Sentences that their passages do not support: flag them with [?], drop or keep them",
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_effort(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**cls.efforts.get(str(given.get("effort")), {}), **given}
