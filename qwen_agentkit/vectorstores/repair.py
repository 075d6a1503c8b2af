"""Finds what is wrong in an embedded store, and makes a sound one of what can be read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qwen_agentkit.errors import StoreError, StoreLockedError, StoreNotFoundError
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.sparse import sparse_document
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.edge_files import forget_closing, leftovers, read_closing
from qwen_agentkit.vectorstores.points import Point, find_problem
from qwen_agentkit.vectorstores.replacing import replace_shard

__all__ = ["StoreReport", "check_store", "repair_store"]


@dataclass
class StoreReport:
    """What was found, or done. A store without problems has no entries in the lists."""

    points: int = 0
    problems: list[dict[str, str]] = field(default_factory=list)
    """Ids and what is wrong with them; the id is empty for the store as a whole."""
    incomplete: list[str] = field(default_factory=list)
    """Sources that ingest has not finished; the next ingest does."""
    leftovers: list[str] = field(default_factory=list)
    """Folders that killed processes left behind."""

    def add(self, problem: str, id: str = "") -> None:
        """Note a problem."""
        self.problems.append({"id": id, "problem": problem})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-like dictionary."""
        return asdict(self)


def check_store(root: Path, collection: str = "documents") -> StoreReport:
    """Read every point of a store. Changes nothing.

    Raises:
        StoreNotFoundError: There is no store.
        StoreLockedError: Another process uses it.
    """
    folder = root.expanduser().resolve() / collection
    report = StoreReport(leftovers=[place.name for place in leftovers(folder)])
    try:
        backend = EdgeBackend.acquire(root, collection, create=False)
    except (StoreNotFoundError, StoreLockedError):
        raise
    except StoreError as error:
        report.add(str(error))
        return report
    try:
        for _ in _read_sound(backend, report):
            pass
    except StoreError as error:
        report.add(str(error))
    finally:
        backend.close()
    return report


def repair_store(root: Path, collection: str = "documents") -> StoreReport:
    """Write all sound points into a new shard that takes the place of the old one.

    The vectors of words are made again from the texts. Points that are not sound are left out and reported;
    ingest again to get their documents back.

    Raises:
        StoreNotFoundError: There is no store.
        StoreLockedError: Another process uses it.
        StoreError: It cannot be opened at all; the message says what to do.
    """
    folder = root.expanduser().resolve() / collection
    found = leftovers(folder)
    report = StoreReport(leftovers=[place.name for place in found])
    expected = _expected_points(folder)
    backend = _open_damaged(root, collection)
    try:
        layout, maker = backend.layout, backend.maker
        points = [_with_new_words(point) for point in _read_sound(backend, report)]
    finally:
        backend.close()
    if layout is None or maker is None:
        raise StoreNotFoundError(f"{str(root)!r} has no documents yet. There is nothing to repair.")
    report.points = replace_shard(folder, points, layout, maker)
    if expected is not None and expected > report.points:
        report.add(f"{expected - report.points} of {expected} passages were lost; ingest again")
    for place in found:
        shutil.rmtree(place, ignore_errors=True)
    return report


def _expected_points(folder: Path) -> int | None:
    try:
        closing = read_closing(folder)
    except ValueError:
        return None
    return closing and closing.points


def _open_damaged(root: Path, collection: str) -> EdgeBackend:
    """Open a store that is not as it was when it was closed."""
    try:
        return EdgeBackend.acquire(root, collection, create=False)
    except (StoreNotFoundError, StoreLockedError):
        raise
    except StoreError:
        forget_closing(root.expanduser().resolve() / collection)
        return EdgeBackend.acquire(root, collection, create=False)


def _read_sound(backend: EdgeBackend, report: StoreReport) -> Iterator[Point]:
    """Yield the points that are as they should be, and report the others."""
    chunks: dict[tuple[Any, ...], list[int]] = {}
    for point in backend.export():
        report.points += 1
        if problem := find_problem(point, backend.layout.dimensions if backend.layout else 0):
            report.add(problem, str(point.payload.get("id", point.id)))
            continue
        metadata = point.payload["metadata"]
        if {"source", "document_hash", "chunk_count"} <= metadata.keys():
            key = (point.payload.get("tenant"), metadata["source"], metadata["document_hash"])
            count = chunks.setdefault(key, [0, metadata["chunk_count"]])
            count[0] += 1
        yield point
    wrong = {key[1] for key, (number, expected) in chunks.items() if number != expected}
    report.incomplete = sorted(map(str, wrong))


def _with_new_words(point: Point) -> Point:
    text, language = point.payload["page_content"], point.payload["metadata"].get("language")
    words = sparse_document(text, language if isinstance(language, str) else detect_language(text))
    return Point(point.id, point.dense, words, point.payload)
