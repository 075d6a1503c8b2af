"""The commands and their arguments. Their work is in `commands`, their output in `show`."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from qwen_agentkit.cli.options import DEFAULT_STORE, AsJson, Preset, Store, choose_preset, print_json
from qwen_agentkit.cli.store_entry import docs_app, store_app
from qwen_agentkit.errors import InputError, QwenAgentKitError, ServerAccessError

if TYPE_CHECKING:
    from qwen_agentkit.ingest.ocr import OcrMode
    from qwen_agentkit.stack import Stack

__all__ = ["app", "main"]

app = typer.Typer(
    name="qwen-agentkit",
    help="Local Qwen3 models for LangChain and LangGraph: documents in many languages in, cited answers out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

app.add_typer(docs_app, name="docs")
app.add_typer(store_app, name="store")

Think = Annotated[
    bool | None,
    typer.Option("--think/--no-think", help="Think before answering. Default: the default of the model."),
]
Candidates = Annotated[int, typer.Option(help="Passages to retrieve before reranking.", min=1, max=200)]

DEFAULT_RUNS = Path(".qwen-agentkit/eval")


def _print_version(wanted: bool) -> None:
    if wanted:
        from qwen_agentkit import __version__

        typer.echo(f"qwen-agentkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run a command. An expected error becomes one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without the script shows "?"
    try:
        app()
    except QwenAgentKitError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


@app.command()
def ingest(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files and folders: md, txt, html, pdf, docx, pptx, xlsx, csv, eml, zip and more."
        ),
    ],
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    groups: Annotated[
        bool,
        typer.Option("--groups", help="The first folder below each path names the group that may read it."),
    ] = False,
    ocr: Annotated[
        str,
        typer.Option(
            help="Recognize text in PDF files with Tesseract: auto (pages without text), off or force.",
            metavar="MODE",
        ),
    ] = "auto",
    ocr_languages: Annotated[
        str | None,
        typer.Option(help="Languages to recognize, such as ar,en. Default: those stored.", metavar="CODES"),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Encoding of text files, such as windows-1256. Default: detected.", metavar="NAME"),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Embed on a Ray cluster: the one of RAY_ADDRESS, or this machine.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that embed with --ray. Default: one for each GPU or machine.", min=1),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on until Ctrl-C: ingest what changes, and retry what failed."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the store up to date with documents. Only changed ones are embedded again.

    Exit code 3 means that some files could not be read, 2 that none could be.
    """
    if watch and ray:
        raise InputError("--watch and --ray do not go together. Leave one of them out.")
    if workers is not None and not ray:
        raise InputError(
            f"--workers {workers} needs --ray, since Ray starts the workers. Add --ray, or leave it out."
        )
    from qwen_agentkit.cli import commands, show  # loads torch: only when a command runs

    stack = _stack(preset, store)
    if watch:
        for result in commands.watch(stack, paths, groups=groups):
            if as_json:
                print_json(result.to_dict())
                sys.stdout.flush()
            else:
                show.print_watch_report(result)
        return
    run = partial(commands.ingest_on_ray, workers=workers) if ray else commands.ingest
    mode = cast("OcrMode", ocr)  # Another word is refused with a better message than a type has.
    languages = ocr_languages.split(",") if ocr_languages else []
    with _progress(silent=as_json) as progress:
        report = run(
            stack, paths, progress, groups=groups, ocr=mode, ocr_languages=languages, encoding=encoding
        )
    if as_json:
        print_json(report.to_dict())
    else:
        show.print_report(report)
    if report.failed:
        sys.exit(3 if report.added + report.skipped else 2)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for, in any language.")],
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    candidates: Candidates = 20,
    limit: Annotated[int, typer.Option(help="Passages to show.", min=1, max=200)] = 5,
    as_json: AsJson = False,
) -> None:
    """Find passages: dense and BM25 search, fused and reranked."""
    with _without_collecting():
        from qwen_agentkit.cli import commands, show  # loads torch: only when a command runs

    results = commands.search(_stack(preset, store), query, candidates=candidates, limit=limit)
    if as_json:
        print_json({"results": results})
    else:
        show.print_results(results)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="A question, in any language.")],
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    think: Think = None,
    candidates: Candidates = 20,
    passages: Annotated[int, typer.Option(help="Passages kept after reranking.", min=1, max=20)] = 3,
    min_score: Annotated[
        float | None,
        typer.Option(help="Lowest score of a passage that answers. Default: as calibrated.", min=0, max=1),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Write a report of the run to this file, as one HTML page.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the documents, with citations, in its language."""
    with _without_collecting():
        from qwen_agentkit.cli import commands, show  # loads torch: only when a command runs

    stack = _stack(preset, store)
    settings = {"candidates": candidates, "passages": passages, "min_score": min_score}
    if as_json:
        print_json(commands.ask(stack, question, thinking=think, settings=settings, trace=trace))
        return
    show.print_notice(stack.preset)
    stream = show.AnswerStream()
    result = commands.ask(stack, question, thinking=think, settings=settings, on_event=stream, trace=trace)
    stream.close(result)


@app.command()
def demo(
    preset: Annotated[
        str, typer.Option(help="Models to use: nano (bundled), 0.6b, 4b or 8b.", metavar="NAME")
    ] = "nano",
    store: Annotated[
        Path | None, typer.Option(help="Folder of the store. Default: a new one.", metavar="DIR")
    ] = None,
    think: Think = True,
    as_json: AsJson = False,
) -> None:
    """Ingest a bundled handbook in English, Arabic and Chinese, and ask questions about it. Offline."""
    from qwen_agentkit.cli import commands, demo, show  # loads torch: only when a command runs

    stack = _stack(preset, store or commands.make_demo_store())
    if as_json:
        print_json(demo.run_demo(stack, thinking=think))
        return
    show.print_notice(preset)
    with _progress(silent=False) as progress:
        report = commands.ingest(stack, [commands.handbook_folder()], progress)
    show.print_report(report)
    demo.show_demo(stack, thinking=think)


@app.command()
def serve_lines(
    model: Annotated[str, typer.Argument(help="Hub id, or a preset: 0.6b, 4b, 8b.")] = "0.6b",
    server: Annotated[
        str | None, typer.Option(help="vllm, sglang, ollama or llama.cpp. Default: all.", metavar="NAME")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Longest sequence, in tokens. YaRN stretches the native one.", min=1),
    ] = None,
    gpus: Annotated[int, typer.Option(help="GPUs that share the weights: 1, 2, 4 or 8.", min=1)] = 1,
    fp8: Annotated[bool, typer.Option("--fp8", help="Round the weights to fp8.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the first server.", min=1, max=65000)] = None,
    as_json: AsJson = False,
) -> None:
    """Print the commands that start servers for a model, and the code that uses them. Starts nothing."""
    from dataclasses import asdict

    from qwen_agentkit.cli import serving

    options = serving.ServeOptions(context=context, gpus=gpus, fp8=fp8, port=port)
    lines = serving.serve_lines(model, server, options)
    if as_json:
        print_json({"lines": [asdict(line) for line in lines]})
        return
    for line in lines:
        # Not the console: a line to paste into a shell must not be wrapped.
        comment = "  ".join(filter(None, (line.use, line.note)))
        typer.echo(f"# {line.server}: {line.model}\n{line.command or '# not possible'}\n# {comment}\n")


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="Folder of the project, new or empty.")],
    graph: Annotated[str, typer.Option(help="Graph that it serves: rag, research or agent.")] = "rag",
) -> None:
    """Write a new project: a graph, its tests, and the settings for `langgraph dev`."""
    from qwen_agentkit.cli import scaffold, show

    show.print_project(folder, scaffold.create_project(folder, graph))


@app.command()
def doctor(
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    base_url: Annotated[
        str | None, typer.Option(help="Check this model server instead.", metavar="URL")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Say which code runs this model. With --base-url: check it on the server."),
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="QWEN_AGENTKIT_API_KEY", hidden=True)] = None,
    context: Annotated[
        int, typer.Option(help="Tokens whose keys and values must fit beside the weights.", min=1)
    ] = 8192,
    as_json: AsJson = False,
) -> None:
    """Check what is installed, what this machine can run, and whether models and store exist.

    With --base-url: check what a model server can do. Its key is read from QWEN_AGENTKIT_API_KEY.
    """
    from qwen_agentkit.cli import doctor, show  # loads torch: only when a command runs

    if base_url is None and model is not None:
        findings = doctor.check_model(model)
    elif base_url is None:
        findings = doctor.check_machine(_stack(preset, store), context)
    else:
        try:
            findings = doctor.check_server(base_url, model, api_key)
        except ServerAccessError as error:
            raise ServerAccessError(
                f"{error} This command reads the key from QWEN_AGENTKIT_API_KEY."
            ) from error
    if as_json:
        print_json(findings)
    else:
        show.print_findings(findings)


class _RunByDefault(TyperGroup):
    """A group of commands of which `run` may be left out: `eval FILE` is `eval run FILE`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # click's
        if args and args[0] not in {*self.commands, "--help", "-h"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


evaluation = typer.Typer(cls=_RunByDefault, no_args_is_help=True)
app.add_typer(evaluation, name="eval", help="Measure search and answers on questions with known answers.")

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


@evaluation.command("run")
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
    stack = _stack(preset, store)
    folder = out or DEFAULT_RUNS / f"{benchmark.name.replace(' ', '-')}-{stack.preset}"
    with _progress(silent=as_json) as progress:
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


@evaluation.command("make")
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

    count = evaluating.make_questions(_stack(preset, store), file, limit=limit)
    typer.echo(f"{count} questions proposed in {file}. Read them, and delete those that are no good.")


@evaluation.command("crowding")
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
    with _progress(silent=as_json) as progress:
        stack = _stack(preset, folder / "store")
        found = evaluating.crowding(stack, benchmark, folder, limit=limit, progress=progress)
    print_json(to_json(found)) if as_json else show_evaluation.print_crowding(found)


@app.command()
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
    with _progress(silent=as_json) as progress:
        fit, file = evaluating.calibrate(_stack(preset, store), benchmark, error=error, progress=progress)
    if as_json:
        print_json({**to_json(fit), "file": file and str(file)})
    else:
        show_evaluation.print_fit(fit, file)


@app.command()
def plan(
    documents: Annotated[float, typer.Option(help="Number of documents, such as 1e9.")],
    passages: Annotated[float, typer.Option(help="Passages of a document, on average.")] = 10,
    dimensions: Annotated[int, typer.Option(help="Length of a vector.")] = 1024,
    text_bytes: Annotated[float, typer.Option(help="Bytes of a passage with its metadata.")] = 1500,
    quantize: Annotated[str, typer.Option(help="Vectors in memory: none, scalar or binary.")] = "none",
    replicas: Annotated[int, typer.Option(help="Copies of every shard.")] = 2,
    node_gb: Annotated[float, typer.Option(help="Memory of a machine, in GB.")] = 64,
    rate: Annotated[float | None, typer.Option(help="Passages that one worker embeds in a second.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that embed.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Compute memory, disk, shards and hours for a number of documents on Qdrant servers, with formulas."""
    from qwen_agentkit.cli import planning, show_store

    work = planning.Workload(
        documents=documents,
        passages=passages,
        dimensions=dimensions,
        text_bytes=text_bytes,
        quantize=quantize,
        replicas=replicas,
        node_gb=node_gb,
        rate=rate,
        workers=workers,
    )
    rows = planning.plan(work)
    if as_json:
        print_json({"plan": rows})
    else:
        show_store.print_plan(rows)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Pause the garbage collector while modules load: it takes a seventh of that time, for nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _stack(preset: str | None, folder: Path) -> Stack:
    from qwen_agentkit.stack import Stack  # loads torch: only when a command runs

    return Stack(choose_preset(preset, folder), folder)


@contextmanager
def _progress(*, silent: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a progress callback for `ingest` that draws bars on standard error."""
    if silent:
        yield None
        return
    from rich.progress import Progress

    from qwen_agentkit.cli import terminal

    with Progress(console=terminal.console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield advance


# The server of a store: page, OpenAI API and MCP.

ServedModel = Annotated[
    str | None,
    typer.Option(
        help="Chat model that answers: hub id, folder or provider:model. Default: the preset's.",
        metavar="NAME",
    ),
]
ServedGraph = Annotated[str, typer.Option(help="Graph that answers: rag, corrective_rag, research or agent.")]
TokensFile = Annotated[Path, typer.Option("--tokens", help="File of tokens.", metavar="FILE")]


@app.command()
def serve(
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    model: ServedModel = None,
    graph: ServedGraph = "rag",
    host: Annotated[
        str, typer.Option(help="Address to listen at. Others than this machine's own need --tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8100,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="File of tokens, see `qwen-agentkit token`. Default: none is needed.", metavar="FILE"
        ),
    ] = None,
    watch: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of documents to keep the store in step with; may be repeated.", metavar="DIR"
        ),
    ] = None,
) -> None:
    """Serve a store: a page to read and ask, the OpenAI API, and an MCP server at /mcp. Offline.

    The store is made if need be. While it is served, no other process can open it.
    """
    from qwen_agentkit.cli import hosting  # loads torch: only when a command runs

    served = hosting.Hosting(model, graph, host, port, tokens, watch or ())
    hosting.serve(_stack(preset, store), served, lambda address: typer.echo(f"Serving {store} at {address}"))


@app.command()
def mcp(
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    model: ServedModel = None,
    graph: ServedGraph = "rag",
) -> None:
    """Serve a store to the program that starts this command: MCP over standard input and output."""
    from qwen_agentkit.cli import hosting  # loads torch: only when a command runs

    hosting.serve_mcp(_stack(preset, store), model=model, graph=graph)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Name of the user. Conversations belong to it.")],
    tokens: TokensFile = Path("tokens.json"),
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group", help="Group whose documents the user may read; * for all documents.", metavar="NAME"
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="The user may also add and remove documents.")
    ] = False,
) -> None:
    """Add a token for `serve` to a file, and print it. The file holds only its hash."""
    from qwen_agentkit.serve.access import add_token

    typer.echo(add_token(tokens, name, groups or [], writes=write))


if __name__ == "__main__":
    main()
