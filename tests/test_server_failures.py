"""`ChatQwen(base_url=...)`: what a server does not keep to, what goes wrong, and what is asked again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

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
from tests.fakes.server import (
    CALLS,
    CHAT,
    HELLO,
    Serve,
    chat,
    delta,
    listed,
    search,
    sse,
    usage,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("qwen_agentkit.server.http.wait", lambda _, seconds: waited.append(seconds))
    return waited


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
