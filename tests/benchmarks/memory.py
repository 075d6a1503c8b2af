"""Memory beside the weights while long documents are reranked, each in a process of its own.

Layers have the width of the 0.6B shape, but there are four of them: a layer's activations are freed before
the next, so the depth adds time, and memory only for the keys and values that someone keeps.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from tests.benchmarks import peers, rerank, shape
from tests.benchmarks.machine import OURS, machine, peak_memory, say
from tests.benchmarks.peers import Pairs
from tests.benchmarks.work import QUERIES, Effort, texts

LAYERS = 4
DOCUMENTS, TOKENS = 8, 8192

NAMES = (OURS, "cross_encoder", "cross_encoder_batch_1", "tutorial")


def measure(effort: Effort) -> dict[str, Any]:
    """Megabytes beside the weights, and seconds, of each; a peer that needs more than there is says so."""
    found = {}
    for name in NAMES[:1] if effort.quick else NAMES:
        left = effort.deadline(1) - time.perf_counter()
        found[name] = _alone(name, effort.quick, max(left, 60))
        say(f"  {name}: {found[name]}")
    return {
        **machine(),
        "documents": DOCUMENTS,
        "tokens": _tokens(effort.quick),
        "layers": LAYERS,
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


def _scorer(name: str, place: str) -> Callable[[Pairs], list[float]]:
    if name == OURS:
        return rerank.Rerankers(place).score
    if name == "tutorial":
        return peers.TutorialReranker(place, "cpu", "bfloat16").score
    encoder, size = peers.cross_encoder(place, "cpu"), 1 if name.endswith("1") else 32
    return lambda pairs: [
        float(s) for s in encoder.predict(list(pairs), batch_size=size, show_progress_bar=False)
    ]


def main() -> None:
    """Measure one of `NAMES` here, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size, layers = ("tiny", 2) if options.quick else ("0.6b", LAYERS)
    place = str(shape.folder(size, layers=layers))
    # Who needs more than there is should fail, and not take the machine along.
    room = psutil.Process().memory_info().vms + int(0.9 * psutil.virtual_memory().available)
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    score = _scorer(options.name, place)
    words = _words(place, _tokens(options.quick))
    pairs = [(QUERIES[0], text) for text in texts([words] * DOCUMENTS)]
    score([(QUERIES[0], "warm up")])  # the weights are read into memory when they are first used
    start = time.perf_counter()
    with peak_memory() as peak:
        score(pairs)
    print(
        json.dumps({"megabytes": round(peak.bytes / 1e6), "seconds": round(time.perf_counter() - start, 1)})
    )


def _words(place: str, tokens: int) -> int:
    """Words of a document that fills a prompt of so many tokens, and leaves some room."""
    ids = rerank.Rerankers(place).ids([(QUERIES[0], texts([1000])[0])])[0]
    return int(0.97 * 1000 * (tokens - 100) / len(ids))


if __name__ == "__main__":
    main()
