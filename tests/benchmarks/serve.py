"""`qwen-agentkit serve` with the nano models and the handbook, over sockets on this machine.

What its API costs beside the graph in a process, how long the page's files take while questions are answered,
embeddings beside another server of the same checkpoint, and a thousand open streams.

    INFINITY=/path/to/infinity_emb python -m tests.benchmarks serve

INFINITY names the command of infinity-emb in an environment of its own, made with
`pip install 'infinity-emb[torch,server]==0.0.77' 'click<8.2'`: it ends at once with a newer click. Without it
nothing is beside our embeddings.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwen_agentkit.cli.commands import handbook_folder, ingest
from qwen_agentkit.stack import Stack
from tests.benchmarks.http_line import Line, asked
from tests.benchmarks.machine import machine
from tests.benchmarks.serve_chat import measure_chat
from tests.benchmarks.serve_embeddings import measure_embeddings
from tests.benchmarks.serve_page import measure_page
from tests.benchmarks.serve_streams import measure_streams
from tests.benchmarks.work import Effort


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of the server."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack("nano", Path(folder, "store"))
        ingest(stack, [handbook_folder()])
        shutil.copytree(stack.folder, Path(folder, "served"))
        with _served(Path(folder, "served")) as (port, process):
            results = {
                "chat": asyncio.run(measure_chat(port, process, stack, effort)),
                "page": asyncio.run(measure_page(port, effort)),
                "embeddings": measure_embeddings(port, effort, Path(folder)),
                "streams": asyncio.run(measure_streams(port, effort)),
            }
    return {**machine(), **results}


@contextmanager
def _served(folder: Path) -> Iterator[tuple[int, int]]:
    """Start a server, and yield its port and its process once its models are in memory."""
    command = [sys.executable, "-m", "qwen_agentkit.cli", "serve", "--preset", "nano", "--port", "0"]
    process = subprocess.Popen([*command, "--store", str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
    try:
        asyncio.run(Line(port).ask("POST", "/v1/chat/completions", asked("When does the library open?")))
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()
