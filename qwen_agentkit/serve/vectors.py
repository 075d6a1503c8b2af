"""`/v1/models`, `/v1/embeddings` and `/v1/rerank`: the store's own models for other programs.

Formats: https://platform.openai.com/docs/api-reference/embeddings, and https://api.jina.ai/docs for rerank.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Response
from numpy.typing import NDArray
from pydantic import Field

from qwen_agentkit.errors import InputError
from qwen_agentkit.serve.bodies import JsonRoute, OpenBody, name_ignored
from qwen_agentkit.serve.failures import not_found
from qwen_agentkit.serve.running import GRAPHS
from qwen_agentkit.serve.service import Service, service_of
from qwen_agentkit.serve.texts import check_visible

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute)

_MOST_TEXTS = 2048


class EmbeddingsBody(OpenBody):
    """A request for vectors. Other fields are answered with their names in `x-ignored-fields`."""

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    input_type: Literal["document", "query"] = "document"
    """A query is read with the instruction of the checkpoint."""


class RerankBody(OpenBody):
    """A request for scores. Other fields are answered with their names in `x-ignored-fields`."""

    model: str
    query: str
    documents: list[str | dict[str, Any]] = Field(max_length=_MOST_TEXTS)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False


@router.get("/v1/models")
async def list_models(service: Annotated[Service, Depends(service_of)]) -> dict[str, Any]:
    """The graphs that answer, the embedder and the reranker."""
    stack = service.library.models.stack
    names = [*GRAPHS, stack.embeddings.model, stack.reranking_model.model]
    return {"object": "list", "data": [_describe(name) for name in names]}


@router.get("/v1/models/{name:path}")
async def show_model(name: str, service: Annotated[Service, Depends(service_of)]) -> dict[str, Any]:
    """One of the models."""
    stack = service.library.models.stack
    if name not in (*GRAPHS, stack.embeddings.model, stack.reranking_model.model):
        raise not_found("model", name, "GET /v1/models lists those that there are.")
    return _describe(name)


@router.post("/v1/embeddings")
async def embed(
    body: EmbeddingsBody, service: Annotated[Service, Depends(service_of)], response: Response
) -> dict[str, Any]:
    """Vectors of texts, each of length one."""
    response.headers.update(name_ignored(body.unknown))
    texts = _read_texts(body.input)
    known = service.library.models.stack.embeddings.model
    if body.model != known:
        raise not_found("embedding model", body.model, f"Expected {known!r}.")
    vectors, tokens = await asyncio.to_thread(_embed, service, body, texts)
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(vector, body.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": usage}


@router.post("/v1/rerank")
async def rerank(
    body: RerankBody, service: Annotated[Service, Depends(service_of)], response: Response
) -> dict[str, Any]:
    """Scores of documents for a query, 0 to 1, best first."""
    response.headers.update(name_ignored(body.unknown))
    known = service.library.models.stack.reranking_model.model
    if body.model != known:
        raise not_found("reranker", body.model, f"Expected {known!r}.")
    check_visible(body.query, "The query")
    texts = [_read_document(document) for document in body.documents]
    ranked = await asyncio.to_thread(_rank, service, body.query, texts)
    results = [
        {**rank, **({"document": {"text": texts[rank["index"]]}} if body.return_documents else {})}
        for rank in ranked[: body.top_n]
    ]
    return {"model": body.model, "results": results}


def _read_texts(given: str | Sequence[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    if not texts or len(texts) > _MOST_TEXTS:
        raise InputError(
            f"The input holds {len(texts)} texts; expected 1 to {_MOST_TEXTS}. Send several requests."
        )
    if not all(isinstance(text, str) for text in texts):
        raise InputError(
            "The input holds token ids of another tokenizer; expected texts. With LangChain's "
            "OpenAIEmbeddings: check_embedding_ctx_length=False."
        )
    return [check_visible(text, f"Text {index} of the input") for index, text in enumerate(texts)]


def _read_document(document: str | dict[str, Any]) -> str:
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise InputError('A document has no text; expected texts, or objects with a "text".')
    return text


def _embed(service: Service, body: EmbeddingsBody, texts: list[str]) -> tuple[NDArray[np.float32], int]:
    with service.library.in_use() as models:
        service.library.load(models, "embedding")
        embeddings = models.stack.embeddings
        # A text that is cut would be a vector of something else, and no client sees a warning.
        changes = {"truncate": False, **({"dimensions": body.dimensions} if body.dimensions else {})}
        embeddings = embeddings.model_copy(update=changes)
        if body.input_type == "query":
            vectors = np.array([embeddings.embed_query(text) for text in texts], dtype=np.float32)
        else:
            vectors = embeddings.embed_array(texts)
        return vectors, sum(embeddings.count_tokens(texts))


def _rank(service: Service, query: str, texts: list[str]) -> list[Any]:
    with service.library.in_use() as models:
        service.library.load(models, "reranker")
        return list(models.stack.reranking_model.model_copy(update={"truncate": False}).rerank(query, texts))


def _encode(vector: NDArray[np.float32], form: str) -> str | list[float]:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers


def _describe(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _started(), "owned_by": "qwen-agentkit"}


@cache
def _started() -> int:
    return int(time.time())
