"""`ChatQwen(base_url=...)`: bodies sent and streams read, as vLLM, SGLang, Ollama and llama.cpp have them."""

from __future__ import annotations

import json
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
    ServerAccessError,
    ServerAnswerError,
    ServerBusyError,
    ServerError,
    ServerModelError,
    ServerRefusedError,
    ServerTimeoutError,
    ServerUnreachableError,
    ServerUnsupportedError,
)
from qwen_agentkit.server import connections
from qwen_agentkit.server.flavors import FLAVORS
from tests.fakes.server import URL, Serve, call, delta, listed, sse, usage

CHAT = "/v1/chat/completions"
HELLO = sse([delta(role="assistant", content=""), delta(content="Hel"), delta("stop", content="lo"), usage()])


def search(query: str) -> str:
    """Search the handbook."""
    return query


def chat(**settings: Any) -> ChatQwen:
    return ChatQwen(**{"model": "Qwen/Qwen3-8B", "base_url": URL, **settings})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("qwen_agentkit.server.http.wait", lambda _, seconds: waited.append(seconds))
    return waited


# What comes back


def test_an_answer_has_text_usage_and_reason(serve: Serve) -> None:
    serve({CHAT: HELLO})
    message = chat().invoke("Hi")
    assert message.content == "Hello"
    assert message.usage_metadata == {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "Qwen/Qwen3-8B"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thoughts_come_apart_trimmed_as_in_process(serve: Serve, field: str) -> None:
    stream = [
        delta(**{field: "\nLet me"}),
        delta(**{field: " see.\n"}),
        delta(content="\n\nNine"),
        delta("stop"),
    ]
    serve({CHAT: sse(stream)})
    message = chat().invoke("When?")
    assert message.additional_kwargs["reasoning_content"] == "Let me see."
    assert message.content == "Nine"


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("Qwen/Qwen3-8B", "<think>\nLet me see.\n</think>\n\nNine"),
        ("Qwen/Qwen3-4B-Thinking-2507", "Let me see.\n</think>\n\nNine"),
        ("Qwen/Qwen3.6-27B", "Let me see.\n</think>\n\nNine"),
    ],
)
def test_thoughts_left_in_the_content_are_read_here(serve: Serve, model: str, text: str) -> None:
    serve({CHAT: sse([*(delta(content=letter) for letter in text), delta("stop")])}, model=model)
    message = chat(model=model).invoke("When?")
    assert message.additional_kwargs["reasoning_content"] == "Let me see."
    assert message.content == "Nine"


def test_a_thinking_model_may_answer_at_once(serve: Serve) -> None:
    serve({CHAT: sse([delta(content="Ni"), delta("stop", content="ne")])}, model="Qwen/Qwen3.6-27B")
    assert chat(model="Qwen/Qwen3.6-27B").invoke("When?").content == "Nine"


ARGUMENTS = '{"query": "opening hours"}'
PIECES = [ARGUMENTS[:3], ARGUMENTS[3:9], ARGUMENTS[9:]]
CALLS = {
    "vllm: deltas by index": [
        delta(tool_calls=[call(0, "search", "", "call-a")]),
        *(delta(tool_calls=[call(0, None, piece)]) for piece in PIECES),
        delta(tool_calls=[call(1, "search", "{}", "call-b")]),
        delta("tool_calls"),
    ],
    "ollama: whole, all numbered 0": [
        delta(tool_calls=[call(0, "search", ARGUMENTS, "call-a")]),
        delta(tool_calls=[call(0, "search", "{}", "call-b")]),
        delta("stop"),
    ],
    "vllm: both at the same time": [
        delta(tool_calls=[call(0, "search", ARGUMENTS[:5], "call-a"), call(1, "search", "{", "call-b")]),
        delta(tool_calls=[call(0, None, ARGUMENTS[5:]), call(1, None, "}")]),
        delta("tool_calls"),
    ],
    "both at the same time, told apart by their ids": [
        delta(tool_calls=[call(0, "search", ARGUMENTS[:5], "call-a"), call(0, "search", "{", "call-b")]),
        delta(tool_calls=[call(0, None, ARGUMENTS[5:], "call-a"), call(0, None, "}", "call-b")]),
        delta("tool_calls"),
    ],
    "no numbers, arguments as an object": [
        delta(tool_calls=[call(None, "search", {"query": "opening hours"}), call(None, "search", "")]),
        delta("tool_calls"),
    ],
    "left in the content": [
        delta(content=f'<tool_call>\n{{"name": "search", "arguments": {ARGUMENTS}}}\n</tool_call>\n'),
        delta(content='<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>'),
        delta("stop"),
    ],
    "inside a thought that never ends": [
        delta(reasoning=f'Hm.\n<tool_call>\n{{"name": "search", "arguments": {ARGUMENTS}}}\n</tool_call>\n'),
        delta(reasoning='<tool_call>\n{"name": "search", "arguments": {}}\n</tool_call>'),
        delta("stop"),
    ],
}


