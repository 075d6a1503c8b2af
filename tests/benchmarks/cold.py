"""How long a command takes in a fresh process, and its memory, beside an earlier version if there is one."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["measure"]

_QUESTION = "When does the library open?"


def measure(rounds: int, before: Path | None) -> dict[str, Any]:
    """Measure `search`, `ask`, `--help` and `import`, the versions in turn.

    Args:
        rounds: Runs of each command.
        before: Python of an environment with an earlier version, which is measured, too.

    Returns:
        Medians by version and command: seconds, processor seconds (user and system) and peak megabytes.
    """
    pythons = {"now": Path(sys.executable), **({"before": before} if before else {})}
    with tempfile.TemporaryDirectory() as folder:
        store = ["--preset", "nano", "--store", str(Path(folder) / "store")]
        command = ["-c", "from qwen_agentkit.cli import main; main()"]
        handbook = str(files("qwen_agentkit") / "data" / "handbook")
        _run([sys.executable, *command, "ingest", handbook, *store])
        commands = {
            "search": [*command, "search", _QUESTION, *store],
            "ask": [*command, "ask", _QUESTION, *store],
            "help": [*command, "--help"],
            "import": ["-c", "import qwen_agentkit"],
        }
        runs: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for _ in range(rounds):
            for name, arguments in commands.items():
                for version, python in pythons.items():
                    runs.setdefault((version, name), []).append(_run([str(python), *arguments]))
    return {version: {name: _medians(runs[version, name]) for name in commands} for version in pythons}


# Linux counts the memory of a process from that of the one that started it, so a small one has to.
_STARTER = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
seconds, usage = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def _run(command: Sequence[str]) -> tuple[float, float, float]:
    """Run a command; seconds, processor seconds and peak megabytes."""
    starter = [sys.executable, "-S", "-c", _STARTER, *command]
    # Elsewhere than here, where `python -c` would import the package of this folder.
    output = subprocess.run(starter, cwd=tempfile.gettempdir(), capture_output=True, check=True).stdout
    code, seconds, cpu_seconds, megabytes = json.loads(output)
    if code:
        raise RuntimeError(f"{command!r} ended with {code}; run it by hand to see why.")
    return seconds, cpu_seconds, megabytes


def _medians(runs: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    names = ("seconds", "cpu_seconds", "megabytes")
    return {
        name: round(statistics.median(run), 3)
        for name, run in zip(names, zip(*runs, strict=True), strict=True)
    }
