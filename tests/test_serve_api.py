"""The OpenAI API of a served store, read by the clients that people use."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openai
import pytest
import uvicorn
from langchain_openai import ChatOpenAI

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.serve.app import build_app
from qwen_agentkit.serve.library import Library
from qwen_agentkit.serve.readable import write_correction
from qwen_agentkit.stack import Stack
from tests.serve_site import ADDRESS, HOURS, QUESTION, Site, events_of, served

ASKED: Any = [{"role": "user", "content": QUESTION}]


def openai_client(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{ADDRESS}/v1", api_key="none", http_client=site.client(), max_retries=0
    )


@pytest.mark.parametrize("graph", ["rag", "corrective_rag", "research", "agent"])
async def test_every_graph_answers_with_citations(nano_stack: Stack, graph: str) -> None:
    async with served(nano_stack) as site:
        answer = await openai_client(site).chat.completions.create(model=graph, messages=ASKED)
    message = answer.choices[0].message
    assert message.content is not None
    assert f"{HOURS} [1]" in message.content
    assert message.content.endswith("\n\n[1] documents/crew/hours.md")
    assert message.annotations is not None
    cited = message.annotations[0].url_citation
    assert message.content[cited.start_index : cited.end_index] == f"{HOURS} [1]"
    assert cited.title == "Hours"
    assert cited.url.startswith(f"{ADDRESS}/#passage=")
    assert answer.choices[0].finish_reason == "stop"


async def test_a_stream_gives_the_same_answer(nano_stack: Stack) -> None:
    async with served(nano_stack) as site:
        client = openai_client(site)
        whole = await client.chat.completions.create(model="rag", messages=ASKED)
        stream = await client.chat.completions.create(
            model="rag", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    notes = [note for c in chunks if c.choices for note in (c.choices[0].delta.model_extra or {}).values()]
    assert notes[0][0]["url_citation"]["quote"] == HOURS


async def test_langchain_reads_it(nano_stack: Stack) -> None:
    async with served(nano_stack) as site:
        llm = ChatOpenAI(
            model="rag", base_url=f"{ADDRESS}/v1", api_key="none", http_async_client=site.client()
        )
        assert HOURS in (await llm.ainvoke(QUESTION)).text
        pieces = [piece async for piece in llm.astream([("system", "Be brief."), ("user", QUESTION)])]
        assert HOURS in "".join(piece.text for piece in pieces)


async def test_open_webui_bodies_are_read_and_what_is_ignored_is_named(nano_stack: Stack) -> None:
    body = {
        "model": "rag",
        "stream": True,
        "messages": [
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        ],
        "stream_options": {"include_usage": True},
        "temperature": 0.8,
        "top_p": 0.9,
        "max_tokens": 100,
        "reasoning_effort": "low",
        "response_format": {"type": "text"},
        "tools": [],
        "user": "anna",
    }
    async with served(nano_stack) as site, site.client() as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert HOURS in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    ignored = set(answer.headers["x-ignored-fields"].split(", "))
    assert ignored == {"messages.system", "temperature", "top_p", "max_tokens", "user"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "../../etc/passwd"}, 404),
        ({"model": "nano-chat"}, 404),
        ({"messages": []}, 400),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": "  "}]}, 400),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 400),
        ({"tools": [{"type": "function"}]}, 400),
        ({"response_format": {"type": "json_object"}}, 400),
        ({"n": 2}, 400),
        ({"settings": {"passages": 1000}}, 400),
        ({"settings": {"filter": {"group": "staff"}}}, 400),
        ({"settings": {"store": "/tmp"}}, 400),
        ({"settings": {"approve_plan": True}, "model": "research"}, 400),
        ({"reasoning_effort": "endless"}, 400),
    ],
    ids=str,
)
async def test_what_cannot_be_obeyed_is_refused(nano_stack: Stack, change: Any, status: int) -> None:
    async with served(nano_stack) as site, site.client() as client:
        answer = await client.post("/v1/chat/completions", json={"model": "rag", "messages": ASKED, **change})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_an_error_inside_a_stream_is_an_error_of_the_client(nano_stack: Stack) -> None:
    async with served(nano_stack) as site:
        site.library.close()
        stream = await openai_client(site).chat.completions.create(model="rag", messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="The store is closed"):
            _ = [chunk async for chunk in stream]


async def test_embeddings_are_those_of_the_store(nano_stack: Stack) -> None:
    texts = [HOURS, "窑炉最高温度为1230度。"]
    own = nano_stack.embeddings
    async with served(nano_stack) as site:
        client = openai_client(site)
        sent = await client.embeddings.create(model=own.model, input=texts)
        plain = await client.embeddings.create(model=own.model, input=HOURS, encoding_format="float")
        short = await client.embeddings.create(model=own.model, input=HOURS, dimensions=64)
        query = await client.embeddings.create(
            model=own.model, input=QUESTION, extra_body={"input_type": "query"}
        )
        for wrong in ([1, 2, 3], "", [], ["x"] * 3000, "word " * 9000):
            with pytest.raises(openai.BadRequestError):
                await client.embeddings.create(model=own.model, input=wrong)
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="/tmp", input="x")
    np.testing.assert_allclose([one.embedding for one in sent.data], own.embed_array(texts), atol=1e-6)
    np.testing.assert_allclose(plain.data[0].embedding, sent.data[0].embedding, atol=1e-6)
    assert len(short.data[0].embedding) == 64
    np.testing.assert_allclose(query.data[0].embedding, own.embed_query(QUESTION), atol=1e-6)
    assert sent.usage.total_tokens == sum(own.count_tokens(texts))


async def test_the_reranker_is_that_of_the_store(nano_stack: Stack) -> None:
    texts = ["The kiln is hot.", HOURS]
    body = {"model": nano_stack.reranking_model.model, "query": QUESTION, "documents": texts}
    async with served(nano_stack) as site, site.client() as client:
        ranked = (await client.post("/v1/rerank", json={**body, "top_n": 1, "return_documents": True})).json()
        missing = await client.post("/v1/rerank", json={**body, "documents": [{"title": "x"}]})
    assert ranked["results"][0]["index"] == 1
    assert ranked["results"][0]["document"] == {"text": HOURS}
    assert missing.status_code == 400


async def test_models_health_and_metrics(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        assert (await client.get("/health")).json()["models"] == {
            "embedding": "unloaded",
            "reranker": "unloaded",
        }
        names = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        assert names[:4] == ["rag", "corrective_rag", "research", "agent"]
        assert (await client.get("/v1/models/rag")).json()["id"] == "rag"
        assert (await client.get("/v1/models/Qwen/Qwen3-8B")).status_code == 404
        await client.post("/v1/chat/completions", json={"model": "rag", "messages": ASKED})
        assert set((await client.get("/health")).json()["models"].values()) == {"ready"}
        figures = (await client.get("/metrics")).text
        assert 'qwen_agentkit_answers_total{graph="rag",outcome="answered"} 1.0' in figures
        assert 'qwen_agentkit_requests_total{route="/v1/models/{name:path}",status="404"} 1.0' in figures
        # After a while without questions the weights go, and the next question brings them back.
        assert not site.library.unload_idle(1000)
        assert site.library.unload_idle(0)
        assert set((await client.get("/health")).json()["models"].values()) == {"unloaded"}
        answer = await client.post("/v1/chat/completions", json={"model": "rag", "messages": ASKED})
        assert HOURS in answer.text


async def test_questions_beyond_the_limit_are_refused(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        site.app.state.service.runner._most = 0
        for stream in (False, True):
            asked = {"model": "rag", "messages": ASKED, "stream": stream}
            answer = await client.post("/v1/chat/completions", json=asked)
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "5"


async def test_many_questions_at_once(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        asked = {"model": "rag", "messages": ASKED, "stream": True}
        answers = await asyncio.gather(
            *(client.post("/v1/chat/completions", json=asked) for _ in range(8)),
            *(client.get("/") for _ in range(64)),
        )
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers[:8]:
        events = events_of(answer.text)
        assert HOURS in "".join(one["choices"][0]["delta"].get("content", "") for one in events)


def test_a_draft_is_corrected_after_it_was_streamed() -> None:
    sentence = {"start": 0, "end": 18, "verdict": "supported", "sources": [], "missing": []}
    answer = {"answer": "It opens at 9 [1].", "language": "ar", "sentences": [sentence], "passages": []}
    assert write_correction(answer, "It opens at 9【1】.") == ""
    assert write_correction(answer, "It opens at 8.") == "\n\nصُحّح بعد مراجعة المصادر:\n\nIt opens at 9 [1]."
    answer["sentences"] = [{**sentence, "verdict": "unsupported"}]
    assert write_correction(answer, "It opens at 9.").endswith("\n- It opens at 9 [1].")


@contextmanager
def listening(stack: Stack) -> Iterator[str]:
    """A server on a real socket, as `serve` starts it."""
    server = uvicorn.Server(uvicorn.Config(build_app(Library(stack)), log_level="error", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.enable_socket
def test_our_own_classes_read_it(nano_stack: Stack) -> None:
    with listening(nano_stack) as url:
        llm = ChatQwen(model="rag", base_url=url)
        assert HOURS in llm.invoke(QUESTION).text
        assert HOURS in "".join(piece.text for piece in llm.stream(QUESTION))
        own = nano_stack.embeddings
        remote = QwenEmbeddings(model=own.model, base_url=url)
        np.testing.assert_allclose(remote.embed_documents([HOURS]), own.embed_documents([HOURS]), atol=1e-5)
        ranked = QwenReranker(model=nano_stack.reranking_model.model, base_url=url).rerank(
            QUESTION, ["No.", HOURS]
        )
        assert ranked[0]["index"] == 1
