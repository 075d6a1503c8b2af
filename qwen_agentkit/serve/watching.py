"""Keeps the store of a server in step with folders, in a thread of its own. Knows no web framework.

The folders are named when the server is started, and by no request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest.pipeline import IngestReport
from qwen_agentkit.ingest.watching import WatchReport, file_changes, watch
from qwen_agentkit.serve.access import User
from qwen_agentkit.serve.library import UPLOADS, Library

__all__ = ["FailingFile", "Watched", "Watcher"]

_log = logging.getLogger(__name__)


class FailingFile(BaseModel):
    """A file that could not be read."""

    source: str
    reason: str
    tries: int


class Watched(BaseModel):
    """How far the folders and the store are in step."""

    folders: list[str]
    """Their names, without where they are."""
    state: Literal["reading", "waiting", "failed"]
    """Whether changes are being read, or waited for, or nobody watches any more."""
    runs: int
    """How often the folders were read."""
    error: str
    """Why the last run failed as a whole; it is tried again, unless the state is "failed"."""
    failing: list[FailingFile]
    """Files that could not be read, which are tried again at growing intervals."""


class _Stopped(Exception):
    """The server ends in the middle of a run. The next one completes what this one began."""


class Watcher:
    """Watches folders from `start` to `stop`.

    Args:
        library: What is kept in step.
        folders: The folders. With groups, the first folder below each names the group of its files.

    Raises:
        InputError: One is no folder, or holds the store, or has the name of the uploads.
        MissingExtraError: The extra `watch` is not installed.
    """

    def __init__(self, library: Library, folders: Sequence[Path]) -> None:
        self._library = library
        self._folders = [_check_folder(folder, library) for folder in folders]
        self._stop = threading.Event()
        self._changes = file_changes(self._folders, self._stop)
        self._thread = threading.Thread(target=self._run, name="qwen-agentkit-watch", daemon=True)
        names = [folder.name for folder in self._folders]
        self._now = Watched(folders=names, state="reading", runs=0, error="", failing=[])

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the watching. A run ends after the file or the batch that it is at."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def now(self) -> Watched:
        """How far the folders and the store are in step, for whoever runs the server."""
        return self._now

    def shown_to(self, user: User) -> Watched:
        """As `now`, for a user: who may not read everything sees no names of files."""
        return self._now if user.groups is None else self._now.model_copy(update={"failing": [], "error": ""})

    def _run(self) -> None:
        try:
            for result in watch(self._ingest, self._changes):
                self._now = self._describe(result)
        except _Stopped:
            pass
        except Exception as error:
            _log.error("The watching of folders has ended.", exc_info=error)
            reason = f"{type(error).__name__} inside the server. Its log says more."
            self._now = self._now.model_copy(update={"state": "failed", "error": reason})

    def _ingest(self) -> IngestReport:
        self._now = self._now.model_copy(update={"state": "reading"})
        return self._library.ingest_folders(self._folders, self._check_stopped)

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _describe(self, result: WatchReport) -> Watched:
        failing = [FailingFile(**{"reason": result.error, **one}) for one in result.failing]
        changes = {
            "state": "waiting",
            "runs": self._now.runs + 1,
            "error": result.error,
            "failing": failing,
        }
        return self._now.model_copy(update=changes)


def _check_folder(folder: Path, library: Library) -> Path:
    found = folder.expanduser().resolve()
    if not found.is_dir():
        raise InputError(f"--watch {folder}: there is no such folder; expected one with documents. Make it.")
    if found.name == UPLOADS:
        raise InputError(
            f"--watch {folder}: uploaded documents are named {UPLOADS}/..., so no watched folder can have "
            "this name. Rename it, or name the folder that it is in."
        )
    if library.data.resolve().is_relative_to(found):
        raise InputError(
            f"--watch {folder}: the store lies in this folder, so each change of it would look like one of a "
            "document. Move the store, or watch a folder beside it."
        )
    return found
