"""Memory beside the weights while texts are embedded or long documents reranked, a process of its own each.

For reranking, layers have the width of the 0.6B shape, but there are four of them: a layer's activations are
freed before the next, so the depth adds time, and memory only for the keys and values that someone keeps.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
from langchain_core.embeddings import Embeddings

from qwen_agentkit import QwenEmbeddings
from tests.benchmarks import embed, peers, rerank, shape
from tests.benchmarks.machine import OURS, machine, peak_memory, say
from tests.benchmarks.peers import Pairs
from tests.benchmarks.work import QUERIES, Effort, log_normal, texts

Work = Callable[[], Any]

LAYERS = 4
DOCUMENTS, TOKENS = 8, 8192

# As many texts are embedded, in slices as a vector store makes them.
TEXTS = 128

RERANKERS = (OURS, "cross_encoder", "cross_encoder_batch_1", "tutorial")
EMBEDDERS = (f"{OURS}_embedding", "langchain_huggingface_embedding")


def measure(effort: Effort) -> dict[str, Any]:
    """Megabytes beside the weights, and seconds, of each; a peer that needs more than there is says so."""
    found = {}
    for name in (RERANKERS[0], EMBEDDERS[0]) if effort.quick else (*EMBEDDERS, *RERANKERS):
        left = effort.deadline(1) - time.perf_counter()
        found[name] = _alone(name, effort.quick, max(left, 60))
        say(f"  {name}: {found[name]}")
    return {
        **machine(),
        "documents": DOCUMENTS,
        "tokens": _tokens(effort.quick),
        "layers": LAYERS,
        "texts": TEXTS,
        "cases": found,
    }


def _alone(name: str, quick: bool, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, name, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds:.0f} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _tokens(quick: bool) -> int:
    return 512 if quick else TOKENS


def _reranking(name: str, quick: bool) -> tuple[Work, Work]:
    """A warm-up, for which the weights are read into memory, and the work."""
    size, layers = ("tiny", 2) if quick else ("0.6b", LAYERS)
    place = str(shape.folder(size, layers=layers))
    score: Callable[[Pairs], Any]
    if name == OURS:
        score = rerank.Rerankers(place).score
    elif name == "tutorial":
        score = peers.TutorialReranker(place, "cpu", "bfloat16").score
    else:
        encoder, many = peers.cross_encoder(place, "cpu"), 1 if name.endswith("1") else 32
        score = partial(encoder.predict, batch_size=many, show_progress_bar=False)
    documents = texts([_words(place, _tokens(quick))] * DOCUMENTS)
    pairs = [(QUERIES[0], text) for text in documents]
    return partial(score, [(QUERIES[0], "warm up")]), partial(score, pairs)


def _embedding(name: str, quick: bool) -> tuple[Work, Work]:
    """As `_reranking`."""
    place = str(shape.embedder("tiny" if quick else "0.6b"))
    embedder: Embeddings | None
    if name.startswith(OURS):
        embedder = QwenEmbeddings(model=place, device="cpu")
    else:
        embedder = peers.langchain_huggingface(place, "cpu")
    if embedder is None:
        raise SystemExit("langchain-huggingface is not installed.")
    run = embedder.embed_documents
    return partial(run, ["warm up"]), partial(embed.in_slices, run, log_normal(TEXTS, median=30))


def main() -> None:
    """Measure one of them here, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=(*RERANKERS, *EMBEDDERS))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    # Who needs more than there is should fail, and not take the machine along.
    room = psutil.Process().memory_info().vms + int(0.9 * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    prepare = _reranking if options.name in RERANKERS else _embedding
    warm_up, work = prepare(options.name, options.quick)
    warm_up()
    start = time.perf_counter()
    with peak_memory() as peak:
        work()
    print(
        json.dumps({"megabytes": round(peak.bytes / 1e6), "seconds": round(time.perf_counter() - start, 1)})
    )


def _words(place: str, tokens: int) -> int:
    """Words of a document that fills a prompt of so many tokens, and leaves some room."""
    ids = rerank.Rerankers(place).ids([(QUERIES[0], texts([1000])[0])])[0]
    return int(0.97 * 1000 * (tokens - 100) / len(ids))


if __name__ == "__main__":
    main()