@pytest.mark.parametrize("stream", CALLS.values(), ids=CALLS)
def test_tool_calls_of_every_shape(serve: Serve, stream: list[dict[str, Any]]) -> None:
    serve({CHAT: sse(stream)})
    message = chat().bind_tools([search]).invoke("When?")
    assert [(c["name"], c["args"]) for c in message.tool_calls] == [
        ("search", {"query": "opening hours"}),
        ("search", {}),
    ]
    assert message.content == ""
    assert not message.invalid_tool_calls
    assert message.response_metadata["finish_reason"] == "tool_calls"


DEEP = '{"query": ' + "[" * 2000 + "]" * 2000 + "}"
UNREADABLE = [
    *('{"query": "open', "[1]", "nine", '{"query": 1}}', '{"query": NaN}', '{"query": -Infinity}', DEEP),
    *('{"query": 1, "query": 2}', '{"query": 1}, "name": "other"'),
]


@pytest.mark.parametrize("arguments", UNREADABLE, ids=lambda text: text[:30])
def test_malformed_arguments_become_an_invalid_call(serve: Serve, arguments: str) -> None:
    serve({CHAT: sse([delta(tool_calls=[call(0, "search", arguments, "a")]), delta("tool_calls")])})
    message = chat().bind_tools([search]).invoke("When?")
    assert message.tool_calls == []
    assert arguments in str(message.invalid_tool_calls[0]["args"])


def test_line_breaks_in_strings_are_read_where_a_grammar_lets_them_through(serve: Serve) -> None:
    written = '{"query": "opening\nhours"}'
    serve({CHAT: sse([delta(tool_calls=[call(0, "search", written, "a")]), delta("tool_calls")])})
    message = chat().bind_tools([search]).invoke("When?")
    assert [made["args"] for made in message.tool_calls] == [{"query": "opening\nhours"}]
    serve({CHAT: sse([delta("stop", content=written)])})
    schema = {"title": "Search", "type": "object", "properties": {"query": {"type": "string"}}}
    assert chat().with_structured_output(schema).invoke("When?") == {"query": "opening\nhours"}


def test_usage_tells_cached_and_reasoning_tokens(serve: Serve) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    serve({CHAT: sse([delta("stop", content="Nine"), usage(**details)])})
    counted = chat().invoke("When?").usage_metadata
    assert counted is not None
    assert counted["input_token_details"] == {"cache_read": 4}
    assert counted["output_token_details"] == {"reasoning": 2}


@pytest.mark.parametrize(
    "counts",
    [
        "none",
        [1],
        {"prompt_tokens": 3, "completion_tokens": 4.5},
        {"prompt_tokens": "x", "completion_tokens": 4},
        {"prompt_tokens": True, "completion_tokens": -4},
    ],
)
def test_usage_that_counts_nothing_is_dropped(serve: Serve, counts: Any) -> None:
    serve({CHAT: sse([delta("stop", content="Nine"), {"choices": [], "usage": counts}])})
    message = chat().invoke("When?")
    assert message.content == "Nine"
    assert message.usage_metadata is None


