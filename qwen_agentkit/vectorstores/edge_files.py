"""The files of an embedded store beside qdrant-edge's own: names, rights, locks, number of points, copies.

::

    DIR/                      readable by its owner only
        documents/            the shard of collection "documents"
            edge_config.json  written by qdrant-edge
            segments/, wal/   written by qdrant-edge
            embedder.json     which embedder made it
            changes           locked while the shard changes; its time tells when it last did
            points.json       how many points it had when it was closed; absent while it may change
        .documents.5e01…77/   a shard that is being created

Knows files. Knows no points.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import portalocker

from qwen_agentkit.errors import StoreNotFoundError, StoreWriteError

__all__ = [
    "CONFIG",
    "MAKER",
    "change_time",
    "changing",
    "check_folder",
    "check_space",
    "copy_shard",
    "exchange",
    "forget_count",
    "leftovers",
    "make_room",
    "read_count",
    "recover",
    "write_count",
]

CONFIG = "edge_config.json"
MAKER = "embedder.json"
_CHANGES = "changes"
_COUNT = "points.json"
_OWNER_ONLY = 0o700
_BLOCK = 1 << 20
_RESERVE = 128 << 20
"""Bytes that must stay free: a full disk under a memory-mapped file kills the process without an error."""


def check_folder(root: Path, folder: Path, *, create: bool) -> None:
    """Refuse a folder that holds other files, before anything is written.

    Raises:
        StoreNotFoundError: The folder holds other files, or no store and `create` is False.
    """
    if (folder / CONFIG).is_file():
        return
    if root.exists() and not root.is_dir():
        raise StoreNotFoundError(f"{str(root)!r} is a file; expected the folder of a store. Choose a folder.")
    entries = [entry for entry in root.iterdir() if not entry.name.startswith(".")] if root.exists() else []
    if any((entry / CONFIG).is_file() for entry in entries) and create and folder not in entries:
        return
    if entries:
        raise StoreNotFoundError(
            f"{str(root)!r} holds no collection {folder.name!r} but other files, such as "
            f"{entries[0].name!r}; expected a store or an empty folder. Nothing was written. Choose another "
            "folder."
        )
    if not create:
        raise StoreNotFoundError(
            f"{str(root)!r} holds no store; expected one. Create it with: "
            f"qwen-agentkit ingest DOCS --store {root}"
        )


def check_space(folder: Path, needed: int) -> None:
    """Refuse a write that would fill the disk.

    Raises:
        StoreWriteError: Less than `needed` bytes and a reserve are free.
    """
    place = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(place).free
    if free < needed + _RESERVE:
        raise StoreWriteError(
            f"The disk of {str(folder)!r} has {free >> 20} MB left; expected at least "
            f"{needed + _RESERVE >> 20} MB. Nothing was written. Free some space and run it again."
        )


@contextmanager
def make_room(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside one that is to be created, and remove it if it is still there.

    A process that was killed leaves its folder behind; nothing reads it, and `store repair` removes it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=_OWNER_ONLY)
    building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        building.mkdir(mode=_OWNER_ONLY)
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Keep other processes from copying a shard while it changes."""
    with (folder / _CHANGES).open("ab") as file:
        portalocker.lock(file, portalocker.LOCK_EX)
        forget_count(folder)
        try:
            yield
        finally:
            # Not the present time: a clock is coarse, and it may go back.
            changed = max(time.time_ns(), change_time(folder) + 1)
            os.utime(folder / _CHANGES, ns=(changed, changed))


def change_time(folder: Path) -> int:
    """Return when the shard last changed, in nanoseconds; 0 for a shard that never did."""
    try:
        return (folder / _CHANGES).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def leftovers(folder: Path) -> list[Path]:
    """Return the folders that killed processes left beside a shard."""
    return sorted(folder.parent.glob(f".{folder.name}.*"))


def exchange(new: Path, folder: Path) -> Path:
    """Put a new shard in the place of one, if there is one; return where the old one is now."""
    old = folder.with_name(f"{_replaced(folder)}{uuid.uuid4().hex}")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    return old


def recover(folder: Path) -> None:
    """Put back a shard whose exchange was cut off between its two renames."""
    if not folder.exists() and folder.parent.is_dir():
        for old in sorted(folder.parent.glob(f"{_replaced(folder)}*"))[:1]:
            old.rename(folder)


def _replaced(folder: Path) -> str:
    return f".{folder.name}.replaced."


def read_count(folder: Path) -> int | None:
    """Return the number of points when the shard was closed; None if it may have changed since."""
    try:
        found: Any = json.loads((folder / _COUNT).read_text("utf-8"))
        return int(found["points"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return -1  # damaged: no number of points equals it


def write_count(folder: Path, points: int) -> None:
    """Write down the number of points of a shard that is closed."""
    temporary = folder / f".{_COUNT}"
    with suppress(OSError):  # without it, the next opening checks nothing
        temporary.write_text(json.dumps({"points": points}), "utf-8")
        temporary.replace(folder / _COUNT)


def forget_count(folder: Path) -> None:
    """Remove the number of points, since it may change."""
    (folder / _COUNT).unlink(missing_ok=True)


def copy_shard(folder: Path, target: Path) -> None:
    """Copy a shard as it is between two changes of the process that has it open.

    Args:
        folder: The shard.
        target: A folder that does not exist.
    """
    with _not_changing(folder):
        for place, _, names in os.walk(folder):
            copied = target / Path(place).relative_to(folder)
            copied.mkdir(parents=True)
            for name in names:
                _copy_file(Path(place, name), copied / name)


@contextmanager
def _not_changing(folder: Path) -> Iterator[None]:
    if not (folder / _CHANGES).exists():  # made by an earlier version, or never changed
        yield
        return
    with (folder / _CHANGES).open("rb") as file:
        portalocker.lock(file, portalocker.LOCK_SH)
        yield


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file without the blocks of zeros that qdrant-edge reserves for later."""
    with source.open("rb") as one, target.open("wb") as other:
        while block := one.read(_BLOCK):
            if any(block):
                other.write(block)
            else:
                other.seek(len(block), os.SEEK_CUR)
        other.truncate(one.tell())
