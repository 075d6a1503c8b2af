"""What smaller vectors cost in retrieval: MRL sizes, int8 and binary, on any weights and any data.

Each file of the data is one corpus, in the layout of SQuAD (`data[].paragraphs[].context/qas[].question`,
as XQuAD, ARCD and CMRC have it) or JSONL with `question` and `context`; a question has one right context.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qwen_agentkit import QwenEmbeddings

Array = NDArray[np.float32]

# Places that count, and how many of the small vectors' best are scored again with the full ones.
TOP, CANDIDATES = 10, 20

# Beyond this share of the largest numbers int8 is clipped, as vector stores do: a few outliers would
# otherwise take the resolution of all others.
QUANTILE = 0.99


@dataclass(frozen=True)
class Corpus:
    name: str
    contexts: list[str]
    questions: list[str]
    right: list[int]  # index of the context of each question


@dataclass(frozen=True)
class Size:
    """Vectors of `dimensions` numbers of `bits` each; `again`: the best are scored again in full."""

    dimensions: int
    bits: int
    again: bool = False

    @property
    def name(self) -> str:
        number = {32: "float32", 16: "float16", 8: "int8", 1: "binary"}[self.bits]
        return f"{number} {self.dimensions}" + (" rescored" if self.again else "")

    @property
    def bytes(self) -> int:
        return self.dimensions * self.bits // 8


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of SQuAD-like .json or .jsonl files, or one file"
    )
    parser.add_argument("--files", nargs="+", help="take only the files whose names hold one of these words")
    parser.add_argument("--model", default="nano-embedding", help="any QwenEmbeddings model")


def measure(model: str, corpora: Sequence[Corpus]) -> dict[str, Any]:
    """Quality of every size: of each corpus, and the mean over them."""
    embeddings = QwenEmbeddings(model=model, show_progress=True)
    results: dict[str, list[dict[str, float]]] = {}
    sizes: list[Size] = []
    for corpus in corpora:
        documents = embeddings.embed_array(corpus.contexts)
        queries = embeddings._embed(corpus.questions, query=True)
        sizes = all_sizes(documents.shape[1])
        for size in sizes:
            places = ranks(size, queries, documents, np.asarray(corpus.right))
            results.setdefault(size.name, []).append(quality(places))
    full = mean(results[sizes[0].name])
    return {
        "model": embeddings.fingerprint["model"],
        "corpora": {c.name: {"contexts": len(c.contexts), "questions": len(c.questions)} for c in corpora},
        "candidates_rescored": CANDIDATES,
        "sizes": [
            {
                "size": size.name,
                "bytes": size.bytes,
                **mean(results[size.name]),
                "mrr_kept": mean(results[size.name])["mrr"] / full["mrr"],
                "by_corpus": dict(zip([c.name for c in corpora], results[size.name], strict=True)),
            }
            for size in sizes
        ],
    }


def all_sizes(full: int) -> list[Size]:
    cuts = [full // part for part in (1, 2, 4, 8)]
    return [
        *(Size(cut, bits) for cut in cuts for bits in (32, 8)),
        Size(full, 16),
        Size(full, 1),
        *(Size(cut, bits, again=True) for cut, bits in ((full, 1), (full // 2, 1), (full // 8, 32))),
    ]


def ranks(size: Size, queries: Array, documents: Array, right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of the right document of each query, from 1."""
    shrink = shrinker(size, documents)
    small_queries, small_documents = shrink(queries), shrink(documents)
    places = np.empty(len(queries), dtype=np.int64)
    for start in range(0, len(queries), 256):
        part = slice(start, start + 256)
        scores = small_queries[part] @ small_documents.T
        if size.again:
            scores = rescored(scores, queries[part] @ documents.T)
        own = np.take_along_axis(scores, right[part, None], axis=1)
        # Of equal scores the earlier document comes first, as a stable sort would have it.
        earlier = (scores == own) & (np.arange(len(documents)) < right[part, None])
        places[part] = 1 + (scores > own).sum(1) + earlier.sum(1)
    return places


