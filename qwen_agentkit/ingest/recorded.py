"""Any LangChain vector store as a target of ingest: a record manager remembers what it holds.

LangChain's vector stores cannot list their documents, and its record managers keep keys. So a key holds what
ingest has to know of a chunk, as JSON::

    ["stored", id, source, document_hash, chunk_count, place]
    ["pending", id, ...]     while the chunk is being added or deleted

A chunk that was pending when a run was killed may be in the store or not: the next run deletes it first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import RecordManager
from langchain_core.vectorstores import VectorStore

__all__ = ["RecordedStore"]


class RecordedStore:
    """What ingest asks of a store, by `add_documents` and `delete` alone.

    Args:
        store: Any vector store that takes ids.
        records: What remembers its chunks, for this store alone.
    """

    def __init__(self, store: VectorStore, records: RecordManager) -> None:
        self._store = store
        self._records = records
        records.create_schema()
        self._keys: dict[str, set[str]] = {}
        for key in records.list_keys():
            self._keys.setdefault(_read(key).id, set()).add(key)
        self.delete([_read(key).id for key in records.list_keys() if _read(key).state == "pending"])

    @property
    def embeddings(self) -> Embeddings | None:
        """The embedder of the store, if it says so."""
        return self._store.embeddings

    def languages(self) -> list[str]:
        """Return nothing: the languages are not recorded."""
        return []

    def scroll(self) -> Iterator[Document]:
        """Yield what is recorded of each chunk, without its text."""
        for id, [key] in self._keys.items():
            _, _, *values = _read(key)
            metadata = zip(_Record._fields[2:], values, strict=True)
            yield Document("", id=id, metadata={name: value for name, value in metadata if value is not None})

    def atomically(self) -> AbstractContextManager[None]:
        """Do nothing: other stores have no such blocks."""
        return nullcontext()

    def add_documents(self, documents: Sequence[Document]) -> None:
        """Add chunks; those that are there are deleted first."""
        documents, ids = list(documents), [document.id or "" for document in documents]
        if not documents:
            return
        old = {id: self._keys.get(id, set()) for id in ids}
        stored = [_make(document).key() for document in documents]
        pending = [_as_pending(key) for key in stored]
        sources = [document.metadata["source"] for document in documents]
        self._records.update(pending, group_ids=sources)
        if known := [id for id in ids if old[id]]:
            self._store.delete(known)
        self._store.add_documents(documents, ids=ids)
        self._records.update(stored, group_ids=sources)
        self._records.delete_keys([*pending, *set().union(*old.values()).difference(stored)])
        self._keys.update((id, {key}) for id, key in zip(ids, stored, strict=True))

    def update_metadata(self, documents: Iterable[Document]) -> None:
        """Add chunks again with other metadata, which embeds them again."""
        self.add_documents(list(documents))

    def delete(self, ids: Sequence[str] = (), *, filter: dict[str, str] | None = None) -> None:
        """Delete chunks by id, or all of one source."""
        if filter:
            ids = [chunk.id or "" for chunk in self.scroll() if chunk.metadata["source"] == filter["source"]]
        if ids:
            old = {key for id in ids for key in self._keys.get(id, ())}
            pending = [_as_pending(key) for key in old]
            self._records.update(pending, group_ids=[_read(key).source for key in old])
            self._store.delete(list(ids))
            self._records.delete_keys([*pending, *old])
            for id in ids:
                self._keys.pop(id, None)


class _Record(NamedTuple):
    """What a key holds."""

    state: Literal["stored", "pending"]
    id: str
    source: str
    document_hash: str
    chunk_count: int
    place: str | None

    def key(self) -> str:
        return json.dumps(self, ensure_ascii=False)


def _make(chunk: Document) -> _Record:
    kept = chunk.metadata
    count, place = kept["chunk_count"], kept.get("place")
    return _Record("stored", chunk.id or "", kept["source"], kept["document_hash"], count, place)


def _read(key: str) -> _Record:
    return _Record(*json.loads(key))


def _as_pending(key: str) -> str:
    return _read(key)._replace(state="pending").key()
