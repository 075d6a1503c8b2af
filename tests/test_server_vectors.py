"""`QwenEmbeddings` and `QwenReranker` with `base_url`: routes, order, prompts, what is done here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from langchain_core.documents import Document
from pydantic import ValidationError

from qwen_agentkit.cli.doctor import check_server
from qwen_agentkit.embeddings import QwenEmbeddings
from qwen_agentkit.errors import (
    InputError,
    InputTooLongError,
    ServerAnswerError,
    ServerBusyError,
    ServerModelError,
    ServerUnsupportedError,
)
from qwen_agentkit.prompts import RERANK_PREFIX, RERANK_SUFFIX
from qwen_agentkit.rerankers import QwenReranker
from tests.fakes.server import URL, FakeServer, Serve, delta, sse, usage

EMBED = "/v1/embeddings"
EMBEDDER, RANKER = "Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Reranker-0.6B"

Body = dict[str, Any]


def vector(text: str) -> list[float]:
    """Eight numbers of a text, not of length one."""
    return np.random.default_rng(list(text.encode())).normal(size=8).astype(np.float32).tolist()


def vectors(body: Body) -> Body:
    """Answer as OpenAI does, in any order, as numbers or bytes."""
    rows: list[Body] = []
    for index, text in enumerate(body["input"]):
        numbers: Any = vector(text)
        if body["encoding_format"] == "base64":
            numbers = base64.b64encode(np.array(numbers, dtype="<f4").tobytes()).decode()
        rows.append({"object": "embedding", "index": index, "embedding": numbers})
    return {"object": "list", "data": rows[::-1], "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def embeddings(**settings: Any) -> QwenEmbeddings:
    return QwenEmbeddings(model=EMBEDDER, base_url=URL, **settings)


def unit(numbers: list[float]) -> np.ndarray:
    array = np.array(numbers, dtype=np.float32)
    return array / np.linalg.norm(array)


@pytest.mark.parametrize("owner", ["vllm", "somebody"])
def test_documents_are_plain_and_queries_instructed(serve: Serve, owner: str) -> None:
    server = serve({EMBED: vectors}, owner=owner, model=EMBEDDER)
    found = embeddings(instruction="Find it").embed_query("When?")
    rows = embeddings().embed_array(["b", "a", "b"])
    asked = [body["input"] for body in server.bodies(EMBED)]
    assert ["Instruct: Find it\nQuery:When?"] in asked
    assert ["b", "a"] in asked
    np.testing.assert_allclose(found, unit(vector("Instruct: Find it\nQuery:When?")), atol=1e-6)
    np.testing.assert_allclose(rows, [unit(vector(text)) for text in "bab"], atol=1e-6)


def test_smaller_dimensions_are_cut_here(serve: Serve) -> None:
    server = serve({EMBED: vectors}, model=EMBEDDER)
    row = embeddings(dimensions=4).embed_array(["a"])[0]
    np.testing.assert_allclose(row, unit(vector("a")[:4]), atol=1e-6)
    assert all("dimensions" not in body for body in server.bodies(EMBED))
    with pytest.raises(InputError, match="more than the 8"):
        embeddings(dimensions=9).embed_array(["a"])


def test_many_texts_are_sent_in_batches_and_come_back_in_order(serve: Serve) -> None:
    server = serve({EMBED: vectors}, model=EMBEDDER)
    texts = [f"text {number}" for number in range(150)]
    rows = embeddings().embed_array(texts)
    np.testing.assert_allclose(rows, [unit(vector(text)) for text in texts], atol=1e-6)
    assert sorted(len(body["input"]) for body in server.bodies(EMBED)) == [1, 22, 32, 32, 32, 32]


def test_the_cache_answers_for_the_server(serve: Serve, tmp_path: Path) -> None:
    server = serve({EMBED: vectors}, model=EMBEDDER)
    first = embeddings(cache=tmp_path).embed_array(["a", "b"])
    asked = len(server.bodies(EMBED))
    again = embeddings(cache=tmp_path).embed_array(["b", "a"])
    np.testing.assert_array_equal(first, again[::-1])
    assert [body["input"] for body in server.bodies(EMBED)[asked:]] == [["dimensions"]]


def test_the_cache_tells_checkpoints_of_one_name_apart(serve: Serve, tmp_path: Path) -> None:
    server = serve({EMBED: vectors}, model=EMBEDDER)
    embeddings(cache=tmp_path).embed_array(["a"])
    server.routes["/v1/models"]["data"][0]["root"] = "finetuned"
    server.routes[EMBED] = lambda body: vectors({**body, "input": [f"{text}!" for text in body["input"]]})
    row = embeddings(cache=tmp_path).embed_array(["a"])[0]
    np.testing.assert_allclose(row, unit(vector("a!")), atol=1e-3)


def test_a_busy_server_is_not_guessed_at(serve: Serve) -> None:
    busy = httpx.Response(429, headers={"retry-after": "0"})
    server = serve({EMBED: vectors}, model=EMBEDDER)
    row = {**server.routes["/v1/models"]["data"][0], "root": "finetuned"}
    server.routes["/v1/models"] = [busy, {"data": [row]}]
    assert embeddings().fingerprint["revision"] == "server: finetuned, 8"
    server.routes["/v1/models"] = busy
    with pytest.raises(ServerBusyError):
        embeddings().embed_array(["a"])


def test_a_store_remembers_the_model_and_a_revision_given(serve: Serve) -> None:
    server = serve({EMBED: vectors}, model=EMBEDDER)
    made = {"model": EMBEDDER, "revision": f"server: {EMBEDDER}, 8"}
    assert embeddings().fingerprint == {**made, "dimensions": 8}
    assert embeddings(dimensions=4).fingerprint == {**made, "dimensions": 4}
    server.routes["/v1/models"]["data"][0]["root"] = "Qwen/Qwen3-Embedding-8B"
    assert embeddings().fingerprint["revision"] == "server: Qwen/Qwen3-Embedding-8B, 8"
    assert embeddings(revision="abc").fingerprint["revision"] == "abc"


def row(index: int, numbers: Any) -> Body:
    return {"index": index, "embedding": numbers}


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [row(0, [1.0])]},
        {"data": [row(0, [1.0]), row(0, [2.0])]},
        {"data": [row(0, [1.0, 2.0]), row(1, [2.0])]},
        {"data": [row(0, [0.0]), row(1, [2.0])]},
        {"data": [row(0, "!"), row(1, "!")]},
        {"vectors": []},
        [],
    ],
    ids=str,
)
def test_vectors_that_are_none_are_refused(serve: Serve, answer: Any) -> None:
    serve({EMBED: [{"data": [row(0, [1.0])]}, answer]}, model=EMBEDDER)
    with pytest.raises(ServerAnswerError, match="an embedding model there"):
        embeddings().embed_array(["a", "b"])


def test_what_embedding_servers_refuse_is_said(serve: Serve) -> None:
    long = httpx.Response(400, json={"error": {"message": "maximum context length is 8192 tokens"}})
    serve({EMBED: [{"data": [row(0, [1.0])]}, long]}, model=EMBEDDER)
    with pytest.raises(InputTooLongError, match="8192"):
        embeddings().embed_query("a")
    serve({EMBED: vectors}, model="bge-m3")
    with pytest.raises(ServerModelError, match="bge-m3"):
        embeddings().embed_query("a")
    with pytest.raises(ServerUnsupportedError, match="count_tokens"):
        embeddings().count_tokens(["a"])


@pytest.mark.parametrize("setting", [{"device": "cpu"}, {"max_length": 100}, {"truncate": True}])
@pytest.mark.parametrize("kind", [QwenEmbeddings, QwenReranker])
def test_settings_of_weights_are_refused(kind: Callable[..., Any], setting: Body) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        kind(base_url=URL, **setting)


# Reranking


def relevance(query: str, text: str) -> float:
    """Share of the query's words that the text has; nonsense if it is not asked as it was trained."""
    if not query.startswith(RERANK_PREFIX):
        return 0.5
    assert text.endswith(RERANK_SUFFIX)
    return shared(query.partition("<Query>: ")[2].partition("\n")[0], text)


