"""Run the benchmarks and print their results; `--json FILE` keeps them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.benchmarks import chat, graph, rerank, sizes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["rerank", "chat", "graph", "sizes"], default="rerank")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, of rerank, chat and graph")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    sizes.add_options(parser.add_argument_group("sizes"))
    options = parser.parse_args()
    results: dict[str, Any]
    if options.what == "sizes":
        if options.data is None:
            parser.error("sizes needs --data FOLDER")
        results = {"sizes": sizes.measure(options.model, sizes.read(options.data, options.files))}
        print(sizes.table(results["sizes"]))
        if options.plot:
            sizes.plot(results["sizes"], options.plot)
    else:
        measure = {"rerank": rerank.measure, "chat": chat.measure, "graph": graph.measure}[options.what]
        results = {options.what: measure(options.rounds)}
        print(json.dumps(results, indent=2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