def test_details_that_count_nothing_are_dropped(serve: Serve) -> None:
    details = {"prompt_tokens_details": [1], "completion_tokens_details": {"reasoning_tokens": "x"}}
    serve({CHAT: sse([delta("stop", content="Nine"), usage(**details)])})
    assert chat().invoke("When?").usage_metadata == {
        "input_tokens": 9,
        "output_tokens": 5,
        "total_tokens": 14,
    }


STRANGE = {
    "without usage": sse([delta(role="assistant"), delta("stop", content="Nine")]),
    "without role": sse([delta("stop", content="Nine")]),
    "null usage and details": sse([{**delta("stop", content="Nine"), "usage": None}]),
    "empty choices first": sse([{"choices": []}, {}, delta("stop", content="Nine")]),
    "null delta fields": sse(
        [delta(content=None, tool_calls=None, reasoning=None), delta("stop", content="Nine")]
    ),
    "unknown fields": sse([{**delta("stop", content="Nine", mood="fine"), "timings": {"ms": 1}}]),
    "comments, names and carriage returns": sse(
        [": ping", "event: x", "id: 1", delta("stop", content="Nine")]
    ),
    "no space after the colon": sse([f"data:{json.dumps(delta('stop', content='Nine'))}"]),
    "no end mark": sse([delta("stop", content="Nine")], done=False),
    "no finish reason": sse([delta(content="Nine")]),
    "events after the end mark": sse(
        [delta("stop", content="Nine"), "data: [DONE]", delta(content=" or ten")], done=False
    ),
    "content as blocks": sse([delta("stop", content=[{"type": "text", "text": "Nine"}])]),
    "not streamed": httpx.Response(
        200,
        json={"choices": [{"message": {"role": "assistant", "content": "Nine"}, "finish_reason": "stop"}]},
    ),
}


@pytest.mark.parametrize("reply", STRANGE.values(), ids=STRANGE)
def test_strange_streams_are_read(serve: Serve, reply: httpx.Response) -> None:
    serve({CHAT: reply})
    message = chat().invoke("When?")
    assert message.content == "Nine"
    assert message.usage_metadata is None
    assert message.response_metadata["finish_reason"] == "stop"


def test_only_cr_and_lf_end_the_lines_of_a_stream(serve: Serve) -> None:
    text = "Nine\u2028or\u2029ten\x85or\x0b\x0c\x1c\x1d\x1eeleven"
    written = json.dumps(delta("stop", content=text), ensure_ascii=False)
    serve({CHAT: sse([f"data: {written}"])})
    assert chat().invoke("When?").content == text


def test_an_answer_cut_by_its_limit_says_so(serve: Serve) -> None:
    serve({CHAT: sse([delta(reasoning="Hm, "), delta("length", reasoning="hm")])})
    message = chat(max_tokens=2).invoke("When?")
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["thinking_truncated"]


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


# What a server does not keep to


@pytest.mark.parametrize("setting", [{"tool_choice": "any"}, {"tool_choice": "search"}])
def test_a_dropped_tool_choice_is_an_error(serve: Serve, setting: dict[str, str]) -> None:
    serve({CHAT: HELLO})
    with pytest.raises(ServerUnsupportedError, match="ignores tool_choice"):
        chat().bind_tools([search], **setting).invoke("Hi")


def test_a_dropped_thinking_switch_is_an_error(serve: Serve) -> None:
    serve({CHAT: sse([delta(reasoning="\n\n"), delta("stop", content="Nine")])})
    assert chat(thinking=False).invoke("When?").additional_kwargs == {}
    serve({CHAT: sse([delta(reasoning="Let me see."), delta("stop", content="Nine")])})
    with pytest.raises(ServerUnsupportedError, match="thinking=False"):
        chat(thinking=False).invoke("When?")


