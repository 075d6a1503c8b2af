"""Agents that have to answer with an object end with an error of this package where none comes."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from qwen_agentkit import ChatQwen
from qwen_agentkit.chat.attempts import check_attempts
from qwen_agentkit.errors import AnswerFaultError, ServerUnsupportedError
from tests.fakes.server import URL, Serve, call, delta, sse

CHAT = "/v1/chat/completions"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def look(query: str) -> str:
    """Look."""
    return f"{query} is ready."


def chat() -> ChatQwen:
    return ChatQwen(model="Qwen/Qwen3-8B", base_url=URL, server="vllm", max_retries=0)


def calls(arguments: str, name: str = "Person", number: int = 1) -> list[dict[str, Any]]:
    return [delta("tool_calls", tool_calls=[call(n, name, arguments, str(n)) for n in range(number)])]


PROSE = [delta(content="His name is Ali."), delta("stop")]
WHOLE = '{"name": "Ali", "age": 9}'
STUCK: dict[str, list[dict[str, Any]]] = {
    "a field is missing": calls('{"name": "Ali"}'),
    "two objects": calls(WHOLE, number=2),
}


def ask(llm: ChatQwen, tools: Any, wanted: Any) -> Any:
    agent = create_agent(llm, tools, response_format=wanted)
    return agent.invoke({"messages": [HumanMessage("Who?")]})["structured_response"]


@pytest.mark.parametrize("tools", [[], [look]], ids=["alone", "with tools"])
@pytest.mark.parametrize("text", ["His name is Ali.", "", f"Here it is: {WHOLE}"])
@pytest.mark.parametrize("wanted", [Person, ToolStrategy(Person)], ids=["automatic", "by a call"])
def test_prose_in_place_of_a_call(serve: Serve, wanted: Any, text: str, tools: Any) -> None:
    server = serve({CHAT: sse([delta(content=text), delta("stop")])})
    with pytest.raises(ServerUnsupportedError, match="answered without one: it ignores tool_choice"):
        ask(chat(), tools, wanted)
    assert len(server.bodies()) == 1


@pytest.mark.parametrize("text", ["His name is Ali.", "", f"Here it is: {WHOLE}"])
def test_prose_in_place_of_json(serve: Serve, text: str) -> None:
    serve({CHAT: sse([delta(content=text), delta("stop")])})
    with pytest.raises(ServerUnsupportedError, match=r"has to be JSON.*ignores response_format"):
        ask(chat(), [], ProviderStrategy(Person))
    with pytest.raises(ServerUnsupportedError, match="has to be JSON"):
        list(chat().stream("Who?", response_format=Person))


def test_json_that_a_stop_string_or_the_limit_cuts_is_no_prose(serve: Serve) -> None:
    serve({CHAT: sse([delta(content='{"name": "A'), delta("length")])})
    assert chat().invoke("Who?", response_format=Person).response_metadata["finish_reason"] == "length"
    serve({CHAT: sse([delta(content='{"name": "A'), delta("stop")])})
    assert chat().invoke("Who?", response_format=Person, stop=["l"], thinking=False).text == '{"name": "A'


@pytest.mark.parametrize("tools", [[], [look]], ids=["alone", "with tools"])
@pytest.mark.parametrize("name", STUCK)
def test_the_same_failure_again_and_again(serve: Serve, name: str, tools: Any) -> None:
    server = serve({CHAT: sse(STUCK[name])})
    with pytest.raises(AnswerFaultError, match=r"failed 3 times since the question: Error: "):
        ask(chat(), tools, ToolStrategy(Person))
    assert len(server.bodies()) == 3


@pytest.mark.parametrize("tools", [[], [look]], ids=["alone", "with tools"])
def test_a_call_of_a_tool_that_was_not_offered_is_refused_at_once(serve: Serve, tools: Any) -> None:
    server = serve({CHAT: sse(calls("{}", "nothing"))})
    with pytest.raises(ServerUnsupportedError, match="ignores tool_choice"):
        ask(chat(), tools, ToolStrategy(Person))
    assert len(server.bodies()) == 1


def test_calls_that_nobody_can_read(serve: Serve) -> None:
    server = serve({CHAT: sse(calls('{"name": '))})
    with pytest.raises(AnswerFaultError, match="failed 3 times since the question: Expecting value"):
        ask(chat(), [], ToolStrategy(Person))
    assert len(server.bodies()) == 3


def test_another_failure_each_time(serve: Serve) -> None:
    number = count()
    server = serve({CHAT: lambda body: sse(calls(json.dumps({"name": str(next(number))})))})
    with pytest.raises(AnswerFaultError, match="failed 10 times in different ways"):
        ask(chat(), [], ToolStrategy(Person))
    assert len(server.bodies()) == 10


def test_a_model_that_mends_its_call_is_heard(serve: Serve) -> None:
    bad = sse(calls('{"name": "Ali"}'))
    serve({CHAT: [bad, bad, sse(calls('{"query": "x"}', "look")), bad, sse(calls(WHOLE))]})
    assert ask(chat(), [look], ToolStrategy(Person)) == Person(name="Ali", age=9)


def turn(result: str, **fields: Any) -> list[Any]:
    made = {"name": "look", "args": {"query": "x"}, "id": "1"}
    return [AIMessage("", tool_calls=[made]), ToolMessage(result, tool_call_id="1", **fields)]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        turn("not yet") * 20,  # a tool that is asked until it is done
        turn("Error: busy") * 2,
        [*turn("Error: busy"), HumanMessage("Again")] * 9,
        [*turn("Error: busy") * 9, *turn("ready")],
    ],
)
def test_what_may_go_on(messages: list[Any]) -> None:
    check_attempts([HumanMessage("Who?"), *messages])


@pytest.mark.parametrize(
    "messages",
    [
        turn("Error: busy") * 3,
        turn("busy", status="error") * 3,
        [AIMessage("He is nine.")] * 3,
        [*turn("ready"), *turn("Error: busy") * 3],
    ],
)
def test_what_may_not(messages: list[Any]) -> None:
    with pytest.raises(AnswerFaultError, match=r"since the question: .*(busy|nine)"):
        check_attempts([HumanMessage("Who?"), *messages])
