"""The nodes of `ingest`: read what is new, find what is gone, ask a person, delete.

Knows the ingest pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from langgraph.types import interrupt

from qwen_agentkit.graphs.ingest.state import IngestContext, IngestState
from qwen_agentkit.graphs.shared.running import Stage, Update
from qwen_agentkit.ingest import ingest, stored_sources
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["IngestNodes"]


@dataclass(frozen=True)
class IngestNodes:
    """Each is a method of (state, settings, stage) that returns an update."""

    store: QwenVectorStore | Callable[[], QwenVectorStore]
    folders: list[Path]
    groups: bool

    def update(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Bring in what is new; delete nothing yet."""
        with self._opened() as store:
            report = ingest(
                self.folders, store, prune=False, groups=self.groups, progress=stage.progress
            ).to_dict()
        stage.details |= {key: report[key] for key in ("added", "skipped", "failed")}
        return {"report": report, "gone": [], "share": 0.0, "approved": False, "timings": {}}

    def compare(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Find the documents whose files are gone."""
        gone, stored = self._gone()
        stage.details |= {"gone": len(gone), "stored": stored}
        return {"gone": gone, "share": len(gone) / stored if stored else 0.0}

    def approve(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Ask a person."""
        question = (
            f"The files of {len(state['gone'])} documents are gone, {state['share']:.0%} of what is stored "
            f"of these folders. Delete the documents? Answer true to delete them, false to keep them."
        )
        answer = interrupt({"question": question, "documents": state["gone"]})
        stage.details["approved"] = answer is True
        return {"approved": answer is True}

    def prune(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Delete what was approved, unless its file has come back since."""
        gone = sorted({*state["gone"]}.intersection(self._gone()[0]))
        with self._opened() as store:
            for source in gone:
                store.delete(filter={"source": source})
        stage.details["removed"] = len(gone)
        return {"report": {**state["report"], "removed": len(gone)}}

    def _gone(self) -> tuple[list[str], int]:
        """The stored documents without a file, and how many are stored of the folders."""
        with self._opened() as store:
            stored, gone = stored_sources(self.folders, store)
        return sorted(gone), len(stored)

    @contextmanager
    def _opened(self) -> Iterator[QwenVectorStore]:
        if isinstance(self.store, QwenVectorStore):
            yield self.store  # the caller's to close
        else:
            with self.store() as store:
                yield store
