"""Keep a store in step with folders: ingest when files change, and try again what failed.

A file that failed may have been half written, and a store that failed may have been in use. Both are tried
again at growing intervals, and whatever keeps failing is listed after every run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from qwen_agentkit.errors import QwenAgentKitError, missing_extra
from qwen_agentkit.ingest.discovery import read_paths
from qwen_agentkit.ingest.pipeline import IngestReport

__all__ = ["WatchReport", "file_changes", "watch"]

_TICK = 10_000
"""Milliseconds between two looks at what failed."""
_LONGEST_WAIT = 32
"""Most ticks between two tries."""


@dataclass
class WatchReport:
    """The result of one run, and what keeps failing."""

    report: IngestReport | None
    """What was done; None if the run failed as a whole."""
    error: str = ""
    """Why the run failed as a whole; it is tried again."""
    failing: list[dict[str, Any]] = field(default_factory=list)
    """Files that could not be read: "source", "reason", and "tries" so far."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-like dictionary."""
        return asdict(self)


def watch(run: Callable[[], IngestReport], changes: Iterable[bool]) -> Iterator[WatchReport]:
    """Run once, then after every change, and again for what failed; yield after each run.

    Args:
        run: Brings the store in step. Errors of this package end the run and not the watching.
        changes: True when a file has changed, False when some time has passed; see `file_changes`.
    """
    failures = 0  # in a row, of anything
    waiting = 0  # ticks until the next try
    tries: dict[str, int] = {}
    for changed in chain([True], changes):
        waiting -= 1
        if not changed and (not failures or waiting > 0):
            continue
        result = _run_once(run, tries)
        failures = failures + 1 if result.error or result.failing else 0
        waiting = min(2**failures, _LONGEST_WAIT)
        yield result


def _run_once(run: Callable[[], IngestReport], tries: dict[str, int]) -> WatchReport:
    """Run, and count the tries of each file that failed."""
    try:
        report = run()
    except QwenAgentKitError as error:
        return WatchReport(None, str(error), [{"source": name, "tries": n} for name, n in tries.items()])
    failed = {failure["source"]: failure["reason"] for failure in report.failed}
    counts = {source: tries.get(source, 0) + 1 for source in failed}
    tries.clear()
    tries.update(counts)
    failing = [{"source": s, "reason": reason, "tries": counts[s]} for s, reason in failed.items()]
    return WatchReport(report, failing=failing)


def file_changes(
    paths: Iterable[str | os.PathLike[str]], stop: threading.Event | None = None, tick: int = _TICK
) -> Iterator[bool]:
    """Yield True when files below some paths have changed, and False when nothing has for a while.

    Args:
        paths: Files and folders.
        stop: Ends the watching when it is set.
        tick: Milliseconds until False.

    Raises:
        MissingExtraError: watchfiles is not installed.
    """
    try:
        import watchfiles
    except ModuleNotFoundError as error:
        raise missing_extra(error, "watchfiles", "watch") from error
    roots = read_paths(paths)
    # A file is watched through its folder: editors replace files instead of changing them.
    places = {root if root.is_dir() else root.parent for root in roots}
    found = watchfiles.watch(
        *places,
        stop_event=stop,
        rust_timeout=tick,
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    )
    return (bool(changes) for changes in found)
