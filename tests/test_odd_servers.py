"""Odd answers of servers: nothing in them is lost, and no failure looks like an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.errors import ServerAnswerError
from tests.fakes.server import ARGUMENTS, CHAT, URL, Serve, call, chat, delta, search, serve, sse

__all__ = ["serve"]

HI = delta(content="Hi")
END = delta("stop")


def response(text: str | bytes, kind: str = "text/event-stream") -> httpx.Response:
    content = text.encode() if isinstance(text, str) else text
    return httpx.Response(200, headers={"content-type": kind}, content=content)


def whole(**message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


def ask(streamed: bool, **bound: Any) -> AIMessage:
    llm = chat(max_retries=0).bind(**bound)
    if not streamed:
        return llm.invoke("x")
    first, *others = llm.stream("x")
    return sum(others, first)


def event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}"


BOTH_WAYS = pytest.mark.parametrize("streamed", [False, True])
TOO_LONG = {"message": "This model's maximum context length is 40 tokens."}


@BOTH_WAYS
@pytest.mark.parametrize(
    "failure",
    [
        event("error", '{"code": 500, "msg": "no memory"}'),
        event("error", "no memory"),
        event("error", '{"error": {"message": "no memory"}}'),
        {"status": 500, "msg": "no memory"},
        {"error": "no memory"},
    ],
)
def test_a_failure_in_the_middle_is_no_answer(serve: Serve, failure: Any, streamed: bool) -> None:
    serve({CHAT: sse([HI, failure])})
    with pytest.raises(ServerAnswerError, match="failed while it answered: no memory"):
        ask(streamed)


@BOTH_WAYS
@pytest.mark.parametrize("reply", [sse([{"error": TOO_LONG}]), {"error": TOO_LONG}])
def test_a_chat_that_is_too_long_is_known_by_its_words(serve: Serve, reply: Any, streamed: bool) -> None:
    serve({CHAT: reply})
    with pytest.raises(ContextOverflowError, match="40 tokens"):
        ask(streamed)


@BOTH_WAYS
@pytest.mark.parametrize(
    "reply",
    [
        sse([event("ping", "ping"), event("ping", "{}"), HI, END]),
        response(sse([HI, END]).content, "Text/Event-Stream"),
        response(sse([": hello", HI, END]).content, "text/plain"),
        response(sse([HI, END]).content, "application/json"),
        response(b"\xef\xbb\xbf" + json.dumps(whole(content="Hi")).encode(), "application/json"),
        whole(content=None, refusal="Hi"),
        sse([delta(refusal="H"), delta(refusal="i"), END]),
    ],
    ids=["pings", "capitals", "no type", "wrong type", "byte order mark", "refusal", "streamed refusal"],
)
def test_an_answer_in_another_form(serve: Serve, reply: Any, streamed: bool) -> None:
    serve({CHAT: reply})
    assert ask(streamed).content == "Hi"


def test_json_is_utf8_whatever_its_type_says(serve: Serve) -> None:
    body = json.dumps(whole(content="für 你好"), ensure_ascii=False)
    serve({CHAT: response(body, "application/json; charset=iso-8859-1")})
    assert ask(False).content == "für 你好"


@BOTH_WAYS
@pytest.mark.parametrize(
    "reply",
    [
        whole(content=None, function_call={"name": "search", "arguments": ARGUMENTS}),
        sse(
            [
                delta(function_call={"name": "search", "arguments": ""}),
                delta(function_call={"arguments": ARGUMENTS}),
                delta("function_call"),
            ]
        ),
    ],
)
def test_a_call_in_its_first_form(serve: Serve, reply: Any, streamed: bool) -> None:
    serve({CHAT: reply})
    [made] = ask(streamed, tools=[search]).tool_calls
    assert (made["name"], made["args"]) == ("search", json.loads(ARGUMENTS))


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("max_tokens", "length"),
        ("EOS_TOKEN", "stop"),
        ("end_turn", "stop"),
        ("content_filter", "content_filter"),
    ],
)
def test_other_words_for_the_end(serve: Serve, word: str, finish: str) -> None:
    serve({CHAT: sse([HI, delta(word)])})
    assert ask(True).response_metadata["finish_reason"] == finish


@pytest.mark.parametrize("word", ["cancelled", "ABORT"])
def test_an_answer_that_was_cancelled_is_none(serve: Serve, word: str) -> None:
    serve({CHAT: sse([HI, delta(word)])})
    with pytest.raises(ServerAnswerError, match=f"broke off its answer .'{word}'"):
        ask(False)


def test_a_filter_is_told_where_it_cuts_a_call(serve: Serve) -> None:
    serve({CHAT: sse([delta(tool_calls=[call(0, "search", '{"que', "1")]), delta("content_filter")])})
    message = ask(False, tools=[search])
    assert message.invalid_tool_calls
    assert message.response_metadata["finish_reason"] == "content_filter"


@BOTH_WAYS
@pytest.mark.parametrize(
    "pieces", [["</think>\n\nHi"], ["\n", "</thi", "nk>", "\n\nHi"], ["Hi"], ["<", "/b>Hi"]]
)
def test_a_thought_that_is_closed_twice(serve: Serve, pieces: list[str], streamed: bool) -> None:
    serve({CHAT: sse([delta(reasoning="Hm."), *(delta(content=piece) for piece in pieces), END])})
    message = ask(streamed)
    assert message.content in ("Hi", "</b>Hi")
    assert message.additional_kwargs["reasoning_content"] == "Hm."


def scores(*rows: tuple[Any, float]) -> dict[str, Any]:
    return {"results": [{"index": index, "relevance_score": score} for index, score in rows]}


@pytest.mark.parametrize("rows", [[(0, 0.1), (0, 0.9)], [(0.4, 0.5)]], ids=["twice", "half"])
def test_a_document_has_one_score(serve: Serve, rows: list[Any]) -> None:
    replies = [scores((0, 0.9), (1, 0.1)), scores(*rows)]
    serve({"/v1/rerank": replies}, owner="sglang", model="R")
    reranker = QwenReranker(model="R", base_url=URL, max_retries=0)
    with pytest.raises(ServerAnswerError, match="one numbered score"):
        reranker.score([("q", "a")])


def test_rounding_is_no_fault_of_a_score(serve: Serve) -> None:
    replies = [scores((0, 0.9), (1, 0.1)), scores((0, 1.0000001)), scores((0, -1e-9))]
    serve({"/v1/rerank": replies}, owner="sglang", model="R")
    assert QwenReranker(model="R", base_url=URL).score([("q", "a"), ("r", "b")]) == [1, 0]


@pytest.mark.parametrize(
    ("vector", "wrong"),
    [
        (lambda texts: [1.0] * len(texts), "8 and 32 numbers"),  # two requests
        (lambda texts: [[1.0, 0.0], [0.0, 1.0]], "one for each token"),
    ],
)
def test_every_vector_has_one_form(serve: Serve, vector: Callable[[list[str]], Any], wrong: str) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        texts = body["input"]
        return {"data": [{"index": i, "embedding": vector(texts)} for i, _ in enumerate(texts)]}

    serve({"/v1/embeddings": reply}, model="E")
    embedder = QwenEmbeddings(model="E", base_url=URL, max_retries=0)
    with pytest.raises(ServerAnswerError, match=wrong):
        embedder.embed_documents([f"t{i}" for i in range(40)])


def test_a_failure_instead_of_vectors_says_why(serve: Serve) -> None:
    serve({"/v1/embeddings": {"error": {"message": "no memory"}}}, model="E")
    with pytest.raises(ServerAnswerError, match="no memory"):
        QwenEmbeddings(model="E", base_url=URL, max_retries=0).embed_query("a")
