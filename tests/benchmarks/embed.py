"""Embedding: `QwenEmbeddings` against sentence-transformers and the embedders of LangChain's packages."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from sentence_transformers import SentenceTransformer

from qwen_agentkit import QwenEmbeddings
from tests.benchmarks import peers, shape
from tests.benchmarks.machine import (
    OURS,
    Limits,
    Run,
    Timed,
    add_shares,
    computed,
    interleaved,
    machine,
    say,
)
from tests.benchmarks.peers import Array
from tests.benchmarks.work import QUERIES, Effort, gigaflop, log_normal

SIZES = (2, 4, 8, 16, 32)  # batches of the peers; 32 is their default
SLICE = 64  # texts that a vector store of LangChain hands over at once

# 1 - cosine. Number types and batches change the last bits: batches of 8 and 32 of one peer in bf16, with
# random weights, were 0.0004 apart.
TOLERANCE = 0.005


class Embedders:
    """Ours and the peers on one checkpoint; `prepare` before the first comparison.

    Args:
        place: folder of an embedder.
        device: such as "cpu".
    """

    def __init__(self, place: str, device: str = "cpu") -> None:
        self.ours = QwenEmbeddings(model=place, device=device)
        self.tuning: dict[str, float] = {}
        self._place, self._device = place, device
        self._best = ("bfloat16", 32)
        self.transformer = cache(self._transformer)
        self.tutorial = cache(self._tutorial)
        self.huggingface = peers.langchain_huggingface(place, device)
        self.qwen3 = peers.langchain_qwen3(place, device)

    def _transformer(self, dtype: str | None) -> SentenceTransformer:
        return peers.sentence_transformer(self._place, self._device, dtype)

    def _tutorial(self, dtype: str) -> peers.TutorialEmbedder:
        return peers.TutorialEmbedder(self._place, self._device, dtype)

    @property
    def others(self) -> dict[str, Embeddings]:
        """The peers that are LangChain's embeddings, where they are installed."""
        found = {"langchain_huggingface": self.huggingface, "langchain_qwen3": self.qwen3}
        return {name: embeddings for name, embeddings in found.items() if embeddings}

    def prepare(self, texts: Sequence[str], sizes: tuple[int, ...] = SIZES) -> None:
        """Check that everyone reads the same token ids, warm up, and find the peer's best settings.

        Raises:
            RuntimeError: they do not; their times could not be compared.
        """
        theirs = self.transformer(None).preprocess(list(texts))
        rows = zip(theirs["input_ids"], theirs["attention_mask"], strict=True)
        if [row[mask.bool()].tolist() for row, mask in rows] != self.ids(texts):
            raise RuntimeError("The embedders read different token ids; their times cannot be compared.")
        few = list(texts[:2])
        self.ours.embed_array(few)
        for dtype in (None, *peers.DTYPES):
            self.encode(few, dtype)
        for embeddings in self.others.values():
            embeddings.embed_documents(few)
        dtype, size, self.tuning = peers.tuned(lambda dtype, size: self.encode(texts, dtype, size), sizes)
        self._best = dtype, size
        self.tutorial(dtype).embed(few)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """What ours reads."""
        end = self.ours._backend.loaded.token_id("<|endoftext|>")
        return [[*ids, end] for ids in self.ours._backend.loaded.encode_data(texts)]

    @computed
    def encode(self, texts: Sequence[str], dtype: str | None, size: int = 32) -> Array:
        """Vectors of sentence-transformers."""
        vectors: Array = self.transformer(dtype).encode(list(texts), batch_size=size, show_progress_bar=False)
        return vectors

    def runs(self, texts: Sequence[str]) -> dict[str, Run]:
        """Everyone, by name, on slices as a vector store makes them."""
        dtype, size = self._best
        embed: dict[str, Callable[[list[str]], Any]] = {
            OURS: self.ours.embed_documents,
            "sentence_transformers_as_it_comes": lambda part: self.encode(part, None),
            f"sentence_transformers_{dtype}_batch_{size}": lambda part: self.encode(part, dtype, size),
            f"tutorial_{dtype}": self.tutorial(dtype).embed,
            **{name: embeddings.embed_documents for name, embeddings in self.others.items()},
        }
        return {name: lambda run=run: in_slices(run, texts) for name, run in embed.items()}

    def work(self, texts: Sequence[str]) -> dict[str, float]:
        """Tokens and arithmetic."""
        lengths = [len(ids) for ids in self.ids(texts)]
        model = self.ours._backend.loaded.model
        return {
            "texts": len(texts),
            "tokens": sum(lengths),
            "gigaflop": gigaflop(model, [(0, length) for length in lengths]),
        }


