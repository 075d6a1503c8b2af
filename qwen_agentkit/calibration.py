"""What was measured of an embedder and a reranker: how searches are fused, what orders, what is relevant.

A store keeps the measurements made on it in `.calibration.json`; without them the catalog's count. Knows the
catalog, files and LangChain's compressor. Measures nothing.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict

from qwen_agentkit.catalog import FUSIONS, THRESHOLDS, UNMEASURED, Fusion
from qwen_agentkit.errors import InputError
from qwen_agentkit.rerankers import QwenReranker

__all__ = [
    "Calibration",
    "SearchOrder",
    "catalog_calibration",
    "load_calibration",
    "mean_scores",
    "save_calibration",
]

_FILE = ".calibration.json"
_READ = 10
"""Passages that a reranker with a part of the score reads. Deeper ones rarely answer, and each costs time."""


@dataclass(frozen=True)
class Calibration:
    """What was measured of two models.

    Attributes:
        embedder: Name of the embedder.
        reranker: Name of the reranker.
        fusion: Weights of both searches; None fuses their ranks half and half.
        share: How much of a passage's relevance is the reranker's score, 0 to 1; the rest is the search's.
        threshold: Relevance below which a passage does not answer, 0 to 1.
        data: What it was fitted on.
        date: When, as in 2026-12-01; "" for the catalog's.
    """

    embedder: str
    reranker: str
    fusion: Fusion | None
    share: float
    threshold: float
    data: str
    date: str = ""

    def describe(self) -> str:
        """Say in a line what is in use, and from which data."""
        order = f"by the search's score and {self.share:g} of {self.reranker}'s"
        if self.share in (0, 1):
            order = "reranked" if self.share else f"as the search has them ({self.reranker} lowers the order)"
        fused = (
            f"words plus {self.fusion.same:g} (other languages: {self.fusion.other:g}) of the vectors"
            if self.fusion
            else "words and vectors half and half by rank, not measured"
        )
        made = ", ".join(part for part in (self.data, self.date) if part) or "not measured"
        return f"{fused}; passages {order}; relevant from {self.threshold:g} ({made})"


def catalog_calibration(embedder: str, reranker: str) -> Calibration:
    """Return what the catalog has of two models."""
    fusion, row = FUSIONS.get(embedder), THRESHOLDS.get(reranker, UNMEASURED)
    if fusion is not None and row.share < 1:
        return Calibration(embedder, reranker, fusion, row.share, fusion.threshold, fusion.data)
    return Calibration(embedder, reranker, fusion, 1.0, row.score, row.data)


def load_calibration(folder: Path, embedder: str, reranker: str) -> Calibration:
    """Return what was measured of two models on the store in `folder`, else what the catalog has.

    Raises:
        InputError: The file of the measurements cannot be read.
    """
    file = folder / _FILE
    if not file.is_file():
        return catalog_calibration(embedder, reranker)
    try:
        found = _parse(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{str(file)!r} cannot be read ({type(error).__name__}: {error}); expected what `qwen-agentkit "
            "calibrate` writes. Run it again, or delete the file."
        ) from error
    if (found.embedder, found.reranker) != (embedder, reranker):
        warnings.warn(
            f"{str(file)!r} was measured with {found.embedder} and {found.reranker}, and does not count for "
            f"{embedder} and {reranker}. Run `qwen-agentkit calibrate` again.",
            stacklevel=2,
        )
        return catalog_calibration(embedder, reranker)
    return found


def save_calibration(folder: Path, calibration: Calibration) -> Path:
    """Keep a calibration beside the store in `folder`, and return its file."""
    file = folder / _FILE
    text = json.dumps(asdict(calibration), ensure_ascii=False, indent=2)
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{str(file)!r} cannot be written ({error.strerror}); expected the folder of a store that you "
            "can write to. Check its permissions."
        ) from error
    return file


def _parse(found: dict[str, Any]) -> Calibration:
    fusion = found["fusion"]
    calibration = Calibration(**{**found, "fusion": None if fusion is None else Fusion(**fusion)})
    for name in ("threshold", "share"):
        if not 0 <= getattr(calibration, name) <= 1:
            raise ValueError(f"{name} is {getattr(calibration, name)}")
    return calibration


def mean_scores(found: Sequence[float], judged: Sequence[float], share: float) -> list[float]:
    """Return the mean of the search's scores and the reranker's for passages that the search has ordered.

    Args:
        found: The search's scores, 0 to 1, best first.
        judged: The reranker's, of at least the ten best or of all. Unless it decides alone, it reads ten
            only: for passages behind them it counts as 0.
        share: Weight of the reranker, 0 to 1.
    """
    read = judged if share == 1 else judged[:_READ]
    return [
        (1 - share) * before + share * (read[rank] if rank < len(read) else 0.0)
        for rank, before in enumerate(found)
    ]


class SearchOrder(BaseDocumentCompressor):
    """Orders passages by the mean of two scores, that of the search and that of a reranker.

    For a reranker that alone was measured to lower the order of the search. Texts that no search has scored,
    such as the sentences of a passage, are ranked by the reranker.
    """

    model_config = ConfigDict(frozen=True)

    reranker: QwenReranker
    threshold: float
    """Relevance below which a passage does not answer, 0 to 1."""
    share: float = 0.0
    """Weight of the reranker's score in the mean, 0 to 1. At 0 it is not asked; below 1 it reads ten."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the documents, best first, as copies with `metadata["relevance_score"]`."""
        if any(document.metadata.get("retrieval_score") is None for document in documents):
            return self.reranker.compress_documents(documents, query, callbacks)
        found = sorted(documents, key=_search_score, reverse=True)
        scores = [_search_score(document) for document in found]
        if self.share:
            read = found if self.share == 1 else found[:_READ]
            judged = self.score([(query, document.page_content) for document in read])
            scores = mean_scores(scores, judged, self.share)
        scored = [
            document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
            for document, score in zip(found, scores, strict=True)
        ]
        return sorted(scored, key=lambda document: -float(document.metadata["relevance_score"]))

    def score(self, text_pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the reranker's score in 0..1 of each (query, text), in the order given."""
        return self.reranker.score(text_pairs)


def _search_score(document: Document) -> float:
    return float(document.metadata["retrieval_score"])
