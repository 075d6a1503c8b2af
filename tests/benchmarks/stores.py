"""Embedded vector stores side by side: insertion, hybrid search, memory.

Each store is a process of its own. Questions go round: each store answers one, then the next question comes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.machine import say
from tests.benchmarks.store_worker import STORES

__all__ = ["add_options", "measure"]

_WORKER = Path(__file__).with_name("store_worker.py")


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("--number", type=int, default=50_000, help="passages of 1,024 dimensions")
    command.add_argument(
        "--peers", type=Path, help="Python with chromadb, lancedb, milvus-lite; without: no peers"
    )
    command.add_argument(
        "--queries", type=int, default=200, help="questions, asked with and without a filter"
    )
    command.add_argument("--only", nargs="*", default=list(STORES), help="names of stores")


class Worker:
    """A process with one store."""

    def __init__(self, python: str, name: str, folder: Path, number: int, queries: int) -> None:
        command = [python, str(_WORKER), name, str(folder), str(number), str(queries)]
        quiet = {
            **os.environ,
            "RUST_LOG": "error",
            "LANCE_LOG": "error",
            "PYTHONWARNINGS": "ignore",
        }  # warnings take time
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=quiet,
        )

    def ask(self, *request: Any) -> dict[str, Any]:
        """Send a request and return the answer; a store that fails ends its process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        while line and not line.startswith("{"):  # what a library prints
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} failed")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(number: int, peers: Path | None, only: list[str], queries: int) -> dict[str, Any]:
    """Return the figures of each store."""
    folder = Path(tempfile.mkdtemp(prefix="stores-"))
    results: dict[str, Any] = {}
    workers: dict[str, Worker] = {}
    try:
        for name in only:
            is_ours = name.startswith("ours")
            if not is_ours and peers is None:
                continue
            place = folder / name.replace(", ", "-")
            place.mkdir()
            worker = Worker(sys.executable if is_ours else str(peers), name, place, number, queries)
            inserted = worker.ask("insert")
            workers[name] = worker
            results[name] = {
                "inserted a second": round(number / inserted["seconds"]),
                "inserted a processor second": round(number / inserted["processor"]),
                "recall@10 of nearest": worker.ask("recall")["recall"],
                "seconds to open and answer": round(worker.ask("reopen")["seconds"], 3),
            }
            say(f"{name}: {results[name]}")
        for filtered in (False, True):
            times: dict[str, list[float]] = {name: [] for name in workers}
            for query in range(queries):
                for name, worker in workers.items():
                    times[name].append(worker.ask("query", query, filtered)["seconds"])
            for name, seconds in times.items():
                kind = "filtered" if filtered else "all"
                found = 1000 * np.array(seconds[5:])
                results[name][f"{kind}, p50 ms"] = round(float(np.median(found)), 2)
                results[name][f"{kind}, p99 ms"] = round(float(np.quantile(found, 0.99)), 2)
        for name, worker in workers.items():
            memory = worker.ask("memory")
            results[name] |= {f"{kind} MB": round(memory[kind]) for kind in ("anonymous", "mapped")}
    finally:
        for worker in workers.values():
            worker.process.kill()
            worker.process.communicate()
        shutil.rmtree(folder, ignore_errors=True)
    return {"number": number, "stores": results}
