"""The settings of `rag_agent` that a caller may choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from qwen_agentkit.graphs.shared.state import RagContext

__all__ = ["AgentContext"]


class AgentContext(RagContext):
    """Settings of one run of `rag_agent`."""

    searches: int = Field(default=4, ge=0, le=50, description="Most searches for one question")
    turns: int = Field(
        default=10, ge=1, le=100, description="Most calls of the model for one question; the last must answer"
    )
    thinking_budget: int | None = Field(
        default=None,
        ge=0,
        validation_alias=AliasChoices("thinking_budget", "thinking_tokens"),  # its name before
        description="Most tokens of thought for one question, all its calls together; empty: any",
    )
    node_budgets: dict[Literal["generate", "repair"], Annotated[int, Field(ge=0)]] = Field(  # type: ignore[assignment]  # fewer nodes
        default={},
        description=(
            "Most tokens of thought of one call: {generate: 512, repair: 128}. Faults are mended without "
            "thought unless repair stands here"
        ),
    )
    history_tokens: int = Field(
        default=1500,
        ge=0,
        le=100_000,
        description=(
            "Tokens of earlier questions and answers that the model reads, without what was found for them "
            "when that is too long; older ones are summarised. 0: each question stands for itself"
        ),
    )
