"""What other programs send to the API of a served store: answered, or refused in words that help."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from qwen_agentkit.stack import Stack
from tests.serve_site import HOURS, QUESTION, served

USER: Any = {"role": "user", "content": QUESTION}
CALL: Any = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
PICTURE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "rag", "messages": [USER], **fields}


OTHER_PROGRAMS: list[tuple[dict[str, Any], set[str]]] = [
    (  # Open WebUI
        {
            "chat_id": "c",
            "background_tasks": {"title_generation": True},
            "features": {"web_search": False},
            "metadata": {"a": 1},
        },
        {"chat_id", "background_tasks", "features", "metadata"},
    ),
    (  # programs that send every field of the API
        dict.fromkeys(
            [
                "stream",
                "stream_options",
                "tools",
                "tool_choice",
                "response_format",
                "logprobs",
                "n",
                "stop",
                "seed",
                "settings",
                "chat_template_kwargs",
                "reasoning_effort",
                "user",
            ]
        ),
        set(),
    ),
    ({"tools": [CALL], "tool_choice": "none"}, {"tools", "tool_choice"}),
    ({"logprobs": False, "top_logprobs": 0, "n": 1.0}, {"top_logprobs"}),
    ({"stop": ["\n\n"], "max_completion_tokens": 9}, {"stop", "max_completion_tokens"}),
    ({"chat_template_kwargs": {"enable_thinking": "no", "x": 1}}, {"chat_template_kwargs.x"}),
    ({"messages": [{"role": "developer", "content": "Be brief."}, USER]}, {"messages.developer"}),
    ({"messages": [USER, {"role": "system", "content": "Be brief."}]}, {"messages.system"}),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Look"}, PICTURE]},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
                {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
            ]
        },
        {"messages.image_url", "messages.refusal"},
    ),
    (
        {
            "messages": [
                {"role": "user", "content": ""},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                {"role": "tool", "tool_call_id": "1", "content": "x"},
                USER,
            ]
        },
        {"messages.tool"},
    ),
    ({"messages": [{"role": "user", "content": f"{QUESTION} \ud83d"}]}, set()),
]
"""Fields of a body, and those that `x-ignored-fields` has to name."""


async def test_bodies_of_other_programs_are_answered(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        for fields, ignored in OTHER_PROGRAMS:
            content = json.dumps(chat(**fields))
            answer = await client.post(
                "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 200, (fields, answer.text)
            assert HOURS in answer.json()["choices"][0]["message"]["content"], fields
            assert set(answer.headers.get("x-ignored-fields", "").split(", ")) - {""} == ignored, fields


async def test_usage_in_a_stream_is_sent_only_to_who_wants_it(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        for wanted in (True, False, "false"):
            body = chat(stream=True, stream_options={"include_usage": wanted})
            text = (await client.post("/v1/chat/completions", json=body)).text
            assert ('"usage"' in text) is (wanted is True)


REFUSED: list[tuple[str, Any, str]] = [
    ("chat/completions", chat(tools=[CALL]), "choose its chat, not its agent"),
    ("chat/completions", chat(n=0), "'n' cannot be obeyed"),
    ("chat/completions", chat(messages=[{"role": "user", "content": " \u200b\u2066"}]), "is empty"),
    ("chat/completions", chat(messages=[{"role": "user", "content": [PICTURE]}]), "'image_url'"),
    (
        "chat/completions",
        chat(messages=[{"role": "user", "content": 3}]),
        "at messages.0.content: Input should be a valid string, or: Input should be a valid list.",
    ),
    ("embeddings", {"model": "nano-embedding", "input": ["a", 1]}, "at input.1"),
    ("embeddings", {"model": "nano-embedding", "input": ["a", "\u200b"]}, "Text 1 of the input is empty"),
    ("rerank", {"model": "nano-reranker", "query": " ", "documents": ["a"]}, "query is empty"),
    ("rerank", {"model": "nano-reranker", "query": "a", "documents": [None]}, "at documents.0"),
    ("search", {"query": "\u200f"}, "query is empty"),
]


async def test_a_refusal_says_what_to_do(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        for path, body, told in REFUSED:
            answer = await client.post(f"/v1/{path}", json=body)
            assert answer.status_code == 400, (path, body)
            assert told in answer.json()["error"]["message"], (path, body)


async def test_a_body_that_is_no_json_is_named_so(nano_stack: Stack) -> None:
    whole = json.dumps(chat()).encode()
    kind = {"content-type": "application/json"}
    cases: list[tuple[bytes, dict[str, str], int, str]] = [
        (whole, {}, 415, "expected application/json"),
        (whole, {"content-type": "text/plain"}, 415, "'text/plain'; expected application/json"),
        (gzip.compress(whole), {**kind, "content-encoding": "gzip"}, 415, "Send the body uncompressed"),
        (whole[:40], kind, 400, "at character 39 of 40"),
        (whole.replace(b"library", b"biblioth\xe8que"), kind, 400, "is not utf-8"),
        (b"[" * 100_000, kind, 400, "nested too deeply"),
        (b'{"model": "rag", "seed": ' + b"9" * 5000 + b"}", kind, 400, "too many digits"),
        (b"[]", kind, 400, "at its body"),
    ]
    async with served(nano_stack) as site, site.client() as client:
        for content, headers, status, told in cases:
            answer = await client.post("/v1/chat/completions", content=content, headers=headers)
            assert answer.status_code == status
            assert told in answer.json()["error"]["message"]
        # What is JSON, however it is encoded, is read.
        for content in (b"\xef\xbb\xbf" + whole, whole.decode().encode("utf-16")):
            answer = await client.post("/v1/chat/completions", content=content, headers=kind)
            assert answer.status_code == 200


async def test_half_a_character_never_breaks_an_answer(nano_stack: Stack) -> None:
    broken, kind = "\ud83d", {"content-type": "application/json"}
    bodies: list[tuple[str, dict[str, Any], int]] = [
        ("/v1/embeddings", {"model": "nano-embedding", "input": [broken]}, 200),
        (
            "/v1/rerank",
            {"model": "nano-reranker", "query": broken, "documents": [broken], "return_documents": True},
            200,
        ),
        ("/v1/search", {"query": f"library {broken}"}, 200),
        ("/v1/search", {"query": "library", broken: 1}, 400),
        ("/v1/chat/completions", chat(settings={broken: 1}), 400),
        ("/v1/chat/completions", chat(model=broken), 404),
        ("/api/conversations", {"title": broken}, 200),
    ]
    async with served(nano_stack) as site, site.client() as client:
        for path, body, status in bodies:
            answer = await client.post(path, content=json.dumps(body), headers=kind)
            assert answer.status_code == status, (path, answer.text)


async def test_fields_that_embeddings_and_rerank_do_not_obey_are_named(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        body = {
            "model": "nano-embedding",
            "input": "a",
            "task": "retrieval.query",
            "user": None,
            "encoding_format": None,
        }
        answer = await client.post("/v1/embeddings", json=body)
        assert answer.headers["x-ignored-fields"] == "task"
        documents = [{"text": "a", "title": "b"}]
        body = {"model": "nano-reranker", "query": "a", "documents": documents, "rank_fields": ["title"]}
        answer = await client.post("/v1/rerank", json=body)
        assert answer.headers["x-ignored-fields"] == "rank_fields"


async def test_methods_and_paths_that_are_not_there(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        for path in ("/", "/health", "/v1/models", "/v1/models/rag", "/metrics", "/v1/documents"):
            assert (await client.head(path)).status_code == 200
        answer = await client.get("/v1/chat/completions")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert "expected POST" in answer.json()["error"]["message"]
        assert (await client.head("/v1/chat/completions")).status_code == 405
        assert (await client.get("/mcp")).status_code == 405  # nothing is sent unasked
        answer = await client.post("/v1/responses", json={})
        assert answer.status_code == 404
        assert "chat completions" in answer.json()["error"]["message"]
        for origin in ("null", "http://[", "app://x", "http://127.0.0.1:8100.example"):
            assert (await client.get("/health", headers={"origin": origin})).status_code == 403


async def test_an_upload_is_the_bytes_of_one_file(own_stack: Stack) -> None:
    async with served(own_stack) as site, site.client() as client:
        for headers, status in (
            ({"content-type": "multipart/form-data; boundary=x"}, 415),
            ({"content-encoding": "gzip"}, 415),
            ({"content-range": "bytes 0-2/10"}, 400),
        ):
            answer = await client.put("/v1/documents/x.md", content=b"words", headers=headers)
            assert answer.status_code == status
        for name in ("a%2Fb.md", "..%2Fx.md", "%ff.md", "CON.md", "com1.tar.md", "%E2%80%AEx.md", ""):
            answer = await client.put(f"/v1/documents/{name}", content=b"words")
            assert answer.status_code == 400, name
            assert "Rename it" in answer.json()["error"]["message"]
        assert not (await client.get("/v1/documents")).json()["documents"][4:]
        title = await client.post("/api/conversations", json={"title": "\u202eabc\x00 \u200dd\ne"})
        assert title.json()["title"] == "abc \u200dd e"


async def test_an_upload_that_is_cut_off_leaves_nothing(
    own_stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"# Half", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/v1/documents/half.md"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8100")],
        "server": ("127.0.0.1", 8100),
    }
    async with served(own_stack) as site, site.client() as client:
        await site.app(scope, receive, send)
        assert sent[0]["status"] == 499
        assert len((await client.get("/v1/documents")).json()["documents"]) == 4
        assert not list(site.library.data.glob("receiving-*"))
    assert "A request failed" not in caplog.text
