"""What a call costs beside its arithmetic: a thousand tiny calls on a model of two tiny layers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from qwen_agentkit.engine.forward.packed import Segment, forward
from tests.benchmarks import embed, rerank, shape
from tests.benchmarks.machine import OURS, Run, Timed, computed, interleaved, machine, say
from tests.benchmarks.work import QUERIES, Effort

CALLS = 1000


def measure(effort: Effort) -> dict[str, Any]:
    """Microseconds of a call, the median of a thousand; one thread, since two would only meet."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        calls = 10 if effort.quick else CALLS
        cases = {}
        for case in (_document, _query, _rerank):
            name = case.__name__.removeprefix("_")
            cases[name] = _microseconds(interleaved(**case(calls), rounds=effort.rounds))
            say(f"  {name}: {cases[name]['microseconds_a_call']}")
        bare = _bare_forward(calls)
        say(f"  a bare forward of such a document: {bare}")
    finally:
        torch.set_num_threads(threads)
    return {**machine(), "calls": calls, "microseconds_of_a_bare_forward": bare, "cases": cases}


def _microseconds(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "microseconds_a_call": {name: round(s * 1e6) for name, s in found["seconds_min"].items()},
    }


@computed
def _bare_forward(calls: int) -> int:
    """What no caller can save: the model itself, in transformers' code with our attention."""
    embedders = embed.Embedders(str(shape.embedder("tiny")))
    model, [ids] = embedders.ours._backend.loaded.model, embedders.ids(["boat 0"])
    return round(1e6 * _times(lambda _: forward(model, [Segment(ids)]), calls).seconds)


def _document(calls: int) -> dict[str, Any]:
    embedders = embed.Embedders(str(shape.embedder("tiny")))
    transformer = embedders.transformer("float32")
    runs: dict[str, Callable[[str], Any]] = {
        OURS: lambda text: embedders.ours.embed_documents([text]),
        "sentence_transformers": lambda text: transformer.encode([text], show_progress_bar=False),
    }
    if huggingface := embedders.huggingface:
        runs["langchain_huggingface"] = lambda text: huggingface.embed_documents([text])
    return {"runs": _each(runs, "boat", calls), "apart": _vectors_apart, "tolerance": embed.TOLERANCE}


def _query(calls: int) -> dict[str, Any]:
    embedders = embed.Embedders(str(shape.embedder("tiny")))
    transformer = embedders.transformer("float32")
    runs: dict[str, Callable[[str], Any]] = {
        OURS: embedders.ours.embed_query,
        "sentence_transformers": lambda text: transformer.encode(
            text, prompt_name="query", show_progress_bar=False
        ),
    }
    if huggingface := embedders.huggingface:
        runs["langchain_huggingface"] = huggingface.embed_query
    return {"runs": _each(runs, QUERIES[0], calls), "apart": _vectors_apart, "tolerance": embed.TOLERANCE}


def _rerank(calls: int) -> dict[str, Any]:
    rerankers = rerank.Rerankers(str(shape.folder("tiny")))
    runs: dict[str, Callable[[str], Any]] = {
        OURS: lambda text: rerankers.score([(QUERIES[0], text)], held=True),
        f"{OURS}_new_question": lambda text: rerankers.score([(QUERIES[0], text)]),
        "cross_encoder": lambda text: rerankers.predict([(QUERIES[0], text)], "float32"),
    }
    return {"runs": _each(runs, "boat", calls), "apart": _scores_apart, "tolerance": rerank.TOLERANCE}


def _each(runs: dict[str, Callable[[str], Any]], text: str, calls: int) -> dict[str, Run]:
    return {name: lambda run=run: _times(lambda n: run(f"{text} {n}"), calls) for name, run in runs.items()}


def _times(run: Callable[[int], Any], calls: int) -> Timed:
    """Outputs of the calls, and the median of their seconds."""
    outputs, seconds = [], []
    for n in range(calls):
        start = time.perf_counter()
        outputs.append(run(n))
        seconds.append(time.perf_counter() - start)
    return Timed(outputs, statistics.median(seconds))


def _vectors_apart(left: Any, right: Any) -> float:
    rows = (np.asarray(side, dtype=np.float32).reshape(len(side), -1) for side in (left, right))
    return embed.apart(*rows)


def _scores_apart(left: list[list[float]], right: list[list[float]]) -> float:
    return max(rerank.apart(a, b) for a, b in zip(left, right, strict=True))
