"""Which ids documents get that are added to a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qwen_agentkit.errors import InputError
from qwen_agentkit.text.documents import chunk_ids, document_ids, point_id
from qwen_agentkit.vectorstores.backend import Backend

__all__ = ["check_unique", "make_ids", "point_ids"]


def point_ids(ids: Sequence[str]) -> list[str]:
    """Return the ids of the points of documents.

    Raises:
        InputError: They are no list, or one is not text.
    """
    if isinstance(ids, str):
        raise InputError(f"ids is the text {ids!r}; expected a list of ids. Write [{ids!r}].")
    if not isinstance(ids, Iterable):
        raise InputError(f"ids is {ids!r:.60}; expected a list of ids.")
    return [_point_id(id) for id in ids]


def _point_id(id: str) -> str:
    if not isinstance(id, str):
        raise InputError(f"The id {id!r:.60} is not text; expected text. Pass it through str().")
    try:
        return point_id(id)
    except UnicodeEncodeError as error:
        raise InputError(
            f"The id {id!r:.60} is not text: it holds half a character. Decode it again."
        ) from error


def make_ids(texts: Sequence[str], metadatas: Sequence[dict[str, Any]], backend: Backend) -> list[str]:
    """Return an id for each document, from its text and all its metadata.

    A document that is stored under an id of its source and text alone keeps it: earlier versions made such
    ids, and ingest does.
    """
    earlier = chunk_ids(texts, metadatas)
    stored = {hit.id: hit.document() for hit in backend.retrieve(earlier)}
    ids = document_ids(texts, metadatas)
    for number, (id, text, metadata) in enumerate(zip(earlier, texts, metadatas, strict=True)):
        found = stored.get(id)
        if found is not None and (found.page_content, found.metadata) == (text, metadata):
            ids[number] = id
    return ids


def check_unique(ids: Sequence[str]) -> None:
    """Refuse ids of which one document would replace another.

    Raises:
        InputError: Two are equal, or two spellings of one UUID.
    """
    seen: dict[str, str] = {}
    for id, point in zip(ids, point_ids(ids), strict=True):
        if point in seen:
            raise InputError(
                f"The ids {seen[point]!r} and {id!r} are the same; expected one id per document. Keep one of "
                "the documents, or give them different ids."
            )
        seen[point] = id
