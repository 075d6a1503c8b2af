"""The work of `eval` and `calibrate`: values in, values out. Prints nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from qwen_agentkit.calibration import save_calibration
from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.answers import answer_with
from qwen_agentkit.evaluation.bootstrap import Estimate
from qwen_agentkit.evaluation.calibrate import Fit, fit_calibration
from qwen_agentkit.evaluation.crowding import measure_crowding
from qwen_agentkit.evaluation.finders import StoreFinder
from qwen_agentkit.evaluation.formats import Benchmark, read_benchmark
from qwen_agentkit.evaluation.gold import ask_across, check_gold
from qwen_agentkit.evaluation.make import propose_questions
from qwen_agentkit.evaluation.questions import write_questions
from qwen_agentkit.evaluation.report import render_html
from qwen_agentkit.evaluation.run import read_run, run_questions
from qwen_agentkit.evaluation.summary import Summary, summarize
from qwen_agentkit.evaluation.tool_calls import ToolReport, measure_tool_calls, read_tool_cases
from qwen_agentkit.stack import Stack
from qwen_agentkit.vectorstores.store import QwenVectorStore

__all__ = [
    "calibrate",
    "crowding",
    "evaluate",
    "make_questions",
    "read_questions_of",
    "tool_calls",
    "write_html",
]

Progress = Callable[[str, int, int], None]
_BATCH = 256
"""Passages stored at a time."""


def read_questions_of(
    path: Path, *, across: str | None = None, languages: str | None = None, limit: int | None = None
) -> Benchmark:
    """Read questions or a data set; see `read_benchmark` and `ask_across`.

    Args:
        path: The file or folder.
        across: Language of the passages to search, of a parallel data set.
        languages: Codes of the languages to read, with commas.
        limit: The most questions; of more, every n-th is taken.
    """
    wanted = frozenset(code.strip() for code in (languages or "").split(",") if code.strip())
    benchmark = read_benchmark(path, wanted | {across} if across and wanted else wanted)
    if across:
        benchmark = ask_across(benchmark, across)
    if wanted:
        benchmark.questions = [one for one in benchmark.questions if one.language.split("-")[0] in wanted]
    if limit and len(benchmark.questions) > limit:
        step = len(benchmark.questions) / limit
        benchmark.questions = [benchmark.questions[int(place * step)] for place in range(limit)]
    if not benchmark.questions:
        raise InputError(f"{str(path)!r} holds no questions of that kind; expected some. Check --languages.")
    return benchmark


def evaluate(
    stack: Stack,
    benchmark: Benchmark,
    out: Path,
    *,
    answers: bool = False,
    all_stages: bool = False,
    candidates: int = 20,
    progress: Progress | None = None,
) -> Summary:
    """Run the questions and return the measures; the rows stay in `out`, and a killed run is continued.

    A data set with passages is searched in a store of its own, in `out`; without, the store of the stack is.

    Raises:
        InputError: `out` holds another run, or the store does not hold a passage that a question names.
    """
    own = Stack(stack.preset, out / "store") if benchmark.documents else stack
    with own.store(create=bool(benchmark.documents)) as store:
        questions = benchmark.questions
        if benchmark.documents:
            _fill(store, benchmark, progress)
        else:
            questions = check_gold(questions, store)
        finder = StoreFinder(own, store, candidates, all_stages)
        answer = answer_with(own.rag_graph(store).compile()) if answers else None
        run_questions(
            questions,
            finder,
            out,
            settings={"questions": _digest(benchmark), "all_stages": all_stages},
            total=len(questions),
            answer=answer,
            progress=progress,
        )
    return summarize(*read_run(out))


def calibrate(
    stack: Stack, benchmark: Benchmark, *, error: float, progress: Progress | None = None
) -> tuple[Fit, Path | None]:
    """Fit the stack's models, and keep the result beside the store; return it and its file.

    A data set with passages is searched in a store in memory, and nothing is kept.
    """
    if benchmark.documents:
        with QwenVectorStore(stack.embeddings, path=":memory:") as store:
            _fill(store, benchmark, progress)
            finder = StoreFinder(stack, store)
            return fit_calibration(benchmark.questions, finder, error=error, progress=progress), None
    with stack.store() as store:
        questions = check_gold(benchmark.questions, store)
        fit = fit_calibration(questions, StoreFinder(stack, store), error=error, progress=progress)
    return fit, save_calibration(stack.folder, fit.calibration)


def make_questions(stack: Stack, file: Path, *, limit: int) -> int:
    """Propose questions about the documents of the store into a new file, and return how many.

    The chat model of the stack writes them; a stack that quotes its answers makes them by rule.
    """
    if file.exists():
        raise InputError(f"{str(file)!r} exists; expected a new file. Choose another name, or delete it.")
    with stack.store() as store:
        proposed = list(propose_questions(store.scroll(), model=stack.answering, limit=limit))
    return write_questions(file, proposed)


def crowding(
    stack: Stack, benchmark: Benchmark, out: Path, *, limit: int | None, progress: Progress | None = None
) -> dict[str, dict[str, Estimate]]:
    """Measure crowding on a parallel data set, in a store of its own in `out`; see `measure_crowding`."""
    if len({question.document_language for question in benchmark.questions}) < 2 or not benchmark.documents:
        raise InputError(
            f"{benchmark.name!r} is not parallel in two languages or more; expected a set such as XQuAD. "
            "Name its folder."
        )
    own = Stack(stack.preset, out / "store")
    with own.store(create=True) as store:
        _fill(store, benchmark, progress)
        return measure_crowding(benchmark, StoreFinder(own, store), limit=limit, progress=progress)


def tool_calls(
    stack: Stack, path: Path, *, limit: int | None, progress: Progress | None = None
) -> ToolReport:
    """Measure the tool calls of the chat model, without thinking and without chance."""
    cases = read_tool_cases(path, limit=limit)
    return measure_tool_calls(cases, stack.chat, progress=progress, thinking=False, temperature=0.0)


def write_html(file: Path, summary: Summary) -> None:
    """Write the report of a run as one page."""
    try:
        file.write_text(render_html(summary), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{str(file)!r} cannot be written ({error.strerror}); expected a file in a folder that you can "
            "write to. Type, for instance: --html report.html"
        ) from error


def _fill(store: QwenVectorStore, benchmark: Benchmark, progress: Progress | None) -> None:
    """Store the passages of a data set, unless an earlier run has."""
    documents = benchmark.documents
    done = store.count()
    for start in range(done if done < len(documents) else len(documents), len(documents), _BATCH):
        part = documents[start : start + _BATCH]
        store.add_documents(part, ids=[str(document.id) for document in part])
        if progress:
            progress("passages", start + len(part), len(documents))


def _digest(benchmark: Benchmark) -> str:
    """Name the questions, so that a run is not continued with others."""
    digest = hashlib.sha256()
    for question in benchmark.questions:
        digest.update(repr(question).encode(errors="replace"))
    return f"{benchmark.name}: {len(benchmark.questions)} ({digest.hexdigest()[:12]})"
