"""What the profile tells LangChain: the context, and whether tools and a response format go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from qwen_agentkit import ChatQwen
from qwen_agentkit.chat.tools import read_tools
from qwen_agentkit.errors import AnswerFaultError, InputError, ServerUnsupportedError
from tests.fakes.server import URL, Serve, call, delta, sse
from tests.gguf_files import write_gguf

CHAT = "/v1/chat/completions"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def look(query: str) -> str:
    """Look something up."""
    return query


def context(model: str, **settings: Any) -> int | None:
    return (ChatQwen(model=model, **settings).profile or {}).get("max_input_tokens")


def test_the_context_of_checkpoints_on_this_disk(tiny_qwen3_dir: Path, tmp_path: Path) -> None:
    known = json.loads((tiny_qwen3_dir / "config.json").read_text())["max_position_embeddings"]
    assert context("nano") == 4096
    assert context(str(tiny_qwen3_dir)) == known
    assert context(str(tiny_qwen3_dir), context_window=100) == 100
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 77}}))
    assert context(str(tmp_path)) == 77
    assert context(str(tmp_path / "nothing")) is None
    assert context("someone/something") is None
    (tmp_path / "config.json").write_text("[]")
    assert context(str(tmp_path)) is None


def test_the_context_of_a_gguf_file(tiny_qwen3_dir: Path, tmp_path: Path) -> None:
    known = json.loads((tiny_qwen3_dir / "config.json").read_text())["max_position_embeddings"]
    assert context(str(write_gguf(tiny_qwen3_dir, tmp_path / "tiny.gguf"))) == known


def test_a_fraction_of_the_context_starts_a_summary() -> None:
    SummarizationMiddleware(ChatQwen(model="nano"), trigger=("fraction", 0.5))


@pytest.mark.parametrize(("field", "tokens"), [("max_model_len", 8192), ("meta", {"n_ctx": 8192})])
def test_a_served_alias_has_the_context_that_the_server_says(serve: Serve, field: str, tokens: Any) -> None:
    server = serve({CHAT: sse([delta("stop", content="Hi")])}, model="my-alias")
    server.routes["/v1/models"]["data"][0][field] = tokens
    llm = ChatQwen(model="my-alias", base_url=URL)
    assert "max_input_tokens" not in (llm.profile or {})
    llm.invoke("Hi", temperature=0)
    assert (llm.profile or {})["max_input_tokens"] == 8192


def test_a_served_agent_asks_for_the_object_by_a_call(serve: Serve) -> None:
    """A server that is given a format beside tools writes the object at once, made up."""

    def reply(body: dict[str, Any]) -> Any:
        if "response_format" in body:
            return sse([delta("stop", content='{"name": "made up", "age": 0}')])
        if body["messages"][-1]["role"] == "tool":
            return sse(
                [delta(tool_calls=[call(0, "Person", '{"name": "Ada", "age": 36}', "2")]), delta("stop")]
            )
        return sse([delta(tool_calls=[call(0, "look", '{"query": "x"}', "1")]), delta("stop")])

    server = serve({CHAT: reply})
    llm = ChatQwen(model="Qwen/Qwen3-8B", base_url=URL)
    agent = create_agent(llm, [look], response_format=Person)
    state = agent.invoke({"messages": [HumanMessage("Who?")]})
    assert state["structured_response"] == Person(name="Ada", age=36)
    assert [body["tool_choice"] for body in server.bodies()] == ["required", "required"]


@pytest.mark.parametrize("owner", ["vllm", "sglang", "llamacpp", "library", "organization_owner"])
def test_tools_beside_a_format_are_refused_where_they_would_never_be_called(serve: Serve, owner: str) -> None:
    server = serve({CHAT: sse([delta("stop", content='{"name": "made up", "age": 0}')])}, owner=owner)
    llm = ChatQwen(model="Qwen/Qwen3-8B", base_url=URL).bind_tools([look], response_format=Person)
    with pytest.raises(ServerUnsupportedError, match=r"tools and response_format together.*ToolStrategy"):
        llm.invoke("Who?")
    assert not server.bodies()


def test_a_model_in_this_process_takes_both() -> None:
    assert (ChatQwen(model="nano").profile or {})["structured_output"] is True


@pytest.mark.parametrize(
    ("tool", "named"),
    [
        ({"type": "web_search"}, "web_search"),
        ({"type": "function", "function": {"description": "d"}}, "description"),
        ({"type": "function"}, "'type'"),
        ({"nothing": 1}, "nothing"),
        (7, "7"),
    ],
)
def test_what_is_no_tool(tool: Any, named: str) -> None:
    for ask in (lambda: ChatQwen(model="nano").bind_tools([tool]), lambda: read_tools([look, tool])):
        with pytest.raises(InputError, match="no tool") as error:
            ask()
        assert named in str(error.value)


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}},
        {"anyOf": [{"required": ["a"]}]},
        {"description": "Anything."},
    ],
)
def test_parameters_are_objects(parameters: dict[str, Any]) -> None:
    [tool] = read_tools([{"name": "f", "description": "d", "parameters": parameters}])
    assert tool["function"]["parameters"] == {**parameters, "type": "object"}


def test_calls_without_messages_or_with_half_a_list(tiny_qwen3_dir: Path) -> None:
    llm = ChatQwen(model=str(tiny_qwen3_dir), max_tokens=1)
    with pytest.raises(InputError, match="no messages"):
        llm.invoke([])
    assert llm.get_num_tokens_from_messages([]) == 0
    for settings in ({"stop": "x"}, {"temperature": "hot"}, {"top_p": 2}, {"max_tokens": 0}, {"stop": [""]}):
        with pytest.raises(InputError, match=f"{next(iter(settings))}=.* cannot be used"):
            llm.invoke("Hello", **settings)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="cannot be used"):
            llm.bind(**settings).invoke("Hello")


def test_an_answer_that_ends_before_the_call_that_it_has_to_be(tiny_qwen3_dir: Path) -> None:
    """An agent would ask again and again."""
    llm = ChatQwen(model=str(tiny_qwen3_dir), thinking=True, max_tokens=2)
    agent = create_agent(llm, [], response_format=ToolStrategy(Person))
    with pytest.raises(AnswerFaultError, match="cut off before the call"):
        agent.invoke({"messages": [HumanMessage("Who?")]})
    read = llm.with_structured_output(Person, method="function_calling", include_raw=True).invoke("Who?")
    assert "cut off after 2 tokens" in str(read["parsing_error"])
