"""One answer to a chat by llama.cpp, as the events that the engine yields. Knows requests, no LangChain."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from qwen_agentkit.chat.parsing import Event
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.engine.decode.answer import ask, read_answer
from qwen_agentkit.engine.llama.model import LlamaModel
from qwen_agentkit.engine.llama.tokens import LlamaTokens

__all__ = ["answer_by_llama"]


def answer_by_llama(
    model: LlamaModel, request: Request, cancelled: threading.Event
) -> Iterator[Event | Done]:
    """Answer a chat: yield events while the model generates, then one `Done`.

    Templates, token ids, grammars and the reading of the answer are the engine's.

    Args:
        model: A chat model.
        request: The messages, tools and settings.
        cancelled: Set it from another thread to stop within one token.

    Raises:
        InputError: The messages do not fit the template or the context, or no grammar fits a schema.
        ModelUnsupportedError: The checkpoint cannot do what is asked.
        ModelError: llama.cpp failed.
    """
    asked = ask(model, request)
    tokens = LlamaTokens(model, asked, request.thinking_budget, request.max_tokens, cancelled)
    yield from read_answer(model, request, asked, tokens, tokens)
