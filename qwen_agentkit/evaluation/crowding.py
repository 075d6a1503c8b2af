"""Whether passages in the question's language push out the foreign one that answers: on parallel data.

Knows a finder and a parallel data set. For each question the answering passage in its own language is left
out of the ranking, so that one in another language has to stand against all others of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from qwen_agentkit.evaluation.bootstrap import Estimate, estimate_mean
from qwen_agentkit.evaluation.finders import StoreFinder
from qwen_agentkit.evaluation.formats import Benchmark
from qwen_agentkit.evaluation.gold import parallel_id
from qwen_agentkit.vectorstores.points import Hit

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
    """Return, by language of the question and stage, how often a foreign answer is among the first ten.

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
            stages = {"dense": legs.dense, "words": legs.words, "fused": legs.fuse(finder.store.fusion)}
            own, others = set(question.passages), gold[parallel_id(question)] - set(question.passages)
            for stage, hits in stages.items():
                names = [name for name in map(_name, hits) if name not in own][:_DEPTH]
                hit = float(any(name in others for name in names))
                found.setdefault(question.language, {}).setdefault(stage, []).append(hit)
        if progress:
            progress("crowding", start + len(batch), len(questions))
    return {
        language: {stage: estimate_mean(values) for stage, values in stages.items()}
        for language, stages in sorted(found.items())
    }


def _name(hit: Hit) -> str:
    return str(hit.document().id)
