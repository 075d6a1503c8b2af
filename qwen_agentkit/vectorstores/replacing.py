"""Put a shard in the place of another one, as a whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qwen_agentkit.errors import StoreError, StoreLockedError
from qwen_agentkit.vectorstores.conditions import EVERYTHING
from qwen_agentkit.vectorstores.edge_backend import EdgeBackend
from qwen_agentkit.vectorstores.edge_files import exchange, make_room
from qwen_agentkit.vectorstores.points import TENANT, Layout, Point, in_parts

__all__ = ["replace_shard"]


def replace_shard(folder: Path, points: Iterable[Point], layout: Layout, maker: dict[str, Any]) -> int:
    """Create a shard of some points, and put it in the place of the one that is there, if any.

    Returns:
        The number of points.

    Raises:
        StoreLockedError: The shard that is there is in use.
        ValueError: Two points have one id.
    """
    old = _hold(folder) if folder.exists() else None
    replaced: Path | None = None
    try:
        with make_room(folder) as building:
            count = _build_shard(building, folder.name, points, layout, maker)
            replaced = exchange(building / folder.name, folder)
            return count
    finally:
        if old is not None:
            old.close(moved=replaced is not None)
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)


def _build_shard(
    root: Path, collection: str, points: Iterable[Point], layout: Layout, maker: dict[str, Any]
) -> int:
    """Create a shard in a folder and close it; return the number of its points."""
    new = EdgeBackend.acquire(root, collection, create=True)
    written = 0
    try:
        new.create(layout, maker)
        for part in in_parts(points):
            if any(TENANT in point.payload for point in part):
                new.index_tenants()
            new.upsert(part)
            written += len(part)
        count = new.count(EVERYTHING)
    finally:
        new.close()
    if count != written:
        raise ValueError(f"it has {written} points and {count} ids")
    return count


def _hold(folder: Path) -> EdgeBackend | None:
    """Keep others from opening a shard; None if it is too damaged to be opened by anybody."""
    try:
        held = EdgeBackend.acquire(folder.parent, folder.name, create=False)
    except StoreLockedError:
        raise
    except StoreError:
        return None
    if held.shared:
        held.close()
        raise StoreLockedError(
            f"The store {str(folder.parent)!r} is in use by this process. Close it, and try again."
        )
    return held
