"""Run the benchmarks, print their results, and keep them as JSON and as a picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import logging as transformers_logging

from tests.benchmarks import (
    chat,
    client,
    cold,
    constraint,
    decisions,
    embed,
    evaluation,
    gpu,
    graph,
    hybrid,
    llama,
    memory,
    overhead,
    plot,
    quantized,
    rerank,
    schemas,
    serve,
    sizes,
    stores,
)
from tests.benchmarks.work import Effort

SPEED: dict[str, Callable[[Effort], dict[str, Any]]] = {
    "rerank": rerank.measure,
    "embed": embed.measure,
    "overhead": overhead.measure,
    "memory": memory.measure,
    "gpu": gpu.measure,
    "chat": chat.measure,
    "hybrid": hybrid.measure,
    "constraint": constraint.measure,
    "decisions": decisions.measure,
    "client": client.measure,
    "graph": graph.measure,
    "serve": serve.measure,
    "quantized": quantized.measure,
    "llama": llama.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: `arguments` without the program's name, by default those of the process."""
    options = _parser().parse_args(arguments)
    if options.what == "sizes":
        results = sizes.measure(options.model, sizes.read(options.data, options.files))
        print(sizes.table(results))
    elif options.what == "schemas":
        given = (options.folder, options.files, options.seed, options.walks, options.minutes)
        results = schemas.measure(*given)
        print(json.dumps(results, indent=2, ensure_ascii=False))
    elif options.what == "stores":
        results = stores.measure(options.number, options.peers, options.only, options.queries)
        print(json.dumps(results, indent=2))
    elif options.what == "cold":
        results = cold.measure(options.rounds, options.before)
        print(json.dumps(results, indent=2))
    elif options.what == "eval":
        results = evaluation.measure(options.data, options.languages, options.questions, options.rounds)
        print(json.dumps(results, indent=2))
    else:
        # Loading a model of a thousand weights is not worth a bar.
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
        effort = Effort(options.rounds, options.minutes, options.quick)
        results = SPEED[options.what](effort)
        print(json.dumps(results, indent=2))
    if options.json:
        options.json.write_text(json.dumps({options.what: results}, indent=2) + "\n")
    if getattr(options, "plot", None) and "skipped" not in results:
        (sizes.plot if options.what == "sizes" else plot.bars)(results, options.plot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    command = commands.add_parser("cold", help="commands in a fresh process")
    command.add_argument("--json", type=Path, help="write the results to this file")
    command.add_argument("--rounds", type=int, default=5, help="runs of each command")
    command.add_argument("--before", type=Path, help="Python of an environment with an earlier version")
    command = commands.add_parser("schemas", help="answers to the schemas of a folder")
    command.add_argument("--json", type=Path, help="write the results to this file")
    schemas.add_options(command)
    command = commands.add_parser("stores", help="embedded vector stores")
    command.add_argument("--json", type=Path, help="write the results to this file")
    stores.add_options(command)
    command = commands.add_parser("eval", help="`eval` beside sentence-transformers' evaluator")
    command.add_argument("--json", type=Path, help="write the results to this file")
    command.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    evaluation.add_options(command)
    for name in (*SPEED, "sizes"):
        command = commands.add_parser(name)
        command.add_argument("--json", type=Path, help="write the results to this file")
        command.add_argument("--plot", type=Path, help="draw them in this PNG")
        if name == "sizes":
            sizes.add_options(command)
            continue
        command.add_argument("--rounds", type=int, default=3, help="interleaved rounds, at most")
        command.add_argument("--minutes", type=float, default=9, help="after which no round begins")
        command.add_argument("--quick", action="store_true", help="a tiny model: does it run at all")
    return parser


if __name__ == "__main__":
    main()
