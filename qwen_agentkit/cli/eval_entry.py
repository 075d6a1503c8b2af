"""`qwen-agentkit eval` and `qwen-agentkit calibrate`: the commands and their arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from qwen_agentkit.cli.options import DEFAULT_STORE, AsJson, Preset, Store, open_stack, print_json
from qwen_agentkit.cli.terminal import progress_bars
from qwen_agentkit.errors import InputError

__all__ = ["calibrate", "eval_app"]

DEFAULT_RUNS = Path(".qwen-agentkit/eval")


class _RunByDefault(TyperGroup):
    """A group of commands of which `run` may be left out: `eval FILE` is `eval run FILE`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # click's
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


eval_app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Measure search and answers on questions with known answers.",
)

Questions = Annotated[
    Path, typer.Argument(help="Questions (JSONL) or a data set; see docs/evaluation.md.", metavar="PATH")
]
Across = Annotated[
    str | None,
    typer.Option(help="Search passages of this language, in a parallel set.", metavar="CODE"),
]
Languages = Annotated[
    str | None, typer.Option(help="Languages to read, such as ar,en. Default: all.", metavar="CODES")
]
Limit = Annotated[int | None, typer.Option(help="Most questions; of more, every n-th.", min=1)]


@eval_app.command("run")
def eval_run(
    questions: Annotated[
        Path | None,
        typer.Argument(help="Questions (JSONL) or a data set; see docs/evaluation.md.", metavar="PATH"),
    ] = None,
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the rows. A run that was stopped goes on there.", metavar="DIR"),
    ] = None,
    across: Across = None,
    languages: Languages = None,
    limit: Limit = None,
    answers: Annotated[bool, typer.Option("--answers", help="Answer the questions too.")] = False,
    all_stages: Annotated[
        bool, typer.Option("--all-stages", help="Rerank also where the preset does not.")
    ] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Say what really differs between the runs in two folders.", metavar="DIR DIR"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the report to this file, as one HTML page.", metavar="FILE")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure ranks by language pair and stage, abstention, and answers, each with its interval.

    Exit code 3 means that some questions failed.
    """
    from qwen_agentkit.cli import evaluating, show_evaluation  # loads torch: only when a command runs
    from qwen_agentkit.evaluation.compare import compare_runs
    from qwen_agentkit.evaluation.report import to_json

    if compare is not None and questions is None:
        found = compare_runs(*compare)
        print_json(to_json(found)) if as_json else show_evaluation.print_comparison(found)
        return
    if compare is not None or questions is None:
        raise InputError(
            "Expected either questions to run or two folders to compare. Type `qwen-agentkit eval "
            "questions.jsonl` or `qwen-agentkit eval --compare DIR DIR`."
        )
    benchmark = evaluating.read_questions_of(questions, across=across, languages=languages, limit=limit)
    stack = open_stack(preset, store)
    folder = out or DEFAULT_RUNS / f"{benchmark.name.replace(' ', '-')}-{stack.preset}"
    with progress_bars(silent=as_json) as progress:
        stages = {"answers": answers, "all_stages": all_stages}
        summary = evaluating.evaluate(stack, benchmark, folder, **stages, progress=progress)
    if html is not None:
        evaluating.write_html(html, summary)
    if as_json:
        print_json(to_json(summary))
    else:
        show_evaluation.print_summary(summary, folder)
    if summary.failed:
        sys.exit(3)


@eval_app.command("make")
def eval_make(
    file: Annotated[Path, typer.Argument(help="New file for the questions.", metavar="FILE")],
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    limit: Annotated[int, typer.Option(help="Most questions.", min=1)] = 50,
) -> None:
    """Propose questions about the documents of the store, for a person to keep or drop.

    The chat model of the preset writes them; with nano they are made by rule.
    """
    from qwen_agentkit.cli import evaluating  # loads torch: only when a command runs

    count = evaluating.make_questions(open_stack(preset, store), file, limit=limit)
    typer.echo(f"{count} questions proposed in {file}. Read them, and delete those that are no good.")


@eval_app.command("crowding")
def eval_crowding(
    data: Annotated[Path, typer.Argument(help="A parallel data set, such as XQuAD.", metavar="PATH")],
    preset: Preset = "nano",
    out: Annotated[Path | None, typer.Option(help="Folder of the store.", metavar="DIR")] = None,
    languages: Languages = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Measure whether passages in the question's language push out the foreign one that answers."""
    from qwen_agentkit.cli import evaluating, show_evaluation  # loads torch: only when a command runs
    from qwen_agentkit.evaluation.report import to_json

    benchmark = evaluating.read_questions_of(data, languages=languages)
    folder = out or DEFAULT_RUNS / f"{benchmark.name}-{preset}-crowding"
    with progress_bars(silent=as_json) as progress:
        stack = open_stack(preset, folder / "store")
        found = evaluating.crowding(stack, benchmark, folder, limit=limit, progress=progress)
    print_json(to_json(found)) if as_json else show_evaluation.print_crowding(found)


@eval_app.command("tools")
def eval_tools(
    data: Annotated[Path, typer.Argument(help="A file or folder in BFCL's form.", metavar="PATH")],
    preset: Preset = "nano",
    limit: Annotated[int | None, typer.Option(help="Most cases of a category.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the tool calls of the chat model against the answers of BFCL."""
    from qwen_agentkit.cli import evaluating, show_evaluation  # loads torch: only when a command runs
    from qwen_agentkit.evaluation.report import to_json

    with progress_bars(silent=as_json) as progress:
        found = evaluating.tool_calls(open_stack(preset, DEFAULT_STORE), data, limit=limit, progress=progress)
    print_json(to_json(found)) if as_json else show_evaluation.print_tool_calls(found)


def calibrate(
    questions: Questions,
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    error: Annotated[
        float, typer.Option(help="Share of answers that may be wrong.", min=0.001, max=0.5)
    ] = 0.05,
    across: Across = None,
    languages: Languages = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Fit fusion, reranking and the threshold of relevance on questions, and keep them beside the store.

    With a data set that brings its passages, nothing is kept: the rows for the catalog are printed.
    """
    from qwen_agentkit.cli import evaluating, show_evaluation  # loads torch: only when a command runs
    from qwen_agentkit.evaluation.report import to_json

    benchmark = evaluating.read_questions_of(questions, across=across, languages=languages, limit=limit)
    with progress_bars(silent=as_json) as progress:
        fit, file = evaluating.calibrate(open_stack(preset, store), benchmark, error=error, progress=progress)
    if as_json:
        print_json({**to_json(fit), "file": file and str(file)})
    else:
        show_evaluation.print_fit(fit, file)
