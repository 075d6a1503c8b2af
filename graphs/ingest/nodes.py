"""The nodes of `ingest`: ingest new files, find documents without a file, ask a person, delete.

Knows the ingest pipeline. Does not know how files are read or split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from langgraph.types import interrupt

from qwen_agentkit.graphs.ingest.state import IngestContext, IngestState
from qwen_agentkit.graphs.shared.runtime import Stage, Update
from qwen_agentkit.ingest import ingest, stored_sources
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = ["IngestNodes"]


@dataclass(frozen=True)
class IngestNodes:
    """The nodes of `ingest` over one store and its folders."""

    store: QwenVectorStore | Callable[[], QwenVectorStore]
    folders: list[Path]
    groups: bool

    def update(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Ingest new and changed files; delete nothing yet."""
        with self._open_store() as store:
            report = ingest(
                self.folders, store, prune=False, groups=self.groups, progress=stage.announce_progress
            ).to_dict()
        stage.details |= {
            key: report[key] for key in ("added", "skipped", "failed", "warnings", "passed_over")
        }
        return {"report": report, "gone": [], "share": 0.0, "approved": False, "timings": {}}

    def compare(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Find the documents whose files are gone."""
        gone, stored = self._find_gone()
        stage.details |= {"gone": len(gone), "stored": stored}
        return {"gone": gone, "share": len(gone) / stored if stored else 0.0}

    def approve(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Ask a person whether to delete the documents."""
        question = (
            f"The files of {len(state['gone'])} documents are gone, {state['share']:.0%} of the documents "
            "stored from these folders. Delete the documents? Answer true to delete them, false to keep them."
        )
        answer = interrupt({"question": question, "documents": state["gone"]})
        stage.details["approved"] = answer is True
        return {"approved": answer is True}

    def prune(self, state: IngestState, settings: IngestContext, stage: Stage) -> Update:
        """Delete the documents whose files are still gone."""
        gone = sorted({*state["gone"]}.intersection(self._find_gone()[0]))
        with self._open_store() as store:
            for source in gone:
                store.delete(filter={"source": source})
        stage.details["removed"] = len(gone)
        return {"report": {**state["report"], "removed": len(gone)}}

    def _find_gone(self) -> tuple[list[str], int]:
        """The stored documents without a file, and the number of documents stored from the folders."""
        with self._open_store() as store:
            stored, gone = stored_sources(self.folders, store)
        return sorted(gone), len(stored)

    @contextmanager
    def _open_store(self) -> Iterator[QwenVectorStore]:
        if isinstance(self.store, QwenVectorStore):
            yield self.store  # the caller closes it
        else:
            with self.store() as store:
                yield store
