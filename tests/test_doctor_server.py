"""What `doctor --base-url` says of servers: those that think long, drop what is asked, or refuse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from qwen_agentkit.cli.doctor import check_server
from qwen_agentkit.errors import ServerAccessError, ServerModelError
from tests.fakes.command_line import Run
from tests.fakes.server import URL, FakeServer, Serve, call, delta, sse, usage

CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"
CHAT_ABILITIES = ("chat", "thoughts", "tools", "tool choice", "objects")
USE = f"ChatQwen(model='Qwen/Qwen3-8B', base_url={URL!r})"

Body = dict[str, Any]
Chunks = list[dict[str, Any]]


def said(*, thinks: bool) -> Callable[[Body], httpx.Response]:
    """A server that does all that is asked; where it `thinks`, far longer than it is given tokens for."""

    def answer(body: Body) -> httpx.Response:
        if thinks and body.get("chat_template_kwargs") != {"enable_thinking": False}:
            limit = body["max_tokens"]
            thought = [delta(reasoning_content="Hm.") for _ in range(3)]
            return sse([*thought, delta("length"), usage(9, limit)])
        if "response_format" in body:
            return sse([delta("stop", content='{"hour": 9}'), usage()])
        if "tools" in body:
            return sse([delta(tool_calls=[call(0, "clock", "{}", "1")]), delta("tool_calls"), usage()])
        return sse([delta("stop", content="Nine."), usage()])

    return answer


def abilities(found: Body) -> list[str]:
    return [found[name] for name in CHAT_ABILITIES]


def dropping(answer: Callable[[Body], httpx.Response], *fields: str) -> Callable[[Body], httpx.Response]:
    """The same server, that drops fields without a word."""
    return lambda body: answer({name: value for name, value in body.items() if name not in fields})


def test_a_long_thinker_is_asked_without_thoughts(serve: Serve) -> None:
    server = serve({CHAT: said(thinks=True)})
    found = check_server(URL, None, None)
    assert abilities(found) == ["yes"] * 5
    assert found["use"] == USE
    thinking = [body.get("chat_template_kwargs") for body in server.bodies()]
    assert thinking.count({"enable_thinking": False}) == 4


@pytest.mark.parametrize("owner", ["organization_owner", "vllm"])
def test_a_thinker_without_a_switch_is_cut_off_and_works(serve: Serve, owner: str) -> None:
    server = serve({CHAT: dropping(said(thinks=True), "chat_template_kwargs")}, owner=owner)
    found = check_server(URL, None, None)
    cut = "cut off while thinking after 2000 tokens"
    assert found["chat"] == f"yes, but {cut}"
    assert found["thoughts"] == "yes"
    assert [found[name] for name in ("tools", "tool choice", "objects")] == [f"not seen: {cut}"] * 3
    assert found["use"] == USE
    assert max(body["max_tokens"] for body in server.bodies()) == 2000


def test_answers_leave_room_in_a_short_context(serve: Serve) -> None:
    server = serve({CHAT: dropping(said(thinks=True), "chat_template_kwargs")})
    server.routes["/v1/models"]["data"][0]["max_model_len"] = 1024
    assert check_server(URL, None, None)["chat"] == "yes, but cut off while thinking after 512 tokens"


def test_a_server_that_refuses_the_switch_is_asked_without_it(serve: Serve) -> None:
    def answer(body: Body) -> httpx.Response:
        if "chat_template_kwargs" in body:
            return httpx.Response(400, json={"error": {"message": "chat_template_kwargs: not here"}})
        return said(thinks=False)(body)

    serve({CHAT: answer})
    assert abilities(check_server(URL, None, None)) == [
        *("yes", "none in one answer", "yes", "yes", "yes"),
    ]


@pytest.mark.parametrize("text", ["It is nine.", "{}", '{"hour": "nine"}', "[9]", "9", "[" * 100_000])
def test_an_object_has_to_keep_to_the_schema(serve: Serve, text: str) -> None:
    serve({CHAT: sse([delta("stop", content=text), usage()])})
    found = check_server(URL, None, None)
    assert found["objects"].startswith("no: asked for an object with a whole number as its 'hour'")
    assert repr(text[:80]) in found["objects"]
    assert found["chat"] == "yes"


def test_tools_that_may_and_that_have_to_be_called_are_told_apart(serve: Serve) -> None:
    def free(body: Body) -> httpx.Response:
        asks_time = "time" in body["messages"][0]["content"]
        return said(thinks=False)(body if asks_time else {"messages": body["messages"]})

    serve({CHAT: free})
    found = check_server(URL, None, None)
    assert found["tools"] == "yes"
    assert found["tool choice"].startswith("no: The answer has to be a call of 'clock'")


def test_a_call_that_cannot_be_read_is_said(serve: Serve) -> None:
    broken = sse([delta(tool_calls=[call(0, "clock", '{"a', "1")]), delta("tool_calls"), usage()])
    serve({CHAT: broken})
    found = check_server(URL, None, None)
    assert found["tools"].startswith("no: it wrote a call that cannot be read: ")
    assert found["chat"] == "yes"


def test_answers_are_greedy_so_that_two_runs_say_the_same(serve: Serve) -> None:
    server = serve({CHAT: said(thinks=True)})
    assert check_server(URL, None, None) == check_server(URL, None, None)
    assert {body["temperature"] for body in server.bodies()} == {0}


def test_an_embedder_that_a_server_lets_write_is_no_chat_model(serve: Serve) -> None:
    name = "Qwen/Qwen3-Embedding-0.6B"
    vector = {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}
    serve({CHAT: said(thinks=False), EMBED: vector}, owner="somebody", model=name)
    found = check_server(URL, None, None)
    assert found["chat"] == "yes"
    assert found["use"] == f"QwenEmbeddings(model={name!r}, base_url={URL!r})"


def test_what_a_server_without_chat_cannot_do_is_said_once(serve: Serve) -> None:
    server = serve({EMBED: {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}})
    found = check_server(URL, None, None)
    assert found["chat"].startswith("no: http://server.test/v1/chat/completions answered 404")
    assert abilities(found)[1:] == ["no: it does not chat"] * 4
    assert found["embeddings"] == "yes, 2 dimensions"
    assert len(server.bodies()) == 2


def test_one_route_that_wants_another_key_is_no_end(serve: Serve) -> None:
    serve({CHAT: said(thinks=False), EMBED: httpx.Response(403, json={"error": "not in your plan"})})
    found = check_server(URL, None, None)
    assert found["chat"] == "yes"
    assert found["embeddings"].startswith("no: http://server.test/v1/embeddings answered 403")


WRONG_KEY = httpx.Response(401, json={"error": {"message": "Invalid API key"}})
NO_MODEL = httpx.Response(404, json={"error": {"message": "model 'nope' not found"}})


@pytest.mark.parametrize(
    ("owner", "reply", "model", "error", "says"),
    [
        ("vllm", WRONG_KEY, None, ServerAccessError, "Invalid API key"),
        ("vllm", NO_MODEL, "nope", ServerModelError, "has no model 'nope'; it has 'Qwen/Qwen3-8B'"),
        ("library", NO_MODEL, "nope", ServerModelError, "model 'nope' not found"),
    ],
)
def test_a_wrong_key_and_a_wrong_model_end_the_command(
    serve: Serve, run: Run, owner: str, reply: httpx.Response, model: str | None, error: type, says: str
) -> None:
    server: FakeServer = serve({CHAT: reply, EMBED: reply}, owner=owner)
    with pytest.raises(error, match=says):
        check_server(URL, model, None)
    assert len(server.bodies()) <= 2
    ran = run("doctor", "--base-url", URL, *(("--model", model) if model else ()))
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ("QWEN_AGENTKIT_API_KEY" in ran.err) == (error is ServerAccessError)