def shrinker(size: Size, documents: Array) -> Callable[[Array], Array]:
    """The change of vectors that `size` means; its numbers stay float32, to be multiplied."""
    limit = float(np.quantile(np.abs(cut(documents[:10_000], size.dimensions)), QUANTILE))

    def shrink(vectors: Array) -> Array:
        short = cut(vectors, size.dimensions)
        if size.bits == 1:
            return np.where(short > 0, np.float32(1), np.float32(-1))
        if size.bits == 8:
            return np.clip(np.round(short * (127 / limit)), -127, 127).astype(np.float32)
        return short.astype(np.float16).astype(np.float32) if size.bits == 16 else short

    return shrink


def cut(vectors: Array, dimensions: int) -> Array:
    short = vectors[:, :dimensions]
    unit: Array = short / np.linalg.norm(short, axis=1, keepdims=True)
    return unit


def rescored(scores: Array, full: Array) -> Array:
    """The best candidates by `scores` in the order of `full`, and nothing after them."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :CANDIDATES]
    kept = np.full_like(full, -np.inf)
    np.put_along_axis(kept, best, np.take_along_axis(full, best, axis=1), axis=1)
    return kept


def quality(places: NDArray[np.int64]) -> dict[str, float]:
    """Shares of the questions, and the mean reciprocal rank, which counts places after `TOP` as zero."""
    return {
        "recall_at_1": float((places <= 1).mean()),
        f"recall_at_{TOP}": float((places <= TOP).mean()),
        "mrr": float(np.where(places <= TOP, 1 / places, 0).mean()),
    }


def mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def read(place: Path, words: Sequence[str] | None = None) -> list[Corpus]:
    """The corpora of a folder.

    Raises:
        SystemExit: there is none.
    """
    files = sorted(place.glob("*.json*")) if place.is_dir() else [place]
    chosen = [file for file in files if not words or any(word in file.name for word in words)]
    corpora = [corpus(file) for file in chosen]
    corpora = [found for found in corpora if found.questions]
    if not corpora:
        raise SystemExit(
            f"{place} holds no questions with contexts; expected SQuAD-like .json or .jsonl files."
        )
    return corpora


def corpus(file: Path) -> Corpus:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        pairs = [(row["question"], row["context"]) for row in rows]
    else:
        paragraphs = [
            paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]
        ]
        pairs = [
            (qa["question"], paragraph["context"]) for paragraph in paragraphs for qa in paragraph["qas"]
        ]
    places = {context: place for place, context in enumerate(dict.fromkeys(context for _, context in pairs))}
    return Corpus(file.stem, list(places), [q for q, _ in pairs], [places[context] for _, context in pairs])


def table(results: dict[str, Any]) -> str:
    lines = [f"{'size':<22} {'bytes':>6} {'R@1':>6} {f'R@{TOP}':>6} {f'MRR@{TOP}':>7} {'kept':>7}"]
    for row in results["sizes"]:
        values = (row["recall_at_1"], row[f"recall_at_{TOP}"], row["mrr"])
        numbers = " ".join(f"{value:6.3f}" for value in values)
        lines.append(f"{row['size']:<22} {row['bytes']:>6} {numbers}  {row['mrr_kept']:7.1%}")
    return "\n".join(lines)


def plot(results: dict[str, Any], file: Path) -> None:
    """Write a PNG of quality against bytes."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for row in results["sizes"]:
        axes.plot(row["bytes"], row["mrr"], "o")
        axes.annotate(
            row["size"], (row["bytes"], row["mrr"]), xytext=(4, 4), textcoords="offset points", size=7
        )
    axes.set_xscale("log", base=2)
    axes.set_xlabel("bytes a vector in the index (full vectors for rescoring lie on disk)")
    axes.set_ylabel(f"MRR@{TOP}, mean of {len(results['corpora'])} corpora")
    axes.set_title(f"Size of vectors and retrieval: {results['model']}")
    figure.savefig(file, dpi=150)
