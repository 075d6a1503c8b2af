"""What a server is and can do, found out by asking it. Knows routes and answers, prints nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from qwen_agentkit.engine.request import Done, Request
from qwen_agentkit.errors import InputError, ServerError
from qwen_agentkit.parsing import CallEvent, ContentEvent, Event, ReasoningEvent
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION
from qwen_agentkit.server.chat import ChatServer
from qwen_agentkit.server.embeddings import EmbeddingServer
from qwen_agentkit.server.flavors import identify
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.rerank import RerankServer

__all__ = ["examine"]

_HELLO = [{"role": "user", "content": "What time is it? Answer in one short sentence."}]
_CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tell the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
_SCHEMA = {"type": "object", "properties": {"hour": {"type": "integer"}}, "required": ["hour"]}

# Tokens of each answer asked for: enough for a short thought and what follows it.
_TOKENS = 256


def examine(server: Server, model: str | None = None) -> dict[str, Any]:
    """Ask a server for all this package can use. Its model writes four short answers at most.

    Args:
        server: What to ask.
        model: As the server names it; None takes the first it lists.

    Returns:
        The kind of server, its models with their contexts, and for each ability "yes" and how, or "no" and
        why.

    Raises:
        ServerError: Nothing answers, or there is no model to ask.
    """
    models = server.models()
    flavor = identify(server, None, models)
    if model is None:
        if not models:
            raise InputError(f"{server.root} lists no models; say which one to ask, with --model NAME.")
        model = str(models[0]["id"])
    name = model
    return {
        "server": flavor.name,
        "models": [{"name": row["id"], "context": _context(row) or "not said"} for row in models],
        "asked": name,
        "thinking switch": {"template": "chat_template_kwargs", "effort": "reasoning_effort"}.get(
            flavor.switch or "", "no"
        ),
        "thinking budget": flavor.budget or "no",
        "cannot be asked for": ", ".join(sorted(flavor.ignores)) or "nothing that ChatQwen has",
        "chat": _try(lambda: _answers(server, name, Request(_HELLO, max_tokens=_TOKENS), ContentEvent)),
        "thoughts": _try(lambda: _answers(server, name, Request(_HELLO, max_tokens=_TOKENS), ReasoningEvent)),
        "tools": _try(
            lambda: _answers(server, name, Request(_HELLO, tools=[_CLOCK], max_tokens=_TOKENS), CallEvent)
        ),
        "objects": _try(
            lambda: _answers(server, name, Request(_HELLO, schema=_SCHEMA, max_tokens=_TOKENS), ContentEvent)
        ),
        "embeddings": _try(lambda: f"yes, {EmbeddingServer(server, name).dimensions} dimensions"),
        "reranking": _try(lambda: _ranks(server, name)),
    }


def _context(row: dict[str, Any]) -> Any:
    """Return the context in tokens, as vLLM, SGLang, LM Studio or llama.cpp name it."""
    meta = row.get("meta") or {}
    found = (
        row.get("max_model_len"),
        row.get("max_context_length"),
        meta.get("n_ctx"),
        meta.get("n_ctx_train"),
    )
    return next((value for value in found if value), None)


def _answers(server: Server, model: str, request: Request, wanted: type[Event]) -> str:
    events: Sequence[Event | Done] = list(ChatServer(server, model).answer(request, threading.Event()))
    return "yes" if any(isinstance(event, wanted) for event in events) else "none in one answer"


def _ranks(server: Server, model: str) -> str:
    right, wrong = RerankServer(server, model, DEFAULT_INSTRUCTION).score(
        "When does the library open?", ["The library opens at nine.", "Bananas are yellow."]
    )
    return f"yes, {right:.3f} for a relevant text and {wrong:.3f} for another"


def _try(ability: Callable[[], str]) -> str:
    try:
        return ability()
    except (ServerError, InputError) as error:
        return f"no: {error}"