def test_too_many_calls_are_an_error(serve: Serve) -> None:
    serve({CHAT: sse(CALLS["vllm: deltas by index"])})
    with pytest.raises(ServerUnsupportedError, match="2 calls"):
        chat().bind_tools([search], parallel_tool_calls=False).invoke("When?")


# What goes wrong


def said(status: int, reason: Any, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": reason}, headers=headers)


PAGE = httpx.Response(200, html="<html><title>Welcome to nginx!</title></html>")
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "down": (
        httpx.ConnectError("Connection refused"),
        ServerUnreachableError,
        "Start it, or correct base_url",
    ),
    "slow to connect": (httpx.ConnectTimeout("timed out"), ServerUnreachableError, "timed out"),
    "silent": (httpx.ReadTimeout("timed out"), ServerTimeoutError, "silent for 600 s.*timeout="),
    "html": (PAGE, ServerAnswerError, "Welcome to nginx.*base_url"),
    "400 with a reason": (
        said(400, {"message": "temperature too hot"}),
        ServerRefusedError,
        "temperature too hot",
    ),
    "400 too long": (
        said(400, {"message": "This model's maximum context length is 512 tokens."}),
        InputTooLongError,
        "Shorten the text",
    ),
    "401": (said(401, "bad key"), ServerAccessError, "bad key.*api_key="),
    "404 for a model": (
        said(404, {"message": "The model `Qwen/Qwen3-8B` does not exist."}),
        ServerModelError,
        "'Qwen/Qwen3-8B'; pass one of them",
    ),
    "404 for a route": (
        httpx.Response(404, json={"detail": "Not Found"}),
        ServerRefusedError,
        "Check base_url",
    ),
    "422": (
        httpx.Response(422, json={"detail": [{"loc": ["body", "stop"], "msg": "not a list"}]}),
        ServerRefusedError,
        "body.stop: not a list",
    ),
    "no place": (
        httpx.Response(422, json={"detail": [{"loc": None, "msg": "not a list"}]}),
        ServerRefusedError,
        "422: not a list",
    ),
    "a place that is no list": (
        httpx.Response(422, json={"detail": {"loc": 5, "msg": {"msg": "not a list"}}}),
        ServerRefusedError,
        "422: not a list",
    ),
    "an error without words": (
        httpx.Response(400, json={"error": True, "message": "too hot"}),
        ServerRefusedError,
        "400: too hot",
    ),
    "nothing but numbers": (
        httpx.Response(400, json={"error": [1, None]}),
        ServerRefusedError,
        r"\[1, ?null",
    ),
    "a deep error": (httpx.Response(400, text="[" * 100_000), ServerRefusedError, r"400: \[\["),
    "moved": (
        httpx.Response(308, headers={"location": "https://new.test/api/v1/chat/completions"}),
        ServerAnswerError,
        "pass base_url='https://new.test/api/v1'",
    ),
    "429": (said(429, "slow down"), ServerBusyError, "slow down.*max_retries"),
    "500": (httpx.Response(500, text="boom"), ServerBusyError, "500: boom"),
    "error in the stream": (
        sse([delta(content="N"), {"error": {"message": "out of memory"}}]),
        ServerAnswerError,
        "out of memory",
    ),
    "error in the stream, badly written": (
        sse([delta(content="N"), 'data: {"error": "no "JSON" here"}']),
        ServerAnswerError,
        "failed while it answered.*JSON",
    ),
    "cut stream": (
        sse([delta(content="Ni")], done=False),
        ServerAnswerError,
        "without saying that it was complete",
    ),
    "aborted": (sse([delta("abort", content="Ni")]), ServerAnswerError, "abort"),
    "broken json": (sse(["data: {nine"]), ServerAnswerError, "{nine"),
    "no object": (sse(["data: [1]"]), ServerAnswerError, r"\[1\]"),
}


