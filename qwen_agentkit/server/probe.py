"""What a server is and can do, found by asking it. Knows routes and answers, prints nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qwen_agentkit.chat.parsing import Event, Parsed
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.errors import (
    InputError,
    ServerAccessError,
    ServerError,
    ServerModelError,
    ServerRefusedError,
    ServerUnsupportedError,
)
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION
from qwen_agentkit.server.chat import ChatServer
from qwen_agentkit.server.embeddings import LOST_END, EmbeddingServer
from qwen_agentkit.server.flavors import context_of, detect_server
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.rerank import RerankServer

__all__ = ["probe_server"]

_TIME = "What time is it?"
_SENTENCE = f"{_TIME} Answer in one short sentence."
_HELLO = "Say hello."  # needs no tool, so that a call shows that it was forced
_CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tell the time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
_SCHEMA = {"type": "object", "properties": {"hour": {"type": "integer"}}, "required": ["hour"]}

# Most tokens of an answer without a thought, and of one with a thought.
_SHORT, _LONG = 256, 2000

# A wrong key or model: nothing else can be found.
_REFUSED = (ServerAccessError, ServerModelError)


def probe_server(server: Server, model: str | None = None) -> dict[str, Any]:
    """Ask a server for everything that this package can use. Its model writes six answers at most.

    Args:
        server: What to ask.
        model: As the server names it; None takes the first it lists.

    Returns:
        The kind of server, its models with their contexts, and for each ability "yes" and how, or "no" and
        why. Answers are greedy, so that the same server gives the same result again.

    Raises:
        InputError: The server lists no models and none is given.
        ServerError: The server does not answer, refuses the key, or does not have the model.
    """
    models = server.models()
    flavor = detect_server(server, None, models)
    if model is None:
        if not models:
            raise InputError(f"{server.root} lists no models; say which one to ask, with --model NAME.")
        model = str(models[0]["id"])
    context = next((context_of(row) for row in models if row["id"] == model), None)
    return {
        "server": flavor.name,
        "models": [{"name": row["id"], "context": context_of(row) or "not said"} for row in models],
        "asked": model,
        "thinking switch": {"template": "chat_template_kwargs", "effort": "reasoning_effort"}.get(
            flavor.switch or "", "no"
        ),
        "thinking budget": flavor.budget or "no",
        "cannot be asked for": ", ".join(sorted(flavor.ignores)) or "nothing that ChatQwen has",
        **_abilities(server, _Chat(ChatServer(server, model, flavor.name), context), model),
    }


def _abilities(server: Server, chat: _Chat, model: str) -> dict[str, str]:
    chats = _try(chat.try_answer)
    embeds = _try(lambda: _try_embedding(server, model))
    # Both, since a server may also say of one route alone that it does not have the model there.
    if isinstance(chats, _REFUSED) and isinstance(embeds, _REFUSED):
        raise chats
    more = {
        "thoughts": chat.try_thinking,
        "tools": chat.try_tools,
        "tool choice": chat.try_forced_tool,
        "objects": chat.try_schema,
    }
    silent = isinstance(chats, Exception)
    found = {
        "chat": chats,
        **{name: "no: it does not chat" if silent else _try(ability) for name, ability in more.items()},
        "embeddings": embeds,
        "reranking": _try(lambda: _try_reranking(server, model)),
    }
    return {
        name: f"no: {result}" if isinstance(result, Exception) else result for name, result in found.items()
    }


def _try(ability: Callable[[], str]) -> str | ServerError | InputError:
    try:
        return ability()
    except (ServerError, InputError) as error:
        return error


@dataclass(frozen=True)
class _Answer:
    """A whole answer, and where it was cut off; "" if it was not."""

    parts: Parsed
    cut: str

    def verdict(self, *, wanted: bool) -> str:
        """Say whether the answer has what was asked for."""
        if wanted:
            return "yes"
        return f"not seen: {self.cut}" if self.cut else "none in one answer"


class _Chat:
    """A chat model, asked to answer without thoughts where the server can switch them off."""

    def __init__(self, chat: ChatServer, context: Any) -> None:
        self._chat = chat
        self._thinking = False if chat.flavor.switch else None
        # The question needs some of a short context too.
        self._room = context // 2 if isinstance(context, int) else _LONG

    def try_answer(self) -> str:
        """Check that any answer comes."""
        try:
            answer = self._ask(_SENTENCE)
        except (ServerUnsupportedError, ServerRefusedError):
            if self._thinking is None:
                raise
            self._thinking = None  # the model always thinks, or has no switch
            answer = self._ask(_SENTENCE)
        parts = answer.parts
        if parts.content or parts.tool_calls or parts.invalid_tool_calls:
            return "yes"
        if answer.cut:
            return f"yes, but {answer.cut}"
        return "yes, but thoughts alone" if parts.reasoning else "none in one answer"

    def try_thinking(self) -> str:
        """Check whether the model thinks without being asked to."""
        return "yes" if self._answer(_SENTENCE, _SHORT).parts.reasoning else "none in one answer"

    def try_tools(self) -> str:
        """Check that it calls a tool that it may call."""
        answer = self._ask(_TIME, tools=[_CLOCK])
        for call in answer.parts.invalid_tool_calls:
            return f"no: it wrote a call that cannot be read: {call['error']}"
        return answer.verdict(wanted=bool(answer.parts.tool_calls))

    def try_forced_tool(self) -> str:
        """Check that it calls a tool that it has to call, without a reason in the question."""
        answer = self._ask(_HELLO, tools=[_CLOCK], forced_call=True, forced_tool="clock")
        return answer.verdict(wanted=any(call["name"] == "clock" for call in answer.parts.tool_calls))

    def try_schema(self) -> str:
        """Check that it follows a schema that the question does not mention."""
        answer = self._ask(_SENTENCE, schema=_SCHEMA, parsed=True)  # what does not fit is said here
        text = answer.parts.content
        if text and not answer.cut and not _has_hour(text):
            return f"no: asked for an object with a whole number as its 'hour', it answered {text[:80]!r}"
        return answer.verdict(wanted=_has_hour(text))

    def _ask(self, question: str, **settings: Any) -> _Answer:
        tokens = _LONG if self._thinking is None else _SHORT
        return self._answer(question, tokens, thinking=self._thinking, **settings)

    def _answer(self, question: str, tokens: int, **settings: Any) -> _Answer:
        tokens = min(tokens, self._room)
        messages = [{"role": "user", "content": question}]
        request = Request(messages, max_tokens=tokens, sampling={"temperature": 0}, **settings)
        events: list[Event] = []
        cut = ""
        for event in self._chat.answer(request, threading.Event()):
            if not isinstance(event, Done):
                events.append(event)
            elif event.finish_reason == "length":
                thought = " while thinking" if event.thinking_truncated else ""
                cut = f"cut off{thought} after {tokens} tokens"
        return _Answer(Parsed.from_events(events), cut)


def _has_hour(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and type(value.get("hour")) is int


def _try_embedding(server: Server, model: str) -> str:
    asked = EmbeddingServer(server, model)
    found = f"yes, {asked.dimensions} dimensions"
    return f"{found}, but {LOST_END}" if asked.loses_end else found


def _try_reranking(server: Server, model: str) -> str:
    right, wrong = RerankServer(server, model, DEFAULT_INSTRUCTION).score(
        "When does the library open?", ["The library opens at nine.", "Bananas are yellow."]
    )
    return f"yes, {right:.3f} for a relevant text and {wrong:.3f} for another"
