"""What is asked of a chat model and how its answer ends. Knows words: an engine or a server answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Done", "FinishReason", "Request"]

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class Request:
    """What is asked of the model.

    Attributes:
        messages: With role and content, as chat templates expect them.
        tools: Tool schemas in the OpenAI form, shown to the model.
        forced_call: Whether the answer has to be tool calls and nothing else.
        forced_tool: The tool it has to call; None lets the model choose.
        forbids_calls: Whether the answer may hold no call, whatever earlier turns hold.
        parallel_calls: Whether there may be several calls.
        schema: JSON schema of the answer where it is no tool call; None leaves it free text.
        thinking: Whether to think first; None leaves it to the checkpoint.
        thinking_budget: Most tokens of thought.
        reasoning_effort: How much to think, in the words of the checkpoint's template.
        keep_thoughts: Whether thoughts of earlier turns are shown; None does as the family.
        sampling: Fields of `Sampling` that replace the recommended ones; None values do not.
        max_tokens: Most tokens of the whole answer.
        stop: Strings that end the answer; they do not count inside thoughts.
    """

    messages: Sequence[dict[str, Any]]
    tools: Sequence[dict[str, Any]] = ()
    forced_call: bool = False
    forced_tool: str | None = None
    forbids_calls: bool = False
    parallel_calls: bool = True
    schema: Mapping[str, Any] | None = None
    thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    keep_thoughts: bool | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    stop: Sequence[str] = ()


@dataclass(frozen=True)
class Done:
    """The end of an answer. Counts are None where a server does not tell them.

    Attributes:
        input_tokens: Tokens of the prompt.
        cached_tokens: Those of them that were not computed again.
        output_tokens: Tokens written, thoughts and the one that ends the turn included.
        reasoning_tokens: Those of them inside the think block.
        finish_reason: Why it ended.
        thinking_truncated: Whether a thought was cut off, by its budget or to leave room for the answer.
    """

    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    finish_reason: FinishReason
    thinking_truncated: bool
