"""The files of the page, read once. No request names a path: what is not in the table is not there."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["PageFile", "page_files", "page_routes"]

_TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "json": "application/json",
    "svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """A file of the page, as it is and compressed."""

    content: bytes
    compressed: bytes
    media_type: str
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """The files by their paths on the server."""
    found = dict(_read(files("qwen_agentkit.serve") / "page", "/page/"))
    found["/"] = found.pop("/page/index.html")
    return found


def page_routes() -> list[Route]:
    """A route for each file of the page."""
    return [Route(path, _send, methods=["GET"], include_in_schema=False) for path in page_files()]


def _read(folder: Traversable, path: str) -> Iterator[tuple[str, PageFile]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{path}{entry.name}/")
            continue
        ending = entry.name.rpartition(".")[2]
        if ending in _TYPES:
            content = entry.read_bytes()
            media_type = f"{_TYPES[ending]}; charset=utf-8"
            tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
            # Without a time in it, so that equal files are equal bytes.
            yield f"{path}{entry.name}", PageFile(content, gzip.compress(content, mtime=0), media_type, tag)


async def _send(request: Request) -> Response:
    file = page_files()[request.url.path]
    headers = {"etag": file.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        packed = {**headers, "content-encoding": "gzip"}
        return Response(file.compressed, media_type=file.media_type, headers=packed)
    return Response(file.content, media_type=file.media_type, headers=headers)