def shared(query: str, text: str) -> float:
    words = set(query.lower().strip("?").split())
    return len(words & set(text.lower().strip(".").split())) / len(words)


def reranked(score: Callable[[str, str], float]) -> Callable[[Body], Body]:
    def answer(body: Body) -> Body:
        scores = [score(body["query"], text) for text in body["documents"]]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        return {"results": [{"index": index, "relevance_score": scores[index]} for index in order]}

    return answer


TEXTS = ["Bananas are yellow.", "the library opens at nine.", "the boat leaves."]
SCORES = [0.0, 0.75, 0.25]
QUERY = "when the library opens?"
ROUTES: dict[str, tuple[str | None, dict[str, Any]]] = {
    "vllm, with a score template": ("vllm", {"/v1/rerank": reranked(shared)}),
    "vllm, without one": ("vllm", {"/v1/rerank": reranked(relevance)}),
    "vllm, behind a gateway": ("gateway", {"/v1/rerank": reranked(relevance)}),
    "llama.cpp": ("llamacpp", {"/v1/rerank": reranked(shared)}),
    "sglang, a bare list": (
        "sglang",
        {
            "/v1/rerank": lambda body: [
                {"score": shared(body["query"], text), "document": text, "index": index}
                for index, text in enumerate(body["documents"])
            ]
        },
    ),
    "an older vllm": (
        "vllm",
        {
            "/score": lambda body: {
                "data": [
                    {"index": index, "object": "score", "score": relevance(body["text_1"], text)}
                    for index, text in enumerate(body["text_2"])
                ]
            }
        },
    ),
    "text embeddings inference": (
        None,
        {
            "/v1/models": httpx.Response(404),
            "/rerank": lambda body: [
                {"index": index, "score": shared(body["query"], text)}
                for index, text in enumerate(body["texts"])
            ],
        },
    ),
}


