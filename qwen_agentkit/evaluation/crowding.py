"""Whether passages in the question's language push out the foreign one that answers: on parallel data.

Knows a finder and a parallel data set. For each question the answering passage in its own language is left
out of the ranking, so that one in another language has to stand against all others of its own. What the
search in other languages brings is measured with it and without it, in the same searches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qwen_agentkit.catalog import Fusion
from qwen_agentkit.evaluation.bootstrap import Estimate, estimate_mean
from qwen_agentkit.evaluation.finders import StoreFinder
from qwen_agentkit.evaluation.formats import Benchmark
from qwen_agentkit.evaluation.gold import parallel_id
from qwen_agentkit.vectorstores.points import Hit
from qwen_agentkit.vectorstores.search import Legs

__all__ = ["measure_crowding"]

_DEPTH = 10
_SEARCHED = 50
"""Hits of each search, as `QwenVectorStore` takes them: with more, none would be crowded out."""
_BATCH = 64


def measure_crowding(
    benchmark: Benchmark,
    finder: StoreFinder,
    *,
    limit: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, dict[str, Estimate]]:
    """Return, by language of the question and stage, how often a foreign answer is found.

    "dense", "words" and "fused" count the first ten passages, "candidates" all that both searches found.
    "One search" is without the search among the passages in other languages, which adds candidates behind
    those of the search by meaning: it can help the stages that follow, and never "dense" itself.

    Args:
        benchmark: A parallel data set in two or more languages, whose passages the store holds.
        finder: The models and the store.
        limit: The most questions of a language; of more, every n-th is taken. None takes all.
        progress: Called with "crowding", the number of questions done, and the total.
    """
    gold: dict[str, set[str]] = {}
    for question in benchmark.questions:
        gold.setdefault(parallel_id(question), set()).update(question.passages)
    step = max(1, len(gold) // limit) if limit else 1
    taken = set(list(gold)[::step])
    questions = [question for question in benchmark.questions if parallel_id(question) in taken]
    found: dict[str, dict[str, list[float]]] = {}
    for start in range(0, len(questions), _BATCH):
        batch = questions[start : start + _BATCH]
        vectors = finder.stack.embeddings.embed_queries([question.question for question in batch])
        for question, vector in zip(batch, vectors, strict=True):
            legs = finder.store.search_legs(question.question, _SEARCHED, vector=vector.tolist())
            own, others = set(question.passages), gold[parallel_id(question)] - set(question.passages)
            for stage, (hits, depth) in _stages(legs, finder.store.fusion).items():
                names = [name for name in map(_name, hits) if name not in own][:depth]
                hit = float(any(name in others for name in names))
                found.setdefault(question.language, {}).setdefault(stage, []).append(hit)
        if progress:
            progress("crowding", start + len(batch), len(questions))
    return {
        language: {stage: estimate_mean(values) for stage, values in stages.items()}
        for language, stages in sorted(found.items())
    }


def _stages(legs: Legs, fusion: Fusion | None) -> dict[str, tuple[list[Hit], int | None]]:
    """Return the hits of each stage, and how many of them count; None counts all."""
    alone = replace(legs, dense=legs.dense[:_SEARCHED])
    return {
        "dense": (alone.dense, _DEPTH),
        "words": (legs.words, _DEPTH),
        "fused, one search": (alone.fuse(fusion), _DEPTH),
        "fused": (legs.fuse(fusion), _DEPTH),
        "candidates, one search": ([*alone.dense, *alone.words], None),
        "candidates": ([*legs.dense, *legs.words], None),
    }


def _name(hit: Hit) -> str:
    return str(hit.document().id)
