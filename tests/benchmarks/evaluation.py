"""`eval` beside sentence-transformers' evaluator: the same checkpoint, passages and questions, in turn."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.evaluation import InformationRetrievalEvaluator

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.cli import evaluating
from qwen_agentkit.evaluation.formats import Benchmark
from qwen_agentkit.stack import Stack

__all__ = ["add_options", "measure"]


def add_options(command: argparse.ArgumentParser) -> None:
    """Say which data set is measured, and how much of it."""
    command.add_argument("data", type=Path, help="a data set of SQuAD's form, such as XQuAD")
    command.add_argument("--languages", default="en", help="codes, with commas")
    command.add_argument("--questions", type=int, default=200, help="most questions")


def measure(data: Path, languages: str, questions: int, rounds: int) -> dict[str, Any]:
    """Measure both in turn, models loaded.

    Ours is the whole of `eval`: storing the passages, the searches by meaning and by words and their fusion,
    rows, measures and intervals. The peer embeds passages and questions and ranks them by meaning alone.

    Returns:
        Seconds of each round, the ratio of the medians, and the MRR@10 by meaning of both, which agree.
    """
    benchmark = evaluating.read_questions_of(data, languages=languages, limit=questions)
    stack = Stack("nano", Path(tempfile.mkdtemp()) / "store")
    stack.embeddings.embed_query("warm")
    peer = SentenceTransformer(
        str(nano_folder("nano-embedding")), device="cpu", model_kwargs={"dtype": "float32"}
    )
    seconds: dict[str, list[float]] = {"ours": [], "sentence-transformers": []}
    agreement: dict[str, float] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            summary = evaluating.evaluate(stack, benchmark, Path(folder) / "run")
            seconds["ours"].append(time.perf_counter() - begin)
        pair = next(iter(summary.ranks.values()))
        agreement["ours"] = round(pair["dense"]["RR@10"].value, 4)
        begin = time.perf_counter()
        agreement["sentence-transformers"] = round(
            _evaluate(peer, benchmark, stack.embeddings.query_prompt), 4
        )
        seconds["sentence-transformers"].append(time.perf_counter() - begin)
    ours, theirs = (statistics.median(values) for values in seconds.values())
    return {
        "questions": len(benchmark.questions),
        "passages": len(benchmark.documents),
        "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "times_slower_than_ours": round(theirs / ours, 2),
        "mrr_by_meaning": agreement,
    }


def _evaluate(peer: SentenceTransformer, benchmark: Benchmark, prompt: str) -> float:
    evaluator = InformationRetrievalEvaluator(
        queries={one.id: one.question for one in benchmark.questions},
        corpus={str(one.id): one.page_content for one in benchmark.documents},
        relevant_docs={one.id: set(one.passages) for one in benchmark.questions},
        query_prompt=prompt,
        mrr_at_k=[10],
        write_csv=False,
    )
    found: dict[str, float] = evaluator(peer)
    return next(value for name, value in found.items() if name.endswith("cosine_mrr@10"))
