"""Backups of a collection, and copies to another one: every point of every tenant, with its vectors."""

from __future__ import annotations

import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qwen_agentkit.errors import (
    QwenAgentKitError,
    StoreError,
    StoreMismatchError,
    StoreNotFoundError,
    StoreWriteError,
)
from qwen_agentkit.vectorstores.backend import Collection
from qwen_agentkit.vectorstores.backup_files import (
    DAMAGE,
    Progress,
    read_layout,
    read_manifest,
    read_points,
    write_points,
)
from qwen_agentkit.vectorstores.conditions import EVERYTHING
from qwen_agentkit.vectorstores.edge_files import check_replaceable, recover
from qwen_agentkit.vectorstores.points import in_parts
from qwen_agentkit.vectorstores.replacing import replace_shard
from qwen_agentkit.vectorstores.whole_files import written_whole

__all__ = ["Progress", "copy_points", "make_backup", "restore_backup"]


def make_backup(backend: Collection, file: Path, collection: str, progress: Progress | None = None) -> int:
    """Write a backup; the file is complete or absent, and an existing one is replaced at the end.

    Args:
        backend: The collection.
        file: Where the backup is to be.
        collection: The name of the collection.
        progress: Called as the work goes on.

    Returns:
        The number of points.

    Raises:
        StoreWriteError: The file cannot be written.
    """
    total = backend.count(EVERYTHING)
    manifest = {"collection": collection, "maker": backend.maker}
    manifest |= asdict(backend.layout) if backend.layout else {}

    def tell(done: int) -> None:
        if progress:
            progress("points", done, max(done, total))

    with (
        written_whole(file) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        return write_points(archive, backend.export(), manifest, tell)


def restore_backup(
    file: Path, root: Path, collection: str, *, replace: bool = False, progress: Progress | None = None
) -> int:
    """Make an embedded store from a backup. The store is the whole backup, or what it was before.

    Args:
        file: The backup.
        root: The folder of the store.
        collection: The name of the collection.
        replace: Whether to replace a store that is there.
        progress: Called as the work goes on.

    Returns:
        The number of points.

    Raises:
        StoreNotFoundError: There is no such file.
        StoreError: The file is not a whole backup, or there is a store and `replace` is False.
        StoreLockedError: The store is in use.
    """
    folder = root.expanduser().resolve() / collection
    recover(folder)
    if folder.exists() and not replace:
        raise StoreError(
            f"{str(root)!r} holds a store; expected a new folder. Choose another one, or add --replace."
        )
    check_replaceable(root, folder)
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = read_manifest(archive, file)
            layout = read_layout(manifest)
            points = read_points(archive, manifest, progress)
            return replace_shard(folder, points, layout, manifest["maker"])
    except QwenAgentKitError:
        raise
    except FileNotFoundError as error:
        raise StoreNotFoundError(f"There is no backup {str(file)!r}. Check its name.") from error
    except OSError as error:
        raise StoreWriteError(
            f"{str(file)!r} cannot be restored to {str(root)!r} ({error.strerror or error}); expected a "
            "readable file and a writable folder with free space."
        ) from error
    except DAMAGE as error:
        raise StoreError(
            f"{str(file)!r} is not a whole backup ({error}): it was cut short, damaged, or is another kind "
            "of file. Nothing was restored. Use another backup."
        ) from error


def copy_points(source: Collection, target: Collection, progress: Progress | None = None) -> dict[str, int]:
    """Copy all points to another collection, which is created if it is missing.

    What the target has already is left out, so that a copy that died half way is resumed by starting it
    again.

    Returns:
        The numbers of points "copied", "present" before, and "total" of the target.

    Raises:
        StoreNotFoundError: The source is empty and was never created.
        StoreMismatchError: Another embedder made the target.
    """
    if source.layout is None or source.maker is None:
        raise StoreNotFoundError("The store has no documents yet; expected some. Ingest first.")
    target.create(source.layout, source.maker)
    if target.maker != source.maker:  # which has the length of the vectors too
        raise StoreMismatchError(
            f"The target was made by {target.maker} and the store by {source.maker}; expected the same. "
            "Nothing was copied. Choose another collection."
        )
    if source.has_tenants:
        target.index_tenants()
    total, copied, present = source.count(EVERYTHING), 0, 0
    for part in in_parts(source.export()):
        stored = {hit.id: hit.payload for hit in target.retrieve([point.id for point in part])}
        new = [point for point in part if _plain(stored.get(point.id)) != point.payload]
        if new:
            target.upsert(new)
        copied, present = copied + len(new), present + len(part) - len(new)
        if progress:
            progress("points", copied + present, max(total, copied + present))
    return {"copied": copied, "present": present, "total": target.count(EVERYTHING)}


def _plain(payload: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a payload without what the embedded store adds for itself."""
    return payload and {key: value for key, value in payload.items() if key != "booleans"}
