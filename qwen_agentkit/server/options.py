"""Probabilities of the letters that a served model may reply with, by the log-probabilities of a token.

Fields: https://platform.openai.com/docs/api-reference/chat, `logprobs` and `top_logprobs`, which vLLM,
SGLang, llama.cpp and Ollama (from 0.12.11) answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qwen_agentkit.chat.request import Request
from qwen_agentkit.errors import InputError, ServerAnswerError, ServerUnsupportedError
from qwen_agentkit.server.body import write_body
from qwen_agentkit.server.flavors import Flavor
from qwen_agentkit.server.http import Server

__all__ = ["letter_probabilities"]

# The most that servers return by default.
_MOST_LETTERS = 20


def letter_probabilities(
    server: Server, flavor: Flavor, model: str, prompt: Sequence[dict[str, Any]], letters: str
) -> tuple[list[float], int | None]:
    """Return how likely a reply begins with each letter, among the letters.

    A letter that is not among the 20 most likely tokens counts as 0.

    Args:
        server: Where the model is.
        flavor: The kind of server.
        model: As the server names it.
        prompt: Messages as chat templates read them.
        letters: The letters that the prompt allows.

    Returns:
        The probabilities, which sum to 1, and the tokens of the prompt, if the server counts them.

    Raises:
        InputError: There are more than 20 letters.
        InputTooLongError: The prompt does not fit the context.
        ServerUnsupportedError: The server returns no log-probabilities, or the model begins with no letter.
        ServerError: There was no whole answer.
    """
    if len(letters) > _MOST_LETTERS:
        raise InputError(
            f"The question has {len(letters)} options; a server tells the probabilities of {_MOST_LETTERS}. "
            "Ask for a group of them first, then for one of the group, or run the model in this process."
        )
    request = Request(prompt, thinking=False, sampling={"temperature": 0.0}, max_tokens=1)
    body = write_body(model, flavor, request)
    body.pop("stream_options", None)
    body |= {"stream": False, "logprobs": True, "top_logprobs": _MOST_LETTERS}
    answer = server.post("/v1/chat/completions", body)
    found = dict.fromkeys(letters, 0.0)
    for token, logprob in _first_tokens(answer, server):
        if token.strip() in found:
            found[token.strip()] += math.exp(logprob)
    total = sum(found.values())
    if not total:
        raise ServerUnsupportedError(
            f"The model {model!r} at {server.root} begins its reply with none of the letters "
            f"{', '.join(letters)}. Expected a chat model that does not think first; if it thinks, choose an "
            "instruct checkpoint, or run the model in this process."
        )
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return [value / total for value in found.values()], tokens if isinstance(tokens, int) else None


def _first_tokens(answer: Any, server: Server) -> Iterator[tuple[str, float]]:
    """Yield the likeliest first tokens of an answer with their log-probabilities."""
    try:
        listed = answer["choices"][0].get("logprobs")
        first = listed["content"][0] if listed else None
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ServerAnswerError(
            f"The server at {server.root} sent an answer in another form; expected a chat completion with "
            "logprobs. Check that base_url is the address of a model server."
        ) from error
    if first is None:
        raise ServerUnsupportedError(
            f"The server at {server.root} returns no log-probabilities, from which decisions are made. Use "
            "vLLM, SGLang, llama.cpp or Ollama 0.12.11, or run the model in this process."
        )
    for row in first.get("top_logprobs") or [first]:
        if isinstance(row, Mapping) and isinstance(row.get("logprob"), int | float):
            yield str(row.get("token", "")), float(row["logprob"])
