"""`ChatQwen(base_url=...)`: what is sent, as each kind of server wants it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration
from pydantic import BaseModel, ValidationError

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.errors import (
    InputError,
    InputTooLongError,
    ServerError,
    ServerUnsupportedError,
)
from qwen_agentkit.server import connections
from qwen_agentkit.server.flavors import FLAVORS
from tests.fakes.server import CHAT, HELLO, Serve, call, chat, delta, listed, search, sse, usage

# What is sent


def sent(serve: Serve, owner: str | None = "vllm", messages: Any = "Hi", **settings: Any) -> dict[str, Any]:
    server = serve({CHAT: HELLO}, owner=owner)
    chat(**settings).invoke(messages)
    return server.bodies()[0]


def test_settings_are_sent_by_their_names(serve: Serve) -> None:
    given = {"temperature": 0.0, "top_p": 0.5, "top_k": 7, "min_p": 0.1, "presence_penalty": 1.0, "seed": 3}
    given["repetition_penalty"] = 1.1
    body = sent(serve, **given, max_tokens=50, stop=["END"])
    assert {name: body[name] for name in given} == given
    assert (body["max_tokens"], body["stop"], body["stream"]) == (50, ["END"], True)
    assert body["stream_options"] == {"include_usage": True}


def test_unset_sampling_is_the_makers_where_the_name_tells_the_family(serve: Serve) -> None:
    thinking, quiet = sent(serve), sent(serve, thinking=False)
    assert (thinking["temperature"], thinking["top_p"], thinking["top_k"]) == (0.6, 0.95, 20)
    assert (quiet["temperature"], quiet["top_p"]) == (0.7, 0.8)
    server = serve({CHAT: HELLO}, model="default")
    chat(model="default").invoke("Hi")
    assert "temperature" not in server.bodies()[0]


@pytest.mark.parametrize(
    ("owner", "thinking", "expected"),
    [
        ("vllm", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("sglang", True, {"chat_template_kwargs": {"enable_thinking": True}}),
        ("llamacpp", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("library", False, {"reasoning_effort": "none"}),
        ("library", True, {"reasoning_effort": "medium"}),
        ("vllm", None, {}),
        ("library", None, {}),
    ],
)
def test_thinking_is_switched_as_the_server_wants_it(
    serve: Serve, owner: str, thinking: bool | None, expected: dict[str, Any]
) -> None:
    body = sent(serve, owner, thinking=thinking)
    names = ("chat_template_kwargs", "reasoning_effort")
    assert {name: body[name] for name in names if name in body} == expected


@pytest.mark.parametrize(
    ("owner", "name"), [("vllm", "thinking_token_budget"), ("llamacpp", "thinking_budget_tokens")]
)
def test_a_budget_is_sent_where_there_is_one(serve: Serve, owner: str, name: str) -> None:
    assert sent(serve, owner, thinking_budget=64)[name] == 64


CANNOT = [
    ("sglang", {"thinking_budget": 64}),
    ("library", {"thinking_budget": 64}),
    ("library", {"top_k": 5}),
    ("library", {"keep_thoughts": True}),
    ("organization_owner", {"thinking": False}),
    ("somebody", {"thinking": True}),
    ("somebody", {"min_p": 0.1}),
]


@pytest.mark.parametrize(("owner", "settings"), CANNOT, ids=str)
def test_what_a_server_cannot_do_is_refused_before_it_is_asked(
    serve: Serve, owner: str, settings: dict[str, Any]
) -> None:
    server = serve({CHAT: HELLO}, owner=owner)
    [(name, value)] = settings.items()
    with pytest.raises(ServerUnsupportedError, match=f"{name}={value}"):
        chat(**settings).invoke("Hi")
    assert server.bodies() == []


def test_transformers_is_known_by_its_routes(serve: Serve) -> None:
    routes = {"/openapi.json": {"paths": {"/load_model": {}}}, "/v1/models": httpx.Response(500)}
    server = serve({CHAT: HELLO, **routes})
    assert chat(thinking=False).invoke("Hi").content == "Hello"
    body = server.bodies()[0]
    assert body.keys() == {"model", "messages", "stream", "temperature", "top_p", "chat_template_kwargs"}
    with pytest.raises(ServerUnsupportedError, match="tool_choice"):
        chat().bind_tools([search], tool_choice="any").invoke("Hi")


def test_ollama_is_known_by_its_version(serve: Serve) -> None:
    server = serve({CHAT: HELLO, "/api/version": {"version": "0.40.1"}}, owner="me")
    chat(thinking=False).invoke("Hi")
    assert server.bodies()[0]["reasoning_effort"] == "none"


def test_a_named_kind_of_server_is_believed(serve: Serve) -> None:
    server = serve({CHAT: HELLO}, owner="somebody")
    chat(server="vllm", thinking=False).invoke("Hi")
    assert server.bodies()[0]["chat_template_kwargs"] == {"enable_thinking": False}
    with pytest.raises(InputError, match="vllm, sglang"):
        chat(server="apache").invoke("Hi")


def test_the_server_is_asked_what_it_is_once(serve: Serve) -> None:
    server = serve({CHAT: HELLO})
    llm = chat()
    llm.invoke("Hi", temperature=0)
    llm.bind(seed=1).invoke("Hi")
    assert [path for path, _ in server.asked] == ["/v1/models", CHAT, CHAT]


def test_tools_and_choices_are_sent(serve: Serve) -> None:
    stream = sse([delta(tool_calls=[call(0, "search", "{}", "a")]), delta("tool_calls")])
    server = serve({CHAT: stream})
    chat().bind_tools([search]).invoke("Hi")
    chat().bind_tools([search], tool_choice="search", parallel_tool_calls=False).invoke("Hi")
    free, forced = server.bodies()
    assert free["tools"][0]["function"]["name"] == "search"
    assert "tool_choice" not in free
    assert free["parallel_tool_calls"] is True
    assert forced["tool_choice"] == {"type": "function", "function": {"name": "search"}}
    assert forced["parallel_tool_calls"] is False


class Hours(BaseModel):
    """When a place is open."""

    opens: int


KINDS = ["vllm", "sglang", "llama.cpp", "ollama", "lmstudio", "llama-cpp-python", "openai"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_can_be_the_object_on_every_server_that_can_be_asked_for_calls(
    serve: Serve, kind: str
) -> None:
    made = delta("tool_calls", tool_calls=[call(0, "Hours", '{"opens": 9}', "a")])
    server = serve({CHAT: sse([made])})
    llm = chat(server=kind)
    assert llm.with_structured_output(Hours, method="function_calling").invoke("When?") == Hours(opens=9)
    ignored = "parallel_tool_calls" in FLAVORS[kind].ignores
    assert server.bodies()[0].get("parallel_tool_calls") is (None if ignored else False)
    serve({CHAT: sse([made, delta("tool_calls", tool_calls=[call(0, "Hours", '{"opens": 8}', "b")])])})
    with pytest.raises(ServerUnsupportedError, match=r"2 calls.*method='json_schema'"):
        llm.with_structured_output(Hours, method="function_calling").invoke("When?")
    serve({CHAT: HELLO})
    with pytest.raises(ServerUnsupportedError, match=r"ignores tool_choice.*method='json_schema'"):
        llm.with_structured_output(Hours, method="function_calling").invoke("When?")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("function_calling", "tool_choice=.*bind_tools.*read tool_calls"),
        ("json_schema", "response_format=.*prompt"),
    ],
)
def test_without_a_way_to_an_object_it_is_said_what_to_do(serve: Serve, method: Any, words: str) -> None:
    serve({CHAT: HELLO})
    with pytest.raises(ServerUnsupportedError, match=words):
        chat(server="transformers").with_structured_output(Hours, method=method).invoke("When?")


WHOLE = {
    "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": usage()["usage"],
}


async def test_a_server_whose_streams_say_less_streams_only_for_a_reader(serve: Serve) -> None:
    server = serve({CHAT: lambda body: HELLO if body["stream"] else WHOLE})
    llm = chat(server="llama-cpp-python")
    assert [chunk.content for chunk in llm.stream("Hi")][:2] == ["Hel", "lo"]
    messages: list[Any] = [llm.invoke("Hi"), await llm.ainvoke("Hi")]
    [several] = llm.generate([[HumanMessage("Hi")]], n=2).generations
    messages += [one.message for one in several if isinstance(one, ChatGeneration)]
    assert [body["stream"] for body in server.bodies()] == [True, *[False] * 4]
    for message in messages:
        assert message.content == "Hello"
        assert message.usage_metadata == {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}


def test_a_stream_that_never_begins_is_asked_for_the_reason(serve: Serve) -> None:
    reason = said(400, {"message": "This model's maximum context length is 512 tokens."})
    server = serve({CHAT: lambda body: sse([], done=False) if body["stream"] else reason})
    for error in (InputTooLongError, ContextOverflowError):
        with pytest.raises(error, match="Shorten the text"):
            list(chat(server="llama-cpp-python").stream("Hi"))
    assert [body["stream"] for body in server.bodies()] == [True, False] * 2


def test_structured_output_sends_the_schema_and_reads_the_object(serve: Serve) -> None:
    stream = [delta(reasoning="Hm."), delta(content='{"opens"'), delta("stop", content=": 9}")]
    server = serve({CHAT: sse(stream)})
    assert chat().with_structured_output(Hours).invoke("When?") == Hours(opens=9)
    wanted = server.bodies()[0]["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"]["properties"]["opens"]["type"] == "integer"
    assert "opens" in server.bodies()[0]["messages"][0]["content"]
    chat().with_structured_output(Hours, method="json_mode").invoke("When?")
    assert server.bodies()[1]["response_format"] == {"type": "json_object"}


def test_tags_inside_the_strings_of_an_object_are_text(serve: Serve) -> None:
    text = '{"opens": 9, "tag": "<tool_call>{}</tool_call> <think>"}'
    serve({CHAT: sse([*(delta(content=letter) for letter in text), delta("stop")])})
    assert chat().invoke("When?", response_format=Hours).content == text


def test_a_chat_with_calls_and_thoughts_is_sent_in_the_openai_form(serve: Serve) -> None:
    asked = AIMessage(
        "",
        additional_kwargs={"reasoning_content": "Look."},
        tool_calls=[{"name": "search", "args": {"query": "小时"}, "id": "call_1"}],
    )
    history = [
        SystemMessage("Be brief."),
        HumanMessage("When?"),
        asked,
        ToolMessage("Nine.", tool_call_id="call_1"),
    ]
    assert sent(serve, messages=history)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "When?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Look.",
            "reasoning": "Look.",
            "tool_calls": [
                {
                    "type": "function",
                    "function": {"name": "search", "arguments": '{"query": "小时"}'},
                    "id": "call_1",
                }
            ],
        },
        {"role": "tool", "content": "Nine.", "tool_call_id": "call_1"},
    ]


def test_broken_characters_are_mended_wherever_they_stand(serve: Serve) -> None:
    server = serve({CHAT: HELLO})
    call = {"name": "search", "args": {"query\ud800": ["\ud83d\ude00", "\ud800"]}, "id": "1"}
    thought = {"reasoning_content": "Hm\udfff"}
    history = [AIMessage("", additional_kwargs=thought, tool_calls=[call]), ToolMessage("", tool_call_id="1")]
    tool = {"name": "search", "description": "Search\ud800.", "parameters": {"type": "object"}}
    with pytest.warns(UserWarning, match="lone surrogates"):
        chat(stop=["\ud800"]).bind_tools([tool]).invoke(history)
    [body] = server.bodies()
    [turn, _] = body["messages"]
    assert turn["reasoning_content"] == turn["reasoning"] == "Hm\ufffd"
    assert turn["tool_calls"][0]["function"]["arguments"] == '{"query\ufffd": ["\U0001f600", "\ufffd"]}'
    assert body["tools"][0]["function"]["description"] == "Search\ufffd."
    assert body["stop"] == ["\ufffd"]


def test_several_answers_are_several_requests(serve: Serve) -> None:
    server = serve({CHAT: HELLO})
    result = chat(n=3, seed=5).generate([[HumanMessage("Hi")]])
    assert [generation.text for generation in result.generations[0]] == ["Hello"] * 3
    assert sorted(body["seed"] for body in server.bodies()) == [5, 6, 7]


def test_the_key_is_sent_and_shown_nowhere(serve: Serve) -> None:
    server = serve({CHAT: HELLO})
    llm = chat(api_key="secret-key")
    llm.invoke("Hi", temperature=0)
    assert {headers["authorization"] for headers in server.headers} == {"Bearer secret-key"}
    assert "secret-key" not in f"{llm!r}{llm._identifying_params}{llm._get_ls_params()}"


PASSWORD = "http://ann:s3cret@server.test"


@pytest.mark.parametrize(
    ("route", "reply"),
    [
        *((CHAT, httpx.Response(status)) for status in (401, 404, 400, 503)),
        *((CHAT, failure("")) for failure in (httpx.ConnectError, httpx.ReadTimeout)),
        (CHAT, sse(["data: nine"])),
        (CHAT, sse([delta(content="Ni")], done=False)),
        (CHAT, httpx.Response(308, headers={"location": "/v2"})),
        ("/v1/models", listed("another", "vllm")),
    ],
)
def test_a_password_in_the_address_is_used_and_shown_nowhere(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, route: str, reply: Any
) -> None:
    server = serve({CHAT: HELLO})
    monkeypatch.setitem(connections._clients, PASSWORD, connections._clients["http://server.test"])
    llm = chat(base_url=f"{PASSWORD}/v1")
    assert llm.invoke("Hi").content == "Hello"
    assert all(headers["authorization"].startswith("Basic ") for headers in server.headers)
    server.routes[route] = reply
    with pytest.raises(ServerError, match=r"http://server\.test") as wrong:
        chat(base_url=f"{PASSWORD}/v1").invoke("Hi")
    assert "s3cret" not in str(wrong.value)
    for kind in (ChatQwen, QwenEmbeddings, QwenReranker):
        with pytest.raises(ValueError, match="Leave it out") as refused:
            kind(base_url=PASSWORD, revision="main", device="cpu", api_key="also-s3cret")
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("setting", [{"device": "cpu"}, {"dtype": "float32"}, {"context_window": 100}])
def test_settings_of_weights_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        chat(**setting)


# What goes wrong


def said(status: int, reason: Any, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": reason}, headers=headers)
