"""A Qdrant server as far as the store asks one: its REST routes over qdrant-client's memory mode."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

from qwen_agentkit.vectorstores import awaiting, client_backend

__all__ = ["FakeQdrant"]


class FakeQdrant:
    """Answers requests, and notes the path of each. `awaited` counts those that came without a thread.

    Args:
        monkeypatch: Leads the clients of the store here.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = QdrantClient(":memory:")
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.awaited = 0
        self.most_at_once = self._at_once = 0
        self.seconds = 0.0
        """How long an awaited answer takes."""
        blocking = httpx.MockTransport(self._answer)
        monkeypatch.setattr(client_backend, "QdrantClient", partial(QdrantClient, transport=blocking))
        native = partial(httpx.AsyncClient, transport=httpx.MockTransport(self._answer_later))
        monkeypatch.setattr(awaiting.httpx, "AsyncClient", native)

    async def _answer_later(self, request: httpx.Request) -> httpx.Response:
        self.awaited += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(self.seconds)
            return self._answer(request)
        finally:
            self._at_once -= 1

    def _answer(self, request: httpx.Request) -> httpx.Response:
        _, _, name, *rest = request.url.path.split("/")
        route = "/".join(rest)
        body = json.loads(request.content or "{}")
        self.paths.append(f"{request.method} {route}")
        self.bodies.append(body)
        answer = getattr(self, "_" + (route.replace("/", "_") or "collection") + f"_{request.method.lower()}")
        result = TypeAdapter(Any).dump_python(answer(name, body), mode="json")
        return httpx.Response(200, json={"result": result, "status": "ok", "time": 0})

    def _exists_get(self, name: str, body: Any) -> Any:
        return {"exists": self.client.collection_exists(name)}

    def _collection_put(self, name: str, body: Any) -> Any:
        wanted = models.CreateCollection(**body)
        return self.client.create_collection(
            name,
            vectors_config=wanted.vectors,
            sparse_vectors_config=wanted.sparse_vectors,
            quantization_config=wanted.quantization_config,
            metadata=wanted.metadata,
        )

    def _collection_get(self, name: str, body: Any) -> Any:
        return self.client.get_collection(name)

    def _index_put(self, name: str, body: Any) -> Any:
        return {"operation_id": 0, "status": "completed"}

    def _points_put(self, name: str, body: Any) -> Any:
        return self.client.upsert(name, [models.PointStruct(**point) for point in body["points"]])

    def _points_post(self, name: str, body: Any) -> Any:
        return self.client.retrieve(name, body["ids"])

    def _points_payload_put(self, name: str, body: Any) -> Any:
        return self.client.overwrite_payload(name, body["payload"], points=body["points"])

    def _points_vectors_put(self, name: str, body: Any) -> Any:
        return self.client.update_vectors(name, [models.PointVectors(**point) for point in body["points"]])

    def _points_delete_post(self, name: str, body: Any) -> Any:
        return self.client.delete(name, TypeAdapter(models.PointsSelector).validate_python(body))

    def _points_query_post(self, name: str, body: Any) -> Any:
        wanted = models.QueryRequest(**body)
        return self.client.query_points(
            name,
            query=wanted.query,
            prefetch=wanted.prefetch,
            using=wanted.using,
            limit=wanted.limit,
            query_filter=wanted.filter,
            search_params=wanted.params,
            with_payload=wanted.with_payload,
            with_vectors=wanted.with_vector,
        )

    def _points_scroll_post(self, name: str, body: Any) -> Any:
        wanted = models.ScrollRequest(**body)
        points, offset = self.client.scroll(
            name,
            wanted.filter,
            limit=wanted.limit,
            offset=wanted.offset,
            with_payload=wanted.with_payload,
            with_vectors=wanted.with_vector,
        )
        return {"points": points, "next_page_offset": offset}

    def _points_count_post(self, name: str, body: Any) -> Any:
        return self.client.count(name, models.CountRequest(**body).filter)

    def _facet_post(self, name: str, body: Any) -> Any:
        wanted = models.FacetRequest(**body)
        return self.client.facet(name, wanted.key, wanted.filter, limit=wanted.limit)
