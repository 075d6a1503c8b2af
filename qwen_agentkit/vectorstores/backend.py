"""What a back end of the store does, and which one a store opens.

`edge_backend` keeps points in a folder; `client_backend` asks a server, or keeps points in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from qwen_agentkit.errors import InputError, StoreError, StoreLockedError, StoreWriteError
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.points import Hit, Layout, Point, SparseVector

__all__ = ["Backend", "Collection", "open_backend"]


T = TypeVar("T")


class Backend(Protocol):
    """What a store needs of a collection. Layout and maker are None until the first write creates it."""

    @property
    def layout(self) -> Layout | None:
        """Its vectors."""

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection; None if other software made it."""

    def create(self, layout: Layout, maker: dict[str, Any]) -> None:
        """Create the collection unless it exists."""

    def atomically(self) -> AbstractContextManager[None]:
        """Let readers in other processes see all changes of a block, or none, if the back end can."""

    async def awaited(self, work: Callable[[], T]) -> T:
        """Call a function that uses this back end, without blocking the event loop."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; points of the same id are replaced."""

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point; its vectors stay."""

    def set_words(self, id: str, words: SparseVector) -> None:
        """Replace the BM25 vector of one point."""

    def languages(self, condition: Condition) -> list[str]:
        """Return the languages of the points that meet a condition, the most frequent first."""

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids are ignored."""

    def delete_matching(self, condition: Condition) -> None:
        """Delete the points that meet a condition."""

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        condition: Condition,
        with_vectors: bool = False,
        corpus: Condition = EVERYTHING,
    ) -> list[Hit]:
        """Return the nearest points, best first: by cosine for a dense query, by BM25 for a sparse one.

        BM25 counts words in the points that meet `corpus`.
        """

    def scroll(self, condition: Condition) -> Iterator[Hit]:
        """Yield every point that meets a condition."""

    def count(self, condition: Condition) -> int:
        """Count the points that meet a condition."""

    def close(self) -> None:
        """Release files and connections."""


class Collection(Backend, Protocol):
    """A collection with the points of all tenants."""

    @property
    def has_tenants(self) -> bool:
        """Whether points may belong to tenants."""

    def index_tenants(self) -> None:
        """Prepare the collection for tenants."""

    def export(self) -> Iterator[Point]:
        """Yield every point of the collection with its vectors, in the order of their ids."""


def open_backend(
    path: str | os.PathLike[str] | None,
    url: str | None,
    api_key: str | None,
    collection: str,
    *,
    create: bool,
) -> Collection:
    """Open a collection. Arguments and errors are those of `QwenVectorStore`."""
    if (path is None) == (url is None):
        raise InputError(f"Got path={path!r} and url={url!r}; expected exactly one. Write path='store'.")
    if path is not None and path != ":memory:":
        return _open_folder(path, collection, create=create)
    # Imported here because it takes over a second, and the embedded store does not need it.
    from qwen_agentkit.vectorstores.client_backend import ClientBackend

    if url is None:
        return ClientBackend.memory(collection, create=create)
    return ClientBackend.server(url, api_key, collection, create=create)


def _open_folder(path: str | os.PathLike[str], collection: str, *, create: bool) -> Collection:
    """Open an embedded store, or a copy: for readers of one that is in use, for all of a read-only one."""
    try:
        return EdgeBackend.acquire(path, collection, create=create)
    except StoreLockedError as error:
        if create:
            raise
        reason: StoreError = error
    except StoreWriteError as error:
        reason = error
    from qwen_agentkit.vectorstores.edge_copy import CopyBackend

    return CopyBackend(Path(path).expanduser().resolve() / collection, reason)
