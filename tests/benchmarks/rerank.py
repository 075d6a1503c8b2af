"""Rerank 1 query x 8 documents: `QwenReranker` against sentence-transformers' CrossEncoder."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from sentence_transformers import CrossEncoder

from qwen_agentkit import QwenReranker
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION, RERANK_SUFFIX
from tests.benchmarks import shape
from tests.benchmarks.machine import gemm_gigaflops

WORDS = [
    *(
        "the",
        "library",
        "harbour",
        "boat",
        "kiln",
        "morning",
        "price",
        "visitor",
        "member",
        "opens",
        "closes",
    ),
    *("every", "Tuesday", "garden", "which", "water", "level", "is", "kept", "under", "twelve", "degrees"),
    *("because", "fish", "and", "plants", "rest", "مكتبة", "الميناء", "图书馆", "窑炉"),
]
QUERY = "At what time does the boat to the island leave on weekdays?"
PEER_BATCHES = (2, 4, 32)  # 32 is its default


def documents() -> list[str]:
    """Eight documents of 30 to 150 words, from a seed: passages as a retriever gives them."""
    dice = random.Random(0)
    return [" ".join(dice.choices(WORDS, k=dice.randint(30, 150))) for _ in range(8)]


def measure(rounds: int) -> dict[str, Any]:
    """Seconds of both in interleaved rounds, their ratio, and how far their scores are apart.

    Raises:
        RuntimeError: the two do not score the same token ids.
    """
    place = str(shape.folder())
    texts = documents()
    ours = QwenReranker(model=place, device="cpu")
    prompt: Any = {"prompts": {"task": DEFAULT_INSTRUCTION}, "default_prompt_name": "task", "device": "cpu"}
    peer = CrossEncoder(place, model_kwargs={"dtype": ours._loaded.dtype}, **prompt)  # the faster type here
    as_it_comes = CrossEncoder(place, **prompt)
    tokens = _equal_ids(ours, peer, texts)
    pairs = [(QUERY, text) for text in texts]

    def score() -> list[float]:
        ours._asked.clear()  # a question asked before would be half the work
        return ours.score(pairs)

    runs: dict[str, Callable[[], Any]] = {
        "qwen_agentkit": score,
        "cross_encoder_as_it_comes": lambda: as_it_comes.predict(pairs, show_progress_bar=False),
    }
    for size in PEER_BATCHES:
        runs[f"cross_encoder_batch_{size}"] = lambda size=size: peer.predict(
            pairs, batch_size=size, show_progress_bar=False
        )
    peak = gemm_gigaflops(ours._loaded.dtype)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    scores: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            scores[name] = [float(score) for score in run()]
            if turn:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    peaks = (peak, gemm_gigaflops(ours._loaded.dtype))
    peers = [name for name in runs if name.startswith("cross_encoder_batch")]
    best_peer = min(peers, key=lambda n: min(seconds[n]))
    return {
        "tokens": tokens,
        "dtype": str(ours._loaded.dtype),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "gemm_gigaflops_before_and_after": peaks,
        "quiet": max(peaks) < 1.1 * min(peaks),  # else the machine had other work: trust the ratio less
        "seconds_min": {name: round(min(times), 3) for name, times in seconds.items()},
        "seconds_median": {name: round(statistics.median(times), 3) for name, times in seconds.items()},
        "best_peer": best_peer,
        "dtype_of_the_peer_as_it_comes": str(as_it_comes.model.dtype),
        "speedup_min_over_the_peer_as_it_comes": round(
            min(seconds["cross_encoder_as_it_comes"]) / min(seconds["qwen_agentkit"]), 2
        ),
        "speedup_min": round(min(seconds[best_peer]) / min(seconds["qwen_agentkit"]), 2),
        "speedup_median": round(
            statistics.median(seconds[best_peer]) / statistics.median(seconds["qwen_agentkit"]), 2
        ),
        "largest_score_difference": max(
            abs(a - b) for a, b in zip(scores["qwen_agentkit"], scores[best_peer], strict=True)
        ),
    }


def _equal_ids(ours: QwenReranker, peer: CrossEncoder, texts: list[str]) -> int:
    """Check that both read the same token ids; returns how many there are in all."""
    pairs = [(QUERY, text) for text in texts]
    heads = ours._heads({QUERY})
    mine = [heads[QUERY] + tail for tail in ours._tails(pairs, heads)[0]]
    batch = peer.preprocess(pairs, prompt=DEFAULT_INSTRUCTION)
    theirs = [
        row[mask.bool()].tolist()
        for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    if mine != theirs or mine[0][-9:] != ours._loaded.encode_prompt(RERANK_SUFFIX):
        raise RuntimeError("The two read different token ids; their times cannot be compared.")
    return sum(map(len, mine))
