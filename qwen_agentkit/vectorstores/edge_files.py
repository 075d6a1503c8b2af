"""The files of an embedded store beside qdrant-edge's own: names, rights, locks, number of points, copies.

::

    DIR/                      readable by its owner only
        documents/            the shard of collection "documents"
            edge_config.json  written by qdrant-edge
            segments/, wal/   written by qdrant-edge
            embedder.json     which embedder made it
            changes           locked while the shard changes; its time tells when it last did
            closed.json       what it was when it was closed: points, checksums; absent while it is open
        .documents.5e01…77/   a shard that is being created

Knows files. Knows no points.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import portalocker

from qwen_agentkit.errors import StoreError, StoreNotFoundError, StoreWriteError

__all__ = [
    "CONFIG",
    "MAKER",
    "OPENING",
    "Closing",
    "change_time",
    "changing",
    "check_closing",
    "check_folder",
    "check_replaceable",
    "check_space",
    "copy_shard",
    "damaged",
    "exchange",
    "forget_closing",
    "leftovers",
    "make_room",
    "read_closing",
    "recover",
    "write_closing",
]

CONFIG = "edge_config.json"
MAKER = "embedder.json"
_CHANGES = "changes"
_CLOSING = "closed.json"
_ID_FILES = "mutable_id_tracker"
_BEGINNING = 1 << 16
_OWNER_ONLY = 0o700
_BLOCK = 1 << 20
_RESERVE = 128 << 20
"""Bytes that must stay free: a full disk under a memory-mapped file kills the process without an error."""
OPENING = 64 << 20
"""Bytes that opening a shard may take: it writes a new piece of its log."""


class Closing(NamedTuple):
    """What a shard was when it was closed."""

    points: int
    files: dict[str, str]
    """A checksum for each file."""


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


def check_replaceable(root: Path, folder: Path) -> None:
    """Refuse to put a shard where something else is; a damaged shard may be replaced.

    Raises:
        StoreNotFoundError: There are other files.
    """
    if not any((folder / name).exists() for name in (CONFIG, MAKER, _CHANGES, _CLOSING, "segments", "wal")):
        check_folder(root, folder, create=True)


def check_space(folder: Path, needed: int, reserve: int = _RESERVE) -> None:
    """Refuse a write that would fill the disk.

    Raises:
        StoreWriteError: Less than `needed` bytes and a reserve are free.
    """
    place = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(place).free
    if free < needed + reserve:
        raise StoreWriteError(
            f"The disk of {str(folder)!r} has {free >> 20} MB left; expected at least "
            f"{needed + reserve >> 20} MB. Nothing was written. Free some space and run it again."
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
        forget_closing(folder)
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


def read_closing(folder: Path) -> Closing | None:
    """Return what was written down when the shard was closed; None while it is open, and after a kill.

    Raises:
        ValueError: It is damaged.
    """
    try:
        found: Any = json.loads((folder / _CLOSING).read_text("utf-8"))
    except FileNotFoundError:
        return None
    try:
        return Closing(int(found["points"]), dict(found["files"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{_CLOSING!r} is damaged") from error


def write_closing(folder: Path, points: int) -> None:
    """Write down the number of points and the checksums of a shard that was closed."""
    temporary = folder / f".{_CLOSING}"
    with suppress(OSError):  # without it, the next opening checks nothing
        text = json.dumps({"points": points, "files": _checksums(folder)})
        temporary.write_text(text, "utf-8")
        temporary.replace(folder / _CLOSING)


def forget_closing(folder: Path) -> None:
    """Remove what was written down: opening a shard changes its files."""
    with suppress(PermissionError):
        (folder / _CLOSING).unlink(missing_ok=True)


def check_closing(folder: Path) -> Closing | None:
    """Check that a shard is as it was when it was closed, and return what that was.

    Checked before qdrant-edge reads the files: of some damage it makes a crash of the process.

    Raises:
        StoreError: A file is not as it was.
    """
    try:
        closing = read_closing(folder)
    except ValueError as error:
        raise damaged(folder, str(error)) from error
    if closing is not None:
        now = _checksums(folder)
        for name, checksum in closing.files.items():
            if now.get(name) != checksum:
                raise damaged(folder, f"{name!r} is not as it was when it was closed")
    return closing


def damaged(folder: Path, reason: str) -> StoreError:
    """Return the error of a damaged store."""
    return StoreError(
        f"The store {str(folder.parent)!r} is damaged: {reason}. Restore a backup; or type: "
        f"qwen-agentkit store repair --store {folder.parent}, then ingest again."
    )


def _checksums(folder: Path) -> dict[str, str]:
    """Return a checksum of each file: of all of it if it maps ids to points, else of size and beginning."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in (_CHANGES, _CLOSING, f".{_CLOSING}"):
            with file.open("rb") as content:
                data = content.read() if file.name.startswith(_ID_FILES) else content.read(_BEGINNING)
            size = file.stat().st_size
            found[file.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest() + f" {size}"
    return found


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
