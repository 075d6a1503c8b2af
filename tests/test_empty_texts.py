"""Empty texts: a server that embeds none is no riddle, since the error says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from qwen_agentkit import QwenEmbeddings
from qwen_agentkit.errors import ServerAnswerError, ServerRefusedError
from tests.fakes.server import URL, Serve

EMBED = "/v1/embeddings"


def vectors(body: dict[str, Any]) -> dict[str, Any]:
    rows = [[0.0, 0.0] if text == "" else [1.0, 0.0] for text in body["input"]]
    return {"data": [{"index": place, "embedding": row} for place, row in enumerate(rows)]}


def refuse(body: dict[str, Any]) -> Any:
    if "" in body["input"]:
        return httpx.Response(400, json={"error": {"message": "Input content cannot be empty"}})
    return vectors(body)


@pytest.mark.parametrize(("reply", "kind"), [(refuse, ServerRefusedError), (vectors, ServerAnswerError)])
def test_the_error_speaks_of_the_empty_text(serve: Serve, reply: Any, kind: type[Exception]) -> None:
    serve({EMBED: reply}, owner="llamacpp", model="embedder")
    embeddings = QwenEmbeddings(model="embedder", base_url=URL)
    with pytest.raises(kind, match=r"One of the texts is empty.*Leave it out"):
        embeddings.embed_documents([*["a"] * 65, "", "b"])


def test_an_error_without_an_empty_text_stays_as_it_is(serve: Serve) -> None:
    serve({EMBED: httpx.Response(400, json={"error": {"message": "no"}})}, owner="vllm", model="embedder")
    with pytest.raises(ServerRefusedError) as error:
        QwenEmbeddings(model="embedder", base_url=URL).embed_documents(["a", "b"])
    assert "empty" not in str(error.value)