def in_slices(embed: Callable[[list[str]], Any], texts: Sequence[str]) -> Array:
    parts = [list(texts[start : start + SLICE]) for start in range(0, len(texts), SLICE)]
    return np.concatenate([np.asarray(embed(part), dtype=np.float32) for part in parts])


def apart(left: Array, right: Array) -> float:
    """1 - the least cosine of any pair of rows, which have length one."""
    return float(1 - (left * right).sum(axis=1).min())


def compared(embedders: Embedders, texts: Sequence[str], effort: Effort, share: float) -> dict[str, Any]:
    """Everyone on some texts, in rounds."""
    found = interleaved(
        embedders.runs(texts),
        effort.rounds,
        apart=apart,
        tolerance=TOLERANCE,
        warm_up=False,
        deadline=effort.deadline(share),
    )
    rates = {name: round(embedders.work(texts)["tokens"] / s) for name, s in found["seconds_min"].items()}
    return {**embedders.work(texts), **found, "tokens_a_second": rates}


def one_query(embedders: Embedders, effort: Effort) -> dict[str, Any]:
    """A question at a time: the median of sixteen."""
    questions = [f"{QUERIES[n % 2]} ({n})" for n in range(effort.few(16))]
    dtype = embedders._best[0]

    def encode(dtype: str | None) -> Callable[[str], Any]:
        return lambda question: embedders.transformer(dtype).encode(
            question, prompt_name="query", show_progress_bar=False
        )

    embed: dict[str, Callable[[str], Any]] = {
        OURS: embedders.ours.embed_query,
        "sentence_transformers_as_it_comes": encode(None),
        f"sentence_transformers_{dtype}": encode(dtype),
    }
    if huggingface := embedders.huggingface:
        embed["langchain_huggingface"] = huggingface.embed_query

    def median(run: Callable[[str], Any]) -> Timed:
        vectors, seconds = [], []
        for question in questions:
            start = time.perf_counter()
            vectors.append(run(question))
            seconds.append(time.perf_counter() - start)
        return Timed(np.asarray(vectors, dtype=np.float32), statistics.median(seconds))

    runs: dict[str, Run] = {name: lambda run=run: median(run) for name, run in embed.items()}
    return interleaved(runs, effort.rounds, apart=apart, tolerance=TOLERANCE, deadline=effort.deadline(0.2))


def reindex(embedders: Embedders, texts: Sequence[str], effort: Effort) -> dict[str, Any]:
    """The texts again, nine tenths of them unchanged: with our cache in a folder, and all again."""
    changed = [text if n % 10 else f"{text} changed" for n, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        before, now = Path(folder) / "before", Path(folder) / "now"
        in_slices(_cached(embedders, before).embed_documents, texts)

        def again() -> Timed:
            shutil.rmtree(now, ignore_errors=True)
            shutil.copytree(before, now)
            start = time.perf_counter()
            vectors = in_slices(_cached(embedders, now).embed_documents, changed)
            return Timed(vectors, time.perf_counter() - start)

        everyone = embedders.runs(changed)
        runs = {OURS: again, f"{OURS}_without_cache": everyone[OURS]}
        if embedders.huggingface:
            runs["langchain_huggingface"] = everyone["langchain_huggingface"]
        return interleaved(
            runs, effort.rounds, apart=apart, tolerance=TOLERANCE, warm_up=False, deadline=effort.deadline(1)
        )


def _cached(embedders: Embedders, folder: Path) -> QwenEmbeddings:
    return embedders.ours.model_copy(update={"cache": folder})


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of this module, with what the machine can do before and after."""
    limits = Limits(quick=effort.quick)
    embedders = Embedders(str(shape.embedder(effort.size)))
    texts = log_normal(effort.few(128), median=30)  # words, 40 tokens
    say("  settings of the peer:")
    embedders.prepare(texts[: effort.few(64)])
    cases = {"query": one_query(embedders, effort)}
    say(f"  query: {cases['query']['times_slower_than_ours']}")
    cases["slices"] = compared(embedders, texts, effort, 0.8)
    say(f"  slices: {cases['slices']['times_slower_than_ours']}")
    cases["reindex"] = reindex(embedders, texts, effort)
    say(f"  reindex: {cases['reindex']['times_slower_than_ours']}")
    found = limits.after()
    add_shares(cases, found["limit_gigaflops"])
    return {
        **machine(),
        **found,
        "dtype": str(embedders.ours._backend.loaded.dtype),
        "seconds_of_settings": embedders.tuning,
        "cases": cases,
    }
