"""What no grammar holds of a schema is checked when the answer is there: in this process and from servers."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, StructuredOutputValidationError
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage

from qwen_agentkit import ChatQwen
from qwen_agentkit.errors import AnswerFaultError
from tests.fakes.scripted_chat import Scripted
from tests.fakes.server import URL, Serve, delta, sse

CHAT = "/v1/chat/completions"
Json = dict[str, Any]

NAMES: Json = {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2}
PLACE: Json = {"type": "object", "properties": {"land": {"enum": ["US", "DE"]}, "code": {"type": "string"}}}
PLACE["required"] = ["land", "code"]

# What a grammar leaves out, an object that does not fit, and one that does.
CASES: dict[str, tuple[Json, Any, Any, str]] = {
    "uniqueItems": ({**NAMES, "uniqueItems": True}, ["a", "a"], ["a", "b"], "non-unique"),
    "contains": ({**NAMES, "contains": {"const": "a"}}, ["b", "b"], ["b", "a"], "contain|None of"),
    "contains twice": (
        {**NAMES, "contains": {"const": "a"}, "minContains": 2},
        ["b", "a"],
        ["a", "a"],
        "(?i)contain|few|None of",
    ),
    "if": (
        {
            **PLACE,
            "if": {"properties": {"land": {"const": "US"}}},
            "then": {"properties": {"code": {"pattern": "^[0-9]{5}$"}}},
            "else": {"properties": {"code": {"pattern": "^[A-Z]{2}$"}}},
        },
        {"land": "US", "code": "AB"},
        {"land": "DE", "code": "AB"},
        "does not match",
    ),
}


def schema_of(name: str) -> Json:
    part = CASES[name][0]
    return {
        "title": "Answer",
        "description": "d",
        "type": "object",
        "properties": {"x": part},
        "required": ["x"],
    }


def written(name: str, *, right: bool) -> str:
    return json.dumps({"x": CASES[name][2 if right else 1]})


@pytest.fixture(params=["here", "there"])
def write(request: pytest.FixtureRequest, scripted: Scripted, serve: Serve) -> Any:
    """Make a model that writes a text: in this process, or on a server that ignores what it cannot hold."""

    def make(text: str) -> ChatQwen:
        if request.param == "here":
            return scripted(text, thinking=False)
        serve({CHAT: sse([delta(content=text), delta("stop")])})
        return ChatQwen(model="Qwen/Qwen3-8B", base_url=URL, max_retries=0)

    return make


@pytest.mark.filterwarnings("ignore:A grammar cannot hold all")
@pytest.mark.parametrize("name", CASES)
def test_an_answer_that_does_not_fit_is_an_error(write: Any, name: str) -> None:
    schema, reason = schema_of(name), CASES[name][3]
    llm = write(written(name, right=False))
    with pytest.raises(OutputParserException, match=reason):
        llm.with_structured_output(schema).invoke("Go")
    raw = llm.with_structured_output(schema, include_raw=True).invoke("Go")
    assert (raw["parsed"], type(raw["parsing_error"])) == (None, OutputParserException)
    for ask in (llm.invoke, lambda text, **kwargs: list(llm.stream(text, **kwargs))):
        with pytest.raises(AnswerFaultError, match=reason):
            ask("Go", response_format=schema)


@pytest.mark.filterwarnings("ignore:A grammar cannot hold all")
@pytest.mark.parametrize("name", CASES)
def test_an_answer_that_fits_is_taken(write: Any, name: str) -> None:
    llm = write(written(name, right=True))
    assert llm.with_structured_output(schema_of(name)).invoke("Go") == {"x": CASES[name][2]}
    assert json.loads(llm.invoke("Go", response_format=schema_of(name)).text) == {"x": CASES[name][2]}


@pytest.mark.filterwarnings("ignore:A grammar cannot hold all")
@pytest.mark.parametrize("name", CASES)
def test_an_agent_does_not_take_it_either(write: Any, name: str) -> None:
    def ask(*, right: bool) -> Any:
        llm = write(written(name, right=right))
        agent = create_agent(llm, [], response_format=ProviderStrategy(schema_of(name)))
        return agent.invoke({"messages": [HumanMessage("Go")]})["structured_response"]

    with pytest.raises((AnswerFaultError, StructuredOutputValidationError), match=CASES[name][3]):
        ask(right=False)
    assert ask(right=True) == {"x": CASES[name][2]}


@pytest.mark.parametrize("name", CASES)
def test_it_is_said_once_a_process(scripted: Scripted, name: str) -> None:
    llm = scripted(written(name, right=True), thinking=False).with_structured_output(schema_of(name))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            llm.invoke("Go")
    [said] = [str(one.message) for one in caught if "A grammar cannot hold all" in str(one.message)]
    assert name.split()[0] in said


def test_what_a_server_leaves_out_of_an_object_is_found_too(serve: Serve) -> None:
    serve({CHAT: sse([delta(content='{"y": 1}'), delta("stop")])})
    llm = ChatQwen(model="Qwen/Qwen3-8B", base_url=URL, max_retries=0)
    with pytest.raises(AnswerFaultError, match='"x" is a required property'):
        llm.invoke("Go", response_format=schema_of("if"))
