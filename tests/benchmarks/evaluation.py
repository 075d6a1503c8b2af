"""`eval` beside sentence-transformers' evaluator: the same checkpoint, passages and questions, in turn."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

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
        Seconds of each round by the clock and of the processors, the ratios of their medians, and the
        MRR@10 by meaning of both, which agree. Processor seconds hardly depend on what else the machine does.
    """
    benchmark = evaluating.read_questions_of(data, languages=languages, limit=questions)
    stack = Stack("nano", Path(tempfile.mkdtemp()) / "store")
    peer = SentenceTransformer(
        str(nano_folder("nano-embedding")), device="cpu", model_kwargs={"dtype": "float32"}
    )
    runs: dict[str, Callable[[Benchmark], float]] = {
        "ours": lambda part: _evaluate_ours(stack, part),
        "sentence-transformers": lambda part: _evaluate_peer(peer, part, stack.embeddings.query_prompt),
    }
    few = replace(benchmark, documents=benchmark.documents[:8], questions=benchmark.questions[:2])
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    processor: dict[str, list[float]] = {name: [] for name in runs}
    agreement: dict[str, float] = {}
    for run in runs.values():
        run(few)
    for _ in range(rounds):
        for name, run in runs.items():
            begin, worked = time.perf_counter(), time.process_time()
            agreement[name] = round(run(benchmark), 4)
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - worked)
    return {
        "questions": len(benchmark.questions),
        "passages": len(benchmark.documents),
        "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "processor_seconds": {
            name: [round(value, 2) for value in values] for name, values in processor.items()
        },
        "times_slower_than_ours": _ratio(seconds),
        "times_the_processor_of_ours": _ratio(processor),
        "mrr_by_meaning": agreement,
    }


def _ratio(values: dict[str, list[float]]) -> float:
    return round(statistics.median(values["sentence-transformers"]) / statistics.median(values["ours"]), 2)


def _evaluate_ours(stack: Stack, benchmark: Benchmark) -> float:
    with tempfile.TemporaryDirectory() as folder:
        summary = evaluating.evaluate(stack, benchmark, Path(folder) / "run")
    ranks: dict[str, Any] = next(iter(summary.ranks.values()))
    return float(ranks["dense"]["RR@10"].value)


def _evaluate_peer(peer: SentenceTransformer, benchmark: Benchmark, prompt: str) -> float:
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
