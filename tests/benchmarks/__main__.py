"""Run the benchmarks and print their results; `--json FILE` keeps them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tests.benchmarks import rerank


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    results = {"rerank": rerank.measure(options.rounds)}
    print(json.dumps(results, indent=2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
