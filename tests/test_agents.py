"""`ChatQwen` inside LangChain: agents with tools, objects and middleware, and what every runnable offers.

The model is a checkpoint that `tests/tiny_chat.py` trains for these dialogues. Sockets are closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from langsmith.utils import tracing_is_enabled
from pydantic import BaseModel

from qwen_agentkit import ChatQwen
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.errors import ModelNotFoundError
from tests.tiny_chat import call, dictate, teach


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"{city}: sunny."


@tool
def send_mail(to: str) -> str:
    """Send a mail."""
    SENT.append(to)
    return f"Sent to {to}."


SENT: list[str] = []


class Report(BaseModel):
    """The weather of a city."""

    city: str
    sky: str


SUNNY = '{{"city": "{0}", "sky": "sunny"}}'

REPLIES: dict[str, str | dict[str, Any]] = {
    "Hello": "Hello! What can I do for you?",
    "Weather in Cairo?": {"city": "Cairo"},
    "<tool_response>\nCairo: sunny.\n</tool_response>": "Cairo: sunny.",
    "Weather in Oslo?": {"city": "Oslo"},
    "<tool_response>\nOslo: sunny.\n</tool_response>": SUNNY.format("Oslo"),
    "Weather in Lima?": {"city": "Lima"},
    "<tool_response>\nLima: sunny.\n</tool_response>": call("Report", city="Lima", sky="sunny"),
    "Mail to Eve": {"to": "Eve"},
    "<tool_response>\nSent to Eve.\n</tool_response>": "Sent to Eve.",
    "Sent to Bob.\n</tool_response>": "Sent to Bob.",
    "<tool_response>\nDo not.\n</tool_response>": "Not sent.",
    '<message type="ai">Hello! What can I do for you?</message>': "Greetings.",
    "Goodbye": "Goodbye!",
}


def loop(llm: ChatQwen) -> list[BaseMessage]:
    agent = create_agent(llm, [get_weather, send_mail], system_prompt="Be brief.")
    messages: list[BaseMessage] = agent.invoke({"messages": [HumanMessage("Weather in Cairo?")]})["messages"]
    return messages


def report(llm: ChatQwen, city: str, response_format: Any) -> dict[str, Any]:
    agent = create_agent(llm, [get_weather], response_format=response_format)
    return agent.invoke({"messages": [HumanMessage(f"Weather in {city}?")]})


def mail(llm: ChatQwen, decision: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return what the human was asked, and how it ended."""
    human = HumanInTheLoopMiddleware(interrupt_on={"send_mail": True})
    agent = create_agent(llm, [send_mail], middleware=[human], checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    stopped = agent.invoke({"messages": [HumanMessage("Mail to Eve")]}, config)
    return stopped, agent.invoke(Command(resume={"decisions": [decision]}), config)


DECISIONS: dict[str, dict[str, Any]] = {
    "approve": {"type": "approve"},
    "edit": {"type": "edit", "edited_action": {"name": "send_mail", "args": {"to": "Bob"}}},
    "respond": {"type": "respond", "message": "Do not."},
}


def summarize(llm: ChatQwen) -> list[BaseMessage]:
    short = SummarizationMiddleware(
        llm, trigger=("messages", 3), keep=("messages", 1), summary_prompt="Shorten: {messages}"
    )
    agent = create_agent(llm, [], middleware=[short], checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    agent.invoke({"messages": [HumanMessage("Hello")]}, config)
    messages: list[BaseMessage] = agent.invoke({"messages": [HumanMessage("Goodbye")]}, config)["messages"]
    return messages


def rehearse() -> None:
    """Do everything once, for the prompts."""
    for thinking in (False, True):
        llm = ChatQwen(model="nano", thinking=thinking)
        llm.batch(["Hello", "Goodbye"])
        loop(llm)
        report(llm, "Oslo", ProviderStrategy(Report))
        report(llm, "Lima", ToolStrategy(Report))
        for decision in DECISIONS.values():
            mail(llm, decision)
        summarize(llm)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The checkpoint that knows the dialogues of this file."""
    trained = tmp_path_factory.mktemp("tiny-agent")
    teach(dictate(REPLIES, rehearse), trained)
    held = load(str(trained))  # else every test would load it anew
    yield str(trained)
    del held


@pytest.fixture(params=[False, True], ids=["quick", "thinking"])
def llm(folder: str, request: pytest.FixtureRequest) -> ChatQwen:
    return ChatQwen(model=folder, thinking=request.param, temperature=0, max_tokens=100)


@pytest.fixture
def quick(folder: str) -> ChatQwen:
    return ChatQwen(model=folder, thinking=False, temperature=0, max_tokens=100)


GREETING = "Hello! What can I do for you?"


def test_an_agent_calls_its_tool_and_answers(llm: ChatQwen) -> None:
    _, asked, result, reply = loop(llm)
    assert isinstance(asked, AIMessage)
    assert [(each["name"], each["args"]) for each in asked.tool_calls] == [("get_weather", {"city": "Cairo"})]
    assert isinstance(result, ToolMessage)
    assert result.tool_call_id == asked.tool_calls[0]["id"]
    assert reply.text == result.text == "Cairo: sunny."


async def test_an_agent_streams(llm: ChatQwen) -> None:
    agent = create_agent(llm, [get_weather, send_mail], system_prompt="Be brief.")
    asked: Any = {"messages": [HumanMessage("Weather in Cairo?")]}
    nodes = [node async for step in agent.astream(asked, stream_mode="updates") for node in step]
    assert nodes == ["model", "tools", "model"]
    pieces: list[Any] = [piece async for piece, _ in agent.astream(asked, stream_mode="messages")]
    reply = [piece.text for piece in pieces if piece.type == "AIMessageChunk" and piece.text]
    assert len(reply) > 1
    assert "".join(reply) == "Cairo: sunny."
    thoughts = "".join(piece.additional_kwargs.get("reasoning_content", "") for piece in pieces)
    assert thoughts == ("Easy.Easy." if llm.thinking else "")


def test_an_agent_answers_with_an_object(llm: ChatQwen) -> None:
    by_schema = report(llm, "Oslo", ProviderStrategy(Report))
    assert by_schema["structured_response"] == Report(city="Oslo", sky="sunny")
    assert [message.type for message in by_schema["messages"]] == ["human", "ai", "tool", "ai"]
    by_tool = report(llm, "Lima", ToolStrategy(Report))
    assert by_tool["structured_response"] == Report(city="Lima", sky="sunny")
    assert [message.type for message in by_tool["messages"]] == ["human", "ai", "tool", "ai", "tool"]


@pytest.mark.parametrize(
    ("decision", "sent", "reply"),
    [("approve", ["Eve"], "Sent to Eve."), ("edit", ["Bob"], "Sent to Bob."), ("respond", [], "Not sent.")],
)
def test_a_human_decides_about_a_call(llm: ChatQwen, decision: str, sent: list[str], reply: str) -> None:
    SENT.clear()
    stopped, ended = mail(llm, DECISIONS[decision])
    [interrupt] = stopped["__interrupt__"]
    [request] = interrupt.value["action_requests"]
    assert (request["name"], request["args"]) == ("send_mail", {"to": "Eve"})
    assert sent == SENT
    assert ended["messages"][-1].text == reply


def test_a_long_chat_is_summarised(llm: ChatQwen) -> None:
    summary, *rest = summarize(llm)
    assert summary.text.endswith("Greetings.")
    assert [message.text for message in rest] == ["Goodbye", "Goodbye!"]


def test_batches_keep_their_order(llm: ChatQwen) -> None:
    agent = create_agent(llm, [get_weather, send_mail], system_prompt="Be brief.")
    asked: list[Any] = [{"messages": [HumanMessage("Weather in Cairo?")]}] * 3
    assert [end["messages"][-1].text for end in agent.batch(asked)] == ["Cairo: sunny."] * 3
    replies = llm.batch(["Hello", "Goodbye", "Hello"])
    assert [reply.text for reply in replies] == [GREETING, "Goodbye!", GREETING]


async def test_async_batches_keep_their_order(llm: ChatQwen) -> None:
    replies = await llm.abatch(["Hello", "Goodbye", "Hello"])
    assert [reply.text for reply in replies] == [GREETING, "Goodbye!", GREETING]
    completed = {index: reply.text async for index, reply in llm.abatch_as_completed(["Hello", "Goodbye"])}
    assert completed == {0: GREETING, 1: "Goodbye!"}


async def test_events_of_version_2(llm: ChatQwen) -> None:
    events = [event async for event in llm.astream_events("Hello", version="v2")]
    assert [events[0]["event"], events[-1]["event"]] == ["on_chat_model_start", "on_chat_model_end"]
    chunks = [event["data"]["chunk"] for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(chunk.text for chunk in chunks) == events[-1]["data"]["output"].text == GREETING


def test_events_of_version_3(llm: ChatQwen) -> None:
    agent: Any = llm.bind_tools([get_weather, send_mail])
    stream = agent.bound.stream_events("Weather in Cairo?", version="v3", **agent.kwargs)
    assert "".join(stream.reasoning) == ("Easy." if llm.thinking else "")
    assert [each["args"] for each in stream.output.tool_calls] == [{"city": "Cairo"}]
    kinds = [block["type"] for block in stream.output.content]
    assert kinds == (["reasoning", "tool_call"] if llm.thinking else ["tool_call"])


class Trace(BaseCallbackHandler):
    """Remembers what a tracer would be told."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.tokens: list[str] = []
        self.errors: list[BaseException] = []

    def on_chat_model_start(self, *_: Any, metadata: dict[str, Any] | None = None, **__: Any) -> None:
        self.metadata = metadata or {}

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self.errors.append(error)


def test_what_a_tracer_sees(quick: ChatQwen) -> None:
    trace = Trace()
    quick.bind(stop=["?"]).invoke("Hello", config={"callbacks": [trace]}, temperature=0.5, max_tokens=3)
    expected = {
        "ls_provider": "qwen-agentkit",
        "ls_model_name": quick.model,
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 3,
        "ls_stop": ["?"],
    }
    assert expected.items() <= trace.metadata.items()
    assert not tracing_is_enabled()


def test_callbacks_get_tokens_and_errors(folder: str) -> None:
    trace = Trace()
    llm = ChatQwen(model=folder, thinking=False, temperature=0, streaming=True, callbacks=[trace])
    assert llm.invoke("Hello").text == "".join(trace.tokens) == GREETING
    assert len(trace.tokens) > 1
    with pytest.raises(ModelNotFoundError) as raised:
        llm.invoke("Hello", model="./nowhere")
    assert trace.errors == [raised.value]


def test_profile_of_a_known_checkpoint() -> None:
    profile = ChatQwen(model="4b").profile
    assert profile is not None
    assert profile["max_input_tokens"] == 32768
    assert profile["tool_calling"]
    assert profile["structured_output"]
    assert not profile["image_inputs"]


def test_a_cache_answers_the_second_time(folder: str) -> None:
    cached = ChatQwen(model=folder, thinking=False, temperature=0, cache=InMemoryCache())
    first, again = cached.invoke("Hello"), cached.invoke("Hello")
    assert first.text == again.text == GREETING
    # LangChain's mark of an answer from the cache
    assert again.usage_metadata == {**(first.usage_metadata or {}), "total_cost": 0}
    assert cached.invoke("Hello", max_tokens=2).text != GREETING  # another setting is another answer


class Turnstile(BaseRateLimiter):
    """Counts who passes."""

    def __init__(self) -> None:
        self.passed = count()

    def acquire(self, *, blocking: bool = True) -> bool:
        return next(self.passed) >= 0

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire()


async def test_a_rate_limiter_is_asked(folder: str) -> None:
    gate = Turnstile()
    llm = ChatQwen(model=folder, thinking=False, temperature=0, max_tokens=2, rate_limiter=gate)
    llm.invoke("Hello")
    await llm.ainvoke("Hello")
    list(llm.stream("Hello"))
    assert next(gate.passed) == 3


def test_retries_and_fallbacks(quick: ChatQwen) -> None:
    missing = ChatQwen(model="./nowhere")
    assert missing.with_fallbacks([quick]).invoke("Hello").text == GREETING
    trace = Trace()
    stubborn = missing.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    with pytest.raises(ModelNotFoundError):
        stubborn.invoke("Hello", config={"callbacks": [trace]})
    assert len(trace.errors) == 2
