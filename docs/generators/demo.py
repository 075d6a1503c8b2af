"""The picture of `qwen-agentkit demo`: the command is run in a terminal of its own, and recorded as SVG.

Shown are four of the nine questions: one in each language, and one that the handbook does not answer. The
seconds are left out, because they differ from run to run. The fonts are those of the reader's machine.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.segment import Segment, Segments
from rich.terminal_theme import MONOKAI
from rich.text import Text

QUESTIONS = ("1.", "3.", "5.", "8.")
WIDTH = 100
_FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")
_WIDE = re.compile("[\u1100-\uffdc]")


def write_picture(path: Path) -> None:
    """Run the demo and write its picture."""
    lines = [Text.from_ansi(line) for line in _choose(_run_demo())]
    path.write_text(draw(lines), encoding="utf-8")


def draw(lines: list[Text]) -> str:
    """Return lines of a terminal as SVG that loads nothing."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    console.print("[bold green]$[/] qwen-agentkit demo", highlight=False)
    for line in lines:
        # One piece of text for each style: a browser can order and join letters only within a piece.
        line.end = ""
        console.print(Segments([*Segment.simplify(line.render(console)), Segment.line()]), end="")
    svg = console.export_svg(title="qwen-agentkit demo", theme=MONOKAI, unique_id="demo")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # they come from another server
    svg = re.sub("Fira Code, *monospace", _FONTS, svg)
    return re.sub(r"<text [^>]*>[^<]*</text>", lambda found: _free_width(found[0]), svg)


def _free_width(element: str) -> str:
    """Return a text without its fixed width where letters are joined or wider than a column.

    A thought is streamed in pieces, so the terminal cannot mark its direction; here it gets the mark.
    """
    if _RIGHT_TO_LEFT.search(element):
        element = re.sub(r"(>Thinking:&#160;)([^<]+)<", "\\1\u2067\\2\u2069<", element)
    elif not _WIDE.search(element):
        return element
    return re.sub(r' textLength="[^"]*"', "", element)


def _run_demo() -> str:
    """Return what the demo prints in a terminal of `WIDTH` columns."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = [sys.executable, "-m", "qwen_agentkit.cli", "demo"]
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env=environment)
    os.close(slave)
    output = b""
    try:
        while piece := os.read(master, 65536):
            output += piece
    except OSError:  # Linux: the other end is closed
        pass
    os.close(master)
    if process.wait() != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}.")
    return output.decode()


def _choose(output: str) -> list[str]:
    """Return the report of the ingest and the chosen questions, without seconds."""
    chosen, shown = [], True
    for line in output.replace("\r\n", "\n").splitlines():
        plain = Text.from_ansi(line).plain
        if "─────" in plain:
            shown = plain.startswith(QUESTIONS)
        if shown and not re.match(r"prepare \d+ ms", plain):
            chosen.append(re.sub(r" in [\d.]+ s$", "", line))
    return chosen