def reranker(**settings: Any) -> QwenReranker:
    return QwenReranker(model=RANKER, base_url=URL, **settings)


@pytest.mark.parametrize(("owner", "routes"), ROUTES.values(), ids=ROUTES)
def test_every_route_gives_scores_in_our_order(serve: Serve, owner: str | None, routes: Body) -> None:
    serve(routes, owner=owner, model=RANKER)
    model = reranker(min_score=0.2)
    assert model.score([(QUERY, text) for text in TEXTS]) == SCORES
    best = model.compress_documents([Document(text) for text in TEXTS], QUERY)
    assert [document.metadata["relevance_score"] for document in best] == [0.75, 0.25]


def test_the_route_is_found_once_and_a_query_goes_ahead(serve: Serve) -> None:
    server = serve(ROUTES["vllm, without one"][1], model=RANKER)
    model = reranker()
    model.score([(QUERY, text) for text in TEXTS])
    asked = len(server.asked)
    model.score([("another?", f"text {number}") for number in range(70)])
    sizes = [len(body["documents"]) for _, body in server.asked[asked:]]
    assert sizes[0] == 1
    assert sorted(sizes[1:]) == [5, 32, 32]


def test_an_instruction_reaches_the_prompt_or_is_refused(serve: Serve) -> None:
    server = serve(ROUTES["vllm, without one"][1], model=RANKER)
    reranker(instruction="Find hours").score([(QUERY, TEXTS[0])])
    assert "<Instruct>: Find hours\n" in server.asked[-1][1]["query"]
    server = serve(ROUTES["sglang, a bare list"][1], owner="sglang", model=RANKER)
    reranker(instruction="Find hours").score([(QUERY, TEXTS[0])])
    assert server.asked[-1][1]["instruct"] == "Find hours"
    server = serve(ROUTES["vllm, without one"][1], model=RANKER)
    reranker(instruction="Find\ud800").score([(QUERY, TEXTS[0])])
    assert "<Instruct>: Find\ufffd\n" in server.asked[-1][1]["query"]
    serve(ROUTES["llama.cpp"][1], owner="llamacpp", model=RANKER)
    with pytest.raises(ServerUnsupportedError, match="Find hours"):
        reranker(instruction="Find hours").score([(QUERY, TEXTS[0])])


def results(*scores: float) -> Body:
    return {"results": [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]}


@pytest.mark.parametrize("answer", [results(7.5), results(), results(0.1, 0.2), {"scores": [0.1]}, [], "no"])
def test_scores_that_are_none_are_refused(serve: Serve, answer: Any) -> None:
    serve({"/v1/rerank": [results(0.5), httpx.Response(200, json=answer)]}, owner="llamacpp", model=RANKER)
    with pytest.raises(ServerAnswerError):
        reranker().score([(QUERY, TEXTS[0])])


def test_doctor_says_what_a_server_can_do(serve: Serve) -> None:
    serve({EMBED: vectors}, model=EMBEDDER)
    found = check_server(URL, None, None)
    assert found["server"] == "vllm"
    assert found["models"] == [{"name": EMBEDDER, "context": "not said"}]
    assert found["embeddings"] == "yes, 8 dimensions"
    assert found["chat"].startswith("no: http://server.test/v1/chat/completions answered 404")
    assert found["use"] == f"QwenEmbeddings(model={EMBEDDER!r}, base_url={URL!r})"
    stream = [delta(reasoning="Hm."), delta("stop", content="Nine"), usage()]
    serve({"/v1/chat/completions": sse(stream)}, owner="llamacpp", model="qwen3-8b.gguf")
    found = check_server(URL, "qwen3-8b.gguf", None)
    abilities = ("chat", "thoughts", "tools", "thinking budget")
    assert [found[name] for name in abilities] == [
        "yes",
        "yes",
        "none in one answer",
        "thinking_budget_tokens",
    ]
    serve({"/v1/models": httpx.Response(404)})
    with pytest.raises(InputError, match="--model"):
        check_server(URL, None, None)


def test_a_server_that_ranks_nothing_is_refused(serve: Serve) -> None:
    server: FakeServer = serve({}, model=RANKER)
    with pytest.raises(ServerUnsupportedError, match="/v1/rerank, /score and /rerank"):
        reranker().score([(QUERY, TEXTS[0])])
    assert [path for path, _ in server.asked] == ["/v1/models", "/v1/rerank", "/score", "/rerank"]
