"""`ChatQwen(base_url=...)`: streams and answers read, as vLLM, SGLang, Ollama and llama.cpp write them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.fakes.server import (
    CALLS,
    CHAT,
    HELLO,
    Serve,
    call,
    chat,
    delta,
    search,
    sse,
    usage,
)

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
