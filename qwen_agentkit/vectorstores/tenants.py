"""Tenants of one collection: a back end that shows one of them its own points, and nobody else's.

A tenant's point carries the name at the root of its payload, where no metadata can reach it, and the name is
part of the point's id, so that no tenant can replace another's point by choosing an id. Without a tenant, a
back end shows the points that belong to none.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

from qwen_agentkit.errors import InputError
from qwen_agentkit.vectorstores.backend import Collection
from qwen_agentkit.vectorstores.conditions import EVERYTHING, Condition, Exists, Match, Not, all_of
from qwen_agentkit.vectorstores.points import TENANT, Hit, Layout, Point, SparseVector

__all__ = ["TenantBackend", "check_tenant"]

T = TypeVar("T")

_NAMESPACE = uuid.UUID("f7a1c5de-3b0a-5c61-9d52-6a2f0b7e4c11")
_LONGEST = 200
_WILDCARDS = frozenset("*?%")
_NO_LETTERS = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
"""Control characters of every kind, and those that end a line or a paragraph."""
_PATH = (TENANT,)


def check_tenant(name: str) -> None:
    """Refuse a name that is empty, or that another system could read as several tenants.

    Raises:
        InputError: The name is empty, not text, longer than 200 characters, holds wildcards or control
            characters, begins or ends with white space, or has a second spelling in Unicode.
    """
    if (
        not isinstance(name, str)
        or not 1 <= len(name) <= _LONGEST
        or name != name.strip()
        or name != unicodedata.normalize("NFC", name)
        or any(letter in _WILDCARDS or unicodedata.category(letter) in _NO_LETTERS for letter in name)
    ):
        raise InputError(
            f"The tenant is {name!r}; expected a name of 1 to {_LONGEST} characters (in NFC) without "
            "wildcards, control characters and spaces around it. Write tenant='acme'."
        )


class TenantBackend:
    """A back end as one tenant sees it.

    Args:
        backend: The back end of the whole collection; it is closed with this one.
        tenant: The name; None for the points that belong to no tenant.
    """

    def __init__(self, backend: Collection, tenant: str | None) -> None:
        self.whole = backend
        self._tenant = tenant
        if tenant is not None:
            check_tenant(tenant)

    @property
    def layout(self) -> Layout | None:
        """The vectors of the collection."""
        return self.whole.layout

    @property
    def maker(self) -> dict[str, Any] | None:
        """The fingerprint of the embedder that made the collection."""
        return self.whole.maker

    def create(self, layout: Layout, maker: dict[str, Any]) -> None:
        """Create the collection unless it exists."""
        self.whole.create(layout, maker)

    def atomically(self) -> AbstractContextManager[None]:
        """Let readers in other processes see all changes of a block, or none."""
        return self.whole.atomically()

    async def awaited(self, work: Callable[[], T]) -> T:
        """Call a function that uses this back end, without blocking the event loop."""
        return await self.whole.awaited(work)

    def close(self) -> None:
        """Release files and connections."""
        self.whole.close()

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points; points of the same id are replaced."""
        if self._tenant is not None:
            self.whole.index_tenants()
            points = [replace(p, id=self._id(p.id), payload=self._payload(p.id, p.payload)) for p in points]
        else:
            self._check_mine([point.id for point in points])
        self.whole.upsert(points)

    def set_payload(self, id: str, payload: dict[str, Any]) -> None:
        """Replace the payload of one point; its vectors stay."""
        self._check_mine([id])
        self.whole.set_payload(self._id(id), self._payload(id, payload))

    def set_words(self, id: str, words: SparseVector) -> None:
        """Replace the BM25 vector of one point."""
        self._check_mine([id])
        self.whole.set_words(self._id(id), words)

    def languages(self, condition: Condition) -> list[str]:
        """Return the languages of the points that meet a condition, the most frequent first."""
        return self.whole.languages(all_of(self._space(), condition))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete points; unknown ids, and those of others, are ignored."""
        if self._tenant is None and self.whole.has_tenants:
            ids = [hit.id for hit in self.retrieve(ids)]
        self.whole.delete([self._id(id) for id in ids])

    def delete_matching(self, condition: Condition) -> None:
        """Delete the points that meet a condition."""
        self.whole.delete_matching(all_of(self._space(), condition))

    def retrieve(self, ids: Sequence[str]) -> list[Hit]:
        """Return the points that exist, in the order of the ids."""
        given = {self._id(id): id for id in ids}
        found = self.whole.retrieve(list(given))
        return [replace(hit, id=given[hit.id]) for hit in found if hit.payload.get(TENANT) == self._tenant]

    def search(
        self,
        query: list[float] | SparseVector,
        limit: int,
        condition: Condition,
        with_vectors: bool = False,
        corpus: Condition = EVERYTHING,
    ) -> list[Hit]:
        """Return the nearest points, best first. A tenant's word statistics are those of its own points."""
        space = self._space()
        if self._tenant is not None:
            corpus = all_of(space, corpus)
        return self.whole.search(query, limit, all_of(space, condition), with_vectors, corpus)

    def scroll(self, condition: Condition) -> Iterator[Hit]:
        """Yield every point that meets a condition."""
        return self.whole.scroll(all_of(self._space(), condition))

    def count(self, condition: Condition) -> int:
        """Count the points that meet a condition."""
        return self.whole.count(all_of(self._space(), condition))

    def _space(self) -> Condition:
        if self._tenant is not None:
            return Match(_PATH, (self._tenant,))
        return Not(Exists(_PATH)) if self.whole.has_tenants else EVERYTHING

    def _id(self, id: str) -> str:
        return id if self._tenant is None else str(uuid.uuid5(_NAMESPACE, f"{self._tenant}\n{id}"))

    def _payload(self, id: str, payload: dict[str, Any]) -> dict[str, Any]:
        return payload if self._tenant is None else {"id": id, **payload, TENANT: self._tenant}

    def _check_mine(self, ids: Sequence[str]) -> None:
        """Refuse ids of tenants' points, which no one else can own."""
        if self._tenant is None and self.whole.has_tenants:
            for hit in self.whole.retrieve(ids):
                if TENANT in hit.payload:
                    raise InputError(
                        f"The id {hit.id!r} belongs to a tenant's document; expected another id. Open the "
                        "store with tenant=..., or let the store make the ids."
                    )
