"""Translates the errors of qdrant-edge and of the file system below it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qwen_agentkit.errors import QwenAgentKitError, StoreError, StoreLockedError, StoreWriteError

__all__ = ["forked_off", "translated"]

_PANIC = "PanicException"
"""What Rust code raises when it finds damaged files; a BaseException that cannot be imported."""


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn whatever is raised into a `StoreError` that names the store."""
    try:
        yield
    except QwenAgentKitError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == _PANIC:
            raise _translate(error, folder) from error
        raise


def _translate(error: BaseException, folder: Path) -> StoreError:
    text = str(error)
    if "WouldBlock" in text:
        return StoreLockedError(
            f"The store {str(folder.parent)!r} is in use by another process, and only one at a time can "
            "write to it. Stop that process (an ingest, `serve`, langgraph dev, a notebook), or share a "
            "Qdrant server: url="
        )
    if isinstance(error, OSError) or any(sign in text for sign in ("os error", "I/O error", "Os {")):
        return StoreWriteError(
            f"The store {str(folder.parent)!r} cannot be written ({text}); expected a writable folder with "
            "free space. Check its permissions and the disk, or choose another folder."
        )
    return StoreError(
        f"The store {str(folder.parent)!r} does not work ({text}). Type: qwen-agentkit store repair --store "
        f"{folder.parent}; or restore a backup, or create a new one by ingesting again."
    )


def forked_off(folder: Path) -> StoreError:
    """Return the error of a process that uses a shard which its parent opened."""
    return StoreError(
        f"The store {str(folder.parent)!r} was opened before this process was forked off, and only the "
        "process that opened it can use it. Open it after the fork."
    )