MALFORMED: dict[str, Any] = {
    "choices={": {"choices": {"a": 1}},
    "choices=.None": {"choices": [None]},
    "choices=.'x'": {"choices": ["x"]},
    "delta='Hi'": {"choices": [{"delta": "Hi"}]},
    "delta=.'Hi'": {"choices": [{"delta": ["Hi"]}]},
    "content=5": delta(content=5),
    "content=.5": delta(content=[5]),
    "reasoning={": delta(reasoning={"text": "Hm"}),
    "tool_calls='x'": delta(tool_calls="x"),
    "tool_calls={": delta(tool_calls={"function": {"name": "search"}}),
    "tool_calls=.None": delta(tool_calls=[None]),
    "function='search'": delta(tool_calls=[{"index": 0, "function": "search"}]),
    "name=.'search'": delta(tool_calls=[{"index": 0, "function": {"name": ["search"]}}]),
    "finish_reason=5": delta(5, content="Hi"),  # type: ignore[arg-type]  # what servers must not send
    "nested too deeply": f'data: {{"choices": {"[" * 5000}{"]" * 5000}}}',
    "failed while it answered: boom": 'event: error\ndata: {"message": "boom", "code": 500}',
    "failed while it answered: bang": {"object": "error", "message": "bang", "code": 400},
    "failed while it answered: crash": {"choices": [], "detail": "crash"},
    "failed while it answered: {'code": {"object": "error", "code": 400},
}


@pytest.mark.parametrize(("words", "chunk"), MALFORMED.items(), ids=MALFORMED)
def test_chunks_that_hold_something_else_are_no_answer(serve: Serve, words: str, chunk: Any) -> None:
    serve({CHAT: sse([delta(content="Ni"), chunk, delta("stop", content="ne")])})
    with pytest.raises(ServerAnswerError, match=words):
        chat().invoke("When?")


@pytest.mark.parametrize("reply", [sse([]), sse([], done=False), sse([usage()]), {"choices": []}])
def test_nothing_is_no_answer(serve: Serve, reply: Any) -> None:
    server = serve({CHAT: reply})
    with pytest.raises(ServerAnswerError, match="ended its answer before it had begun"):
        chat().invoke("When?")
    assert len(server.bodies()) == 1


def test_owners_that_are_no_names_are_nobody(serve: Serve) -> None:
    listing = {"data": [{"id": "Qwen/Qwen3-8B", "owned_by": ["vllm"]}]}
    serve({CHAT: HELLO, "/v1/models": listing})
    assert chat().invoke("Hi").content == "Hello"


def test_a_server_that_loads_what_it_is_asked_for_may_not_have_it(serve: Serve) -> None:
    serve({CHAT: said(500, "boom")})
    with pytest.raises(ServerBusyError, match=r"boom.*check that it can find the model 'Qwen/Qwen3-8B'"):
        chat(server="transformers").invoke("Hi")
    with pytest.raises(ServerBusyError) as other:
        chat(server="vllm").invoke("Hi")
    assert "find the model" not in str(other.value)


