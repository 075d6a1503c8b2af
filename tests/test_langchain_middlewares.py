"""LangChain's middleware that asks a model, or counts with one, in running agents with `ChatQwen`.

Those that ask for decisions are in `test_decision_middleware.py`, summaries and humans in `test_agents.py`.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    LLMToolEmulator,
    LLMToolSelectorMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
)
from langchain.agents.middleware.model_refusal import ModelRefusalMiddleware
from langchain.agents.middleware.provider_tool_search import ProviderToolSearchMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, tool

from qwen_agentkit import ChatQwen
from qwen_agentkit.errors import ServerRefusedError
from tests.fakes.server import URL, Serve, call, delta, sse

CHAT = "/v1/chat/completions"
Body = dict[str, Any]


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city}: sunny."


@tool
def clock(zone: str) -> str:
    """Tell the time in a zone."""
    return f"{zone}: noon."


TOOLS: list[BaseTool] = [weather, clock]


def text(words: str) -> httpx.Response:
    return sse([delta(content=words), delta("stop")])


def calls(name: str, **arguments: str) -> httpx.Response:
    return sse([delta("tool_calls", tool_calls=[call(0, name, json.dumps(arguments), "1")])])


def looks(body: Body) -> httpx.Response:
    """A model that asks for the weather, and then says what it got."""
    last = body["messages"][-1]
    return text(last["content"]) if last["role"] == "tool" else calls("weather", city="Cairo")


def model(**settings: Any) -> ChatQwen:
    return ChatQwen(model="Qwen/Qwen3-8B", base_url=URL, max_retries=0, **settings)


def run(middleware: Any, **options: Any) -> list[Any]:
    agent = create_agent(model(), TOOLS, middleware=[middleware], **options)
    return list(agent.invoke({"messages": [HumanMessage("The weather in Cairo?")]})["messages"])


def test_another_model_answers_where_one_fails(serve: Serve) -> None:
    def reply(body: Body) -> httpx.Response:
        if "seed" not in body:
            return httpx.Response(400, json={"error": {"message": "the first one is broken"}})
        return looks(body)

    server = serve({CHAT: reply})
    assert run(ModelFallbackMiddleware(model(seed=1)))[-1].text == "Cairo: sunny."
    assert [body.get("seed") for body in server.bodies()] == [None, 1, None, 1]
    assert all("tools" in body for body in server.bodies())


@pytest.mark.parametrize("own", [True, False])
def test_a_model_selects_the_tools(serve: Serve, own: bool) -> None:
    def reply(body: Body) -> httpx.Response:
        if "response_format" in body:
            return text('{"tools": ["weather"]}')
        return looks(body)

    server = serve({CHAT: reply})
    selector = LLMToolSelectorMiddleware(max_tools=1, model=model(seed=7) if own else None)
    assert run(selector)[-1].text == "Cairo: sunny."
    asked, used, *_ = server.bodies()
    names = json.dumps(asked["response_format"])
    assert ("weather" in names, "clock" in names, asked.get("seed")) == (True, True, 7 if own else None)
    assert [one["function"]["name"] for one in used["tools"]] == ["weather"]


@pytest.mark.parametrize("emulated", [["weather"], None, ["clock"]])
def test_a_model_plays_a_tool(serve: Serve, emulated: list[str] | None) -> None:
    def reply(body: Body) -> httpx.Response:
        return looks(body) if "tools" in body else text("Cairo: snow.")

    serve({CHAT: reply})
    answer = run(LLMToolEmulator(tools=emulated, model=model()))[-1].text  # type: ignore[arg-type]  # invariant
    assert answer == ("Cairo: sunny." if emulated == ["clock"] else "Cairo: snow.")


def test_old_results_are_cleared_by_the_tokens_that_the_model_counts() -> None:
    seen: list[list[Any]] = []
    nano = ChatQwen(model="nano", thinking=False, max_tokens=1)

    class Seen(ChatQwen):
        """Notes what it reads."""

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(messages)
            return super()._generate(messages, *args, **kwargs)

    chat: list[Any] = [HumanMessage("Weather?")]
    for number in range(4):
        made = {"name": "weather", "args": {"city": "Cairo"}, "id": str(number)}
        chat += [AIMessage("", tool_calls=[made]), ToolMessage("sunny " * 40, tool_call_id=str(number))]
    size = nano.get_num_tokens_from_messages(chat)
    for trigger, cleared in ((size + 1000, 0), (size - 20, 3)):
        edit = ClearToolUsesEdit(trigger=trigger, keep=1)
        context = ContextEditingMiddleware(edits=[edit], token_count_method="model")
        model = Seen(model="nano", thinking=False, max_tokens=1)
        create_agent(model, [weather], middleware=[context]).invoke({"messages": chat})
        assert [one.text for one in seen.pop() if isinstance(one, ToolMessage)].count("[cleared]") == cleared


def test_a_call_is_made_again_where_the_server_fails_once(serve: Serve) -> None:
    replies: list[Any] = [httpx.Response(503, json={"error": "busy"}), looks, looks]
    server = serve({CHAT: replies})
    assert run(ModelRetryMiddleware(initial_delay=0, jitter=False))[-1].text == "Cairo: sunny."
    assert len(server.bodies()) == 3


def test_a_call_that_can_never_work_is_an_answer_that_says_so(serve: Serve) -> None:
    serve({CHAT: httpx.Response(400, json={"error": {"message": "never"}})})
    retrying = ModelRetryMiddleware(max_retries=1, initial_delay=0, on_failure="error")
    with pytest.raises(ServerRefusedError, match="never"):
        run(retrying)


def test_no_answer_of_ours_is_a_refusal(serve: Serve) -> None:
    serve({CHAT: looks})
    assert run(ModelRefusalMiddleware())[-1].text == "Cairo: sunny."


@pytest.mark.parametrize("tools", [None, ["weather"]])
def test_no_search_for_tools_at_the_provider(serve: Serve, tools: Any) -> None:
    serve({CHAT: looks})
    middleware = ProviderToolSearchMiddleware(searchable_tools=tools)
    if tools is None:  # nothing is deferred
        assert run(middleware)[-1].text == "Cairo: sunny."
        return
    with pytest.raises(ValueError, match=r"(?i)tool search"):
        run(middleware)
