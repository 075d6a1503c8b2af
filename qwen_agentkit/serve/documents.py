"""`/v1/search`, `/v1/documents` and `/v1/passages`: what the store holds, for those who may read it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.bodies import Body, JsonRoute, check_not_packed
from qwen_agentkit.serve.failures import not_found
from qwen_agentkit.serve.library import FoundPassage, StoredFile, UploadReport
from qwen_agentkit.serve.names import check_document_name
from qwen_agentkit.serve.passages import Passage
from qwen_agentkit.serve.service import Service, current_user, service_of
from qwen_agentkit.serve.watching import Watched

__all__ = ["router"]

router = APIRouter(route_class=JsonRoute)

_MOST_NEIGHBORS = 5

Parts = Annotated[Service, Depends(service_of)]
Reader = Annotated[User, Depends(current_user)]


class SearchBody(Body):
    """A search."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(max_length=20_000)
    limit: int = Field(default=5, ge=1, le=200)
    candidates: int = Field(default=20, ge=1, le=200)
    """Passages to find before reranking."""


@router.post("/v1/search")
async def search(body: SearchBody, service: Parts, user: Reader) -> dict[str, list[FoundPassage]]:
    """Find passages: dense and BM25 search, fused and reranked."""
    found = await asyncio.to_thread(
        service.library.search, user, body.query, candidates=body.candidates, limit=body.limit
    )
    return {"results": found}


class Documents(BaseModel):
    """The documents of the store, and the folders that it is kept in step with, if there are any."""

    documents: list[StoredFile]
    watched: Watched | None = None


@router.get("/v1/documents", response_model_exclude_unset=True)
async def list_documents(service: Parts, user: Reader) -> Documents:
    """The documents of the store."""
    found = Documents(documents=await asyncio.to_thread(service.library.files, user))
    if service.watcher is not None:
        found.watched = service.watcher.shown_to(user)
    return found


@router.put("/v1/documents/{name:path}")
async def upload_document(
    name: str, request: Request, service: Parts, user: Reader, group: str | None = None
) -> UploadReport:
    """Store a file, whose bytes are the body: `curl -T handbook.pdf http://127.0.0.1:8100/v1/documents/`."""
    check_document_name(name)  # before the bytes are received
    _check_plain(request)
    data = service.library.data
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data, prefix="receiving-") as folder:
        content = Path(folder, "content")
        with content.open("wb") as file:
            async for piece in request.stream():
                await asyncio.to_thread(file.write, piece)
        async with service.writing:
            return await asyncio.to_thread(service.library.upload, user, name, content, group)


@router.delete("/v1/documents/{id:path}")
async def remove_document(id: str, service: Parts, user: Reader) -> StoredFile:
    """Remove a document from the store, and its uploaded file."""
    async with service.writing:
        removed = await asyncio.to_thread(service.library.remove, user, id)
    if removed is None:
        raise not_found("document", id)
    return removed


@router.get("/v1/passages/{id}")
async def read_passage(
    id: str, service: Parts, user: Reader, around: Annotated[int, Query(ge=0, le=_MOST_NEIGHBORS)] = 0
) -> dict[str, Any]:
    """A passage, and those around it in its document."""
    passages: list[Passage] = await asyncio.to_thread(service.library.read_around, user, id, around)
    if not passages:
        raise not_found("passage", id)
    return {"id": id, "passages": [passage.model_dump() for passage in passages]}


def _check_plain(request: Request) -> None:
    """Refuse a body that holds more or less than the bytes of a file: they would be stored as the file."""
    check_not_packed(request)
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, "The body is a form; expected the bytes of the file. With curl: -T FILE")
    if "content-range" in request.headers:
        raise HTTPException(400, "The body is a part of a file (content-range). Send the whole file.")
