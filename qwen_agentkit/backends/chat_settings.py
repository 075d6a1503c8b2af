"""The settings of chat models: how they think, choose tokens and end. Knows no messages and no weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from qwen_agentkit.backends.settings import ModelSettings
from qwen_agentkit.errors import InputError

__all__ = ["CONNECTION_SETTINGS", "SAMPLING", "SETTINGS", "ChatSettings", "describe"]


class ChatSettings(ModelSettings):
    """What can be set for a chat model, and for each of its calls."""

    thinking: bool | None = None
    """Whether to think before answering. None: the checkpoint's default."""

    thinking_budget: int | None = Field(default=None, ge=0)
    """Most tokens of a thought, after which the answer begins. None: no limit."""

    reasoning_effort: str | None = None
    """How much to think, by a level that the checkpoint knows, such as "low", "medium" or "xhigh" of Qwen3.8.
    Most checkpoints have no levels."""

    keep_thoughts: bool | None = None
    """Whether the prompt keeps thoughts of earlier turns. None: as the model's family does. True repeats
    every turn as it was written, so that nothing of a conversation is computed twice, but thoughts fill the
    context."""

    temperature: float | None = Field(default=None, ge=0)
    """Randomness; 0 takes the most likely token. None, here and below: what the model's makers recommend."""

    top_p: float | None = Field(default=None, ge=0, le=1)
    """Share of the probability mass to choose from, 0..1."""

    top_k: int | None = Field(default=None, ge=0)
    """Number of tokens to choose from; 0 for all."""

    min_p: float | None = Field(default=None, ge=0, le=1)
    """Smallest probability to choose, as a share of the largest, 0..1."""

    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Makes tokens that are already in the answer less likely, -2..2."""

    repetition_penalty: float | None = Field(default=None, gt=0)
    """Makes tokens that are already in the prompt or the answer less likely, by a factor; 1 does not."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of an answer, thoughts included. None: as many as fit the context."""

    stop: list[str] | None = None
    """Strings that end the answer and are not part of it. In thoughts they end nothing."""

    seed: int | None = None
    """Makes answers repeatable."""

    n: int = Field(default=1, ge=1)
    """Number of answers to write at the same time, seeded `seed`, `seed + 1`, ...; `generate` returns all."""

    quantize: Literal["int8", "int4", "fp8"] | None = None
    """Round the weights while loading, to half or about a third of their bytes: "int8" or "int4", or "fp8" on
    NVIDIA GPUs that multiply 8-bit floats.

    On CPUs (with AVX-512), "int8" also rounds activations to 8 bits, token by token. "int4" does so for
    prompts, not for the answer, and has a scale for every 32 weights. Both give the head and the token
    embeddings 8 bits. On GPUs those are not rounded, and torchao rounds the layers (the extra `torchao`).
    Measure on your own task what it costs in quality."""

    context_window: int | None = Field(default=None, ge=1)
    """Most tokens of a prompt and its answer. Beyond the checkpoint's own, up to four times as many,
    positions are stretched (YaRN): for short texts too, which may cost some quality. Memory grows with the
    tokens in use. Models with different windows are loaded apart."""

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, stop: list[str] | None) -> list[str] | None:
        if stop and "" in stop:
            raise InputError(
                f"stop={stop!r} contains an empty string, which would end every answer. Remove it."
            )
        return stop


def describe(error: ValidationError, given: Mapping[str, Any]) -> str:
    """Return in a sentence what is wrong with the settings of a call."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "a setting"
    value = f"{name}={given[name]!r}" if name in given else name
    return f"{value} cannot be used: {first['msg']}. Expected what the field of ChatQwen takes; correct it."


SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty", "seed")
"""Settings that choose tokens."""

SETTINGS = frozenset(
    (
        *(*SAMPLING, "n", "max_tokens", "stop", "thinking", "thinking_budget"),
        *("reasoning_effort", "keep_thoughts", "context_window"),
        *("model", "revision", "device", "dtype", "engine", "adapter", "quantize"),
        *("base_url", "server", "timeout", "max_retries", "keep_alive"),
    )
)
"""Settings that a call can change."""

CONNECTION_SETTINGS = frozenset({"timeout", "max_retries", "keep_alive"})
"""Settings that change no answer."""
