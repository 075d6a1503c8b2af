"""Reranking and embedding in bulk on a GPU."""

from __future__ import annotations

from typing import Any

import torch

from tests.benchmarks import embed, rerank, shape
from tests.benchmarks.embed import Embedders
from tests.benchmarks.machine import Limits, add_shares, machine, say
from tests.benchmarks.rerank import Rerankers
from tests.benchmarks.work import QUERIES, Effort, log_normal, texts

SIZES = (16, 32, 64, 128, 256)  # batches of the peers

QUESTIONS, PASSAGES, TEXTS = 100, 64, 20_000
SAMPLE = 512  # texts or pairs on which the peers' settings are found


def measure(effort: Effort, device: str | None = None) -> dict[str, Any]:
    """Both benchmarks on the GPU; where there is none, it says so and measures nothing."""
    device = device or ("cuda" if torch.cuda.is_available() else None)
    if device is None:
        say("  there is no CUDA device here: left out")
        return {"skipped": "no CUDA device"}
    limits = Limits(device, quick=effort.quick)
    cases = {}
    for name, case in (("rerank", _rerank), ("embed", _embed)):
        cases[name] = case(effort, device)
        say(f"  {name}: {cases[name]['times_slower_than_ours']}")
    found = limits.after()
    add_shares(cases, found["limit_gigaflops"])
    return {**machine(device), **found, "cases": cases}


def _rerank(effort: Effort, device: str) -> dict[str, Any]:
    rerankers = Rerankers(str(shape.folder(effort.size)), device)
    questions = [f"{QUERIES[0]} ({n})" for n in range(2 if effort.quick else QUESTIONS)]
    documents = texts([190] * (2 if effort.quick else PASSAGES))  # 256 tokens
    pairs = [(question, text) for question in questions for text in documents]
    rerankers.prepare(pairs[:SAMPLE], SIZES)
    return {
        "seconds_of_settings": rerankers.tuning,
        **rerank.compared(rerankers, pairs, effort, 0.5),
    }


def _embed(effort: Effort, device: str) -> dict[str, Any]:
    embedders = Embedders(str(shape.embedder(effort.size)), device)
    # It pads all it is given at once, and cannot be compared on thousands of texts.
    embedders.qwen3 = None
    corpus = log_normal(8 if effort.quick else TEXTS, median=30)
    embedders.prepare(corpus[:SAMPLE], SIZES)
    return {"seconds_of_settings": embedders.tuning, **embed.compared(embedders, corpus, effort, 1.0)}
