"""The commands and their arguments. Their work is in `commands`, their output in `show`."""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qwen_agentkit.cli.eval_entry import calibrate, eval_app
from qwen_agentkit.cli.options import DEFAULT_STORE, AsJson, Preset, Store, open_stack, print_json
from qwen_agentkit.cli.serve_entry import mcp, serve, token
from qwen_agentkit.cli.store_entry import docs_app, store_app
from qwen_agentkit.cli.terminal import progress_bars
from qwen_agentkit.errors import InputError, QwenAgentKitError, ServerAccessError

if TYPE_CHECKING:
    from qwen_agentkit.ingest.ocr import OcrMode

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
app.add_typer(eval_app, name="eval")

Think = Annotated[
    bool | None,
    typer.Option("--think/--no-think", help="Think before answering. Default: the default of the model."),
]
Candidates = Annotated[int, typer.Option(help="Passages to retrieve before reranking.", min=1, max=200)]


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
            help="Recognize text in pictures and PDF files with Tesseract: auto (pages without text), off, "
            "or force.",
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
    quantization: Annotated[
        str | None,
        typer.Option(
            help="Keep vectors of a new store in memory with 8 bits a number (scalar) or 1 (binary).",
            metavar="KIND",
        ),
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

    stack = open_stack(preset, store, quantization)
    mode = cast("OcrMode", ocr)  # Another word is refused with a better message than a type has.
    languages = ocr_languages.split(",") if ocr_languages else []
    if watch:
        for result in commands.watch(
            stack, paths, groups=groups, ocr=mode, ocr_languages=languages, encoding=encoding
        ):
            if as_json:
                print_json(result.to_dict())
                sys.stdout.flush()
            else:
                show.print_watch_report(result)
        return
    run = partial(commands.ingest_on_ray, workers=workers) if ray else commands.ingest
    with progress_bars(silent=as_json) as progress:
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
    query: Annotated[list[str], typer.Argument(help="What to look for, in any language.")],
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    candidates: Candidates = 20,
    limit: Annotated[int, typer.Option(help="Passages to show.", min=1, max=200)] = 5,
    as_json: AsJson = False,
) -> None:
    """Find passages: dense and BM25 search, fused and reranked."""
    with _without_collecting():
        from qwen_agentkit.cli import commands, show  # loads torch: only when a command runs

    text = " ".join(query)  # quotes around it are not needed
    results = commands.search(open_stack(preset, store), text, candidates=candidates, limit=limit)
    if as_json:
        print_json({"results": results})
    else:
        show.print_results(results)


@app.command()
def ask(
    question: Annotated[list[str], typer.Argument(help="A question, in any language.")],
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

    stack = open_stack(preset, store)
    asked = " ".join(question)  # quotes around it are not needed
    settings = {"candidates": candidates, "passages": passages, "min_score": min_score}
    if as_json:
        print_json(commands.ask(stack, asked, thinking=think, settings=settings, trace=trace))
        return
    show.print_notice(stack.preset)
    stream = show.AnswerStream()
    result = commands.ask(stack, asked, thinking=think, settings=settings, on_event=stream, trace=trace)
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

    stack = open_stack(preset, store or commands.make_demo_store())
    if as_json:
        print_json(demo.run_demo(stack, thinking=think))
        return
    show.print_notice(preset)
    with progress_bars(silent=False) as progress:
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
        findings = doctor.check_machine(open_stack(preset, store), context)
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
    """Pause the garbage collector while modules load, and never look at them again.

    It takes a seventh of that time, and a quarter of a second at the end of the process, for nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


for command in (calibrate, serve, mcp, token):
    app.command()(command)


if __name__ == "__main__":
    main()
