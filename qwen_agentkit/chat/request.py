"""The request to a chat model, and the end of its answer. Read by the engine and by servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Done", "FinishReason", "Request"]

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class Request:
    """What a chat model is asked.

    Attributes:
        messages: As chat templates read them: role and content, and where there are any `reasoning_content`,
            `tool_calls` with arguments as objects, or `tool_call_id`.
        tools: Tool schemas in the OpenAI form, shown to the model.
        forced_call: Whether the answer has to be tool calls and nothing else.
        forced_tool: The tool that has to be called; None lets the model choose.
        forbids_calls: Whether calls are forbidden, even if earlier turns have some.
        parallel_calls: Whether several calls are allowed.
        schema: JSON schema of an answer that is not a tool call; None leaves it free text.
        strict_schema: Whether a schema that a grammar cannot hold wholly is refused.
        parsed: Whether a parser after the model refuses an answer that does not fit its schema.
        thinking: Whether to think first; None leaves it to the checkpoint.
        thinking_budget: Most tokens of thought.
        reasoning_effort: How much to think, as a value that the checkpoint's template knows.
        keep_thoughts: Whether the model sees its thoughts of earlier turns; None does what its family does.
        sampling: Fields of `Sampling` that replace the recommended values; None keeps those.
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
    strict_schema: bool = False
    parsed: bool = False
    thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    keep_thoughts: bool | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    stop: Sequence[str] = ()


@dataclass(frozen=True)
class Done:
    """The end of an answer. Counts are None if a server does not report them.

    Attributes:
        input_tokens: Tokens of the prompt.
        cached_tokens: Tokens of the prompt that were not computed again.
        output_tokens: Tokens written, thoughts and the one that ends the turn included.
        reasoning_tokens: Tokens written inside the think block.
        finish_reason: Why it ended.
        thinking_truncated: Whether a thought was cut off, by its budget or to leave room for the answer.
        schema_fault: What of the answer does not fit the schema of the request; "" if it fits.
    """

    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    finish_reason: FinishReason
    thinking_truncated: bool
    schema_fault: str = ""
