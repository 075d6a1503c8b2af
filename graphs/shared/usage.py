"""Tokens that the chat models of a stage read, wrote and thought, whoever called them.

Knows LangChain callbacks and messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

__all__ = ["TokenCount", "counted_tokens", "thought_in"]


class TokenCount(BaseCallbackHandler):
    """A sum over model calls; calls may come from several threads."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        """"input" and "output"; empty when no call told its usage."""
        self.thought = 0
        """Tokens of thought."""
        self._lock = Lock()

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Add what a call used, if it says."""
        for generation in response.generations[0]:
            message = generation.message if isinstance(generation, ChatGeneration) else None
            if not isinstance(message, AIMessage):
                continue
            with self._lock:
                self.thought += thought_in(message)
                if usage := message.usage_metadata:
                    for kind, tokens in (
                        ("input", usage["input_tokens"]),
                        ("output", usage["output_tokens"]),
                    ):
                        self.tokens[kind] = self.tokens.get(kind, 0) + tokens


# Registered once: LangChain keeps every hook it is given for the life of the process.
_current: ContextVar[TokenCount | None] = ContextVar("qwen_agentkit_tokens", default=None)
register_configure_hook(_current, inheritable=True)


@contextmanager
def counted_tokens() -> Iterator[TokenCount]:
    """Count the tokens of all model calls made inside, in this thread and in those that copy its context."""
    count = TokenCount()
    token = _current.set(count)
    try:
        yield count
    finally:
        _current.reset(token)


def thought_in(message: AIMessage) -> int:
    """Tokens of thought in a message, from its usage, else from the length of the thought."""
    usage = message.usage_metadata
    if usage and "reasoning" in usage.get("output_token_details", {}):
        return usage["output_token_details"]["reasoning"]
    return len(str(message.additional_kwargs.get("reasoning_content", "")).encode()) // 4