@pytest.mark.parametrize(("reply", "error", "words"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_said(serve: Serve, reply: Any, error: type[Exception], words: str) -> None:
    serve({CHAT: reply})
    with pytest.raises(error, match=words):
        chat().invoke("Hi")


def test_a_server_that_has_moved_is_not_asked_further(serve: Serve) -> None:
    moved = httpx.Response(301, headers={"location": "https://server.test/v1/models"})
    server = serve({CHAT: HELLO, "/v1/models": moved})
    with pytest.raises(ServerAnswerError, match=r"pass base_url='https://server\.test/v1'"):
        chat(thinking=False).invoke("Hi")
    assert len(server.asked) == 1


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://a/v1", "http://", "http://a:port/v1", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected one like"):
        chat(base_url=address).invoke("Hi")


def test_a_password_in_what_is_no_address_is_not_shown() -> None:
    with pytest.raises(InputError, match="host:port") as refused:
        chat(base_url="http://ann:s3/cret@host:port/v1").invoke("Hi")
    assert "cret" not in str(refused.value)


def test_a_damaged_key_is_refused_unshown() -> None:
    with pytest.raises(InputError, match="Copy it again") as refused:
        chat(api_key="secret\nkey").invoke("Hi")
    assert "secret" not in str(refused.value)


def test_a_model_the_server_lacks_is_refused_with_those_it_has(serve: Serve) -> None:
    serve({CHAT: HELLO}, model="Qwen/Qwen3-4B")
    with pytest.raises(ServerModelError, match="it has 'Qwen/Qwen3-4B'"):
        chat().invoke("Hi")


def test_a_server_that_lists_html_is_no_server(serve: Serve) -> None:
    serve({"/v1/models": PAGE})
    with pytest.raises(ServerAnswerError, match="Welcome to nginx"):
        chat().invoke("Hi")


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("down"),
        httpx.RemoteProtocolError("gone"),
        *(said(s, "busy") for s in (429, 500, 503)),
    ],
)
def test_a_busy_server_is_asked_again(serve: Serve, no_waiting: list[float], failure: Any) -> None:
    server = serve({CHAT: [failure, failure, HELLO]})
    assert chat().invoke("Hi").content == "Hello"
    assert len(server.bodies()) == 3
    assert 0.25 <= no_waiting[0] <= 0.5 <= no_waiting[1] <= 1


@pytest.mark.parametrize("status", [408, 429, 502, 503])
def test_a_busy_server_is_not_guessed_at(serve: Serve, status: int) -> None:
    models = listed("Qwen/Qwen3-8B", "vllm")
    server = serve({CHAT: HELLO, "/v1/models": [said(status, "busy"), said(status, "busy"), models]})
    chat(thinking=False).invoke("Hi")
    assert server.bodies()[0]["chat_template_kwargs"] == {"enable_thinking": False}
    for route in ("/v1/models", "/api/version", "/openapi.json"):
        server = serve({CHAT: HELLO, route: said(status, "busy")}, owner="somebody")
        llm = chat()
        with pytest.raises(ServerBusyError, match="3 attempts"):
            llm.invoke("Hi")
        assert server.bodies() == []
        server.routes[route] = models
        assert llm.invoke("Hi").content == "Hello"


def test_the_server_says_when_to_come_back(serve: Serve, no_waiting: list[float]) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    busy = [said(429, "busy", **{"Retry-After": value}) for value in ("7", past)]
    serve({CHAT: [*busy, HELLO]})
    assert chat().invoke("Hi").content == "Hello"
    assert no_waiting == [7, 0]
    server = serve({CHAT: said(429, "busy", **{"Retry-After": "3600"})})
    with pytest.raises(ServerBusyError):
        chat().invoke("Hi")
    assert len(server.bodies()) == 1


@pytest.mark.parametrize(
    "reply", [said(400, "no"), said(401, "no"), WRONG["cut stream"][0], httpx.ReadTimeout("")]
)
def test_what_asking_again_cannot_mend_is_asked_once(serve: Serve, reply: Any) -> None:
    server = serve({CHAT: reply})
    with pytest.raises(ServerError):
        chat().invoke("Hi")
    assert len(server.bodies()) == 1


def test_retries_can_be_switched_off(serve: Serve) -> None:
    server = serve({CHAT: said(503, "busy")})
    with pytest.raises(ServerBusyError, match="1 attempt"):
        chat(max_retries=0).invoke("Hi")
    assert len(server.bodies()) == 1


def test_the_list_of_models_is_not_needed(serve: Serve) -> None:
    server = serve({CHAT: HELLO, "/v1/models": httpx.Response(404)})
    assert chat().invoke("Hi").content == "Hello"
    assert len(server.bodies()) == 1


async def test_async_reads_the_same(serve: Serve) -> None:
    serve({CHAT: HELLO})
    llm = chat()
    assert (await llm.ainvoke("Hi")).content == "Hello"
    assert "".join([str(chunk.content) async for chunk in llm.astream("Hi")]) == "Hello"
