"""The settings of `rag_agent` that a caller may choose. No behavior."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from qwen_agentkit.graphs.shared.state import RagContext

__all__ = ["AgentContext"]


class AgentContext(RagContext):
    """Settings of one run of `rag_agent`."""

    searches: int = Field(default=4, ge=0, le=50, description="Maximum number of searches for one question")
    turns: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Maximum number of calls of the model for one question. The last one must answer",
    )
    thinking_budget: int | None = Field(
        default=None,
        ge=0,
        validation_alias=AliasChoices("thinking_budget", "thinking_tokens"),  # its former name
        description="Maximum tokens of thought for one question, all calls together. Empty: no limit",
    )
    node_budgets: dict[Literal["generate", "repair"], Annotated[int, Field(ge=0)]] = Field(  # type: ignore[assignment]  # fewer nodes
        default={},
        description=(
            "Maximum tokens of thought of one call, such as {generate: 512, repair: 128}. Answers are "
            "repaired without thinking unless repair is named here"
        ),
    )
    history_tokens: int = Field(
        default=1500,
        ge=0,
        le=100_000,
        description=(
            "Maximum tokens of earlier questions and answers that the model reads. If there are more, the "
            "passages found for them are left out, and older ones are summarized. "
            "0: each question is read alone"
        ),
    )
