"""A store as a whole: measured, backed up, restored, checked, repaired, copied. Loads no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwen_agentkit.cli.documents import COLLECTION
from qwen_agentkit.cli.options import choose_preset
from qwen_agentkit.vectorstores.archive import copy_points, make_backup, restore_backup
from qwen_agentkit.vectorstores.backend import Collection, open_backend
from qwen_agentkit.vectorstores.conditions import EVERYTHING
from qwen_agentkit.vectorstores.points import TENANT
from qwen_agentkit.vectorstores.repair import StoreReport, check_store, repair_store

__all__ = ["back_up", "check", "copy_to", "measure", "repair", "restore"]


def measure(folder: Path) -> dict[str, Any]:
    """Return the numbers of documents, passages and tenants, languages, models, and bytes on disk."""
    languages: Counter[str] = Counter()
    sources, tenants, passages = set(), set(), 0
    with _opened(folder) as backend:
        for hit in backend.scroll(EVERYTHING):
            metadata, tenant = hit.payload.get("metadata") or {}, hit.payload.get(TENANT)
            passages += 1
            languages[str(metadata.get("language") or "unknown")] += 1
            sources.add((tenant, str(metadata.get("source") or hit.id)))
            tenants |= {tenant} if tenant else set()
        maker, layout = backend.maker or {}, backend.layout
    place = folder.expanduser() / COLLECTION
    return {
        "store": str(folder),
        "documents": len(sources),
        "passages": passages,
        "tenants": len(tenants),
        "languages": dict(languages.most_common()),
        "model": maker.get("model"),
        "revision": maker.get("revision"),
        "dimensions": maker.get("dimensions"),
        "quantization": layout and layout.quantization,
        "preset": choose_preset(None, folder),
        "bytes": sum(_size(file) for file in place.rglob("*") if file.is_file()),
    }


def _size(file: Path) -> int:
    """Return what a file takes, which is less than its length: qdrant-edge reserves space."""
    found = file.stat()
    blocks: int | None = getattr(found, "st_blocks", None)  # Windows does not tell
    return found.st_size if blocks is None else blocks * 512


def back_up(folder: Path, file: Path) -> int:
    """Write a backup, and return its number of passages."""
    with _opened(folder) as backend:
        return make_backup(backend, file, COLLECTION)


def restore(file: Path, folder: Path, *, replace: bool = False) -> int:
    """Make a store from a backup, and return its number of passages."""
    return restore_backup(file, folder, COLLECTION, replace=replace)


def check(folder: Path) -> StoreReport:
    """Report what is wrong in a store."""
    return check_store(folder, COLLECTION)


def repair(folder: Path) -> StoreReport:
    """Make a sound store of what can be read."""
    return repair_store(folder, COLLECTION)


def copy_to(folder: Path, url: str, collection: str, api_key: str | None) -> dict[str, int]:
    """Copy a store to a server, and return the numbers of passages."""
    with _opened(folder) as source:
        target = open_backend(None, url, api_key, collection, create=True)
        try:
            return copy_points(source, target)
        finally:
            target.close()


@contextmanager
def _opened(folder: Path) -> Iterator[Collection]:
    backend = open_backend(folder, None, None, COLLECTION, create=False)
    try:
        yield backend
    finally:
        backend.close()
