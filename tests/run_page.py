"""Runs the blocks of one page, in its order and in one process: `python -m tests.run_page README.md`.

Every block of Python runs with no name but its own. `run with` in the comment before it says with what:

- nano: the names of checkpoints and presets are replaced by those of the bundled nano models.
- server: addresses on localhost are replaced by that of a small fake server.
- ray: as nano, and only with `--ray`, because the extra has to be installed.

Lines of bash that start with `qwen-agentkit` run, unless the comment says `not run` and why. All is done in a
new folder that holds three files in `documents/`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

from qwen_agentkit.cli.entry import app
from tests.page_server import serve
from tests.pages import Block, blocks

DOCUMENTS = {
    "hours.md": "The library opens at nine.",
    "boat.md": "يغادر القارب في السابعة والنصف.",
    "kiln.md": "窑炉最高温度为1230度。",
}
NANO = (
    (r"Qwen/Qwen3-Embedding-\w+(\.\w+)?", "nano-embedding"),
    (r"Qwen/Qwen3-Reranker-\w+(\.\w+)?", "nano-reranker"),
    (r"Qwen/Qwen[\w.-]+", "nano-chat"),
    (r'"(0\.6b|4b|8b)"', '"nano"'),
)


def run_python(page: str, block: Block, address: str) -> None:
    code = block.code
    if block.rule in ("run with: nano", "run with: ray"):
        for pattern, name in NANO:
            code = re.sub(pattern, name, code)
    elif block.rule == "run with: server":
        code = re.sub(r"http://localhost:\d+", address, code)
    else:
        assert not block.rule, f"{page}:{block.line}: unknown rule {block.rule!r}"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(
            compile("\n" * (block.line - 1) + code, page, "exec", dont_inherit=True), {"__name__": "__main__"}
        )
    if block.output is not None:
        assert printed.getvalue() == block.output, f"{page}:{block.line} printed {printed.getvalue()!r}"


def run_bash(page: str, block: Block) -> None:
    for words in commands(block.code):
        sys.stdout.write(f"{page}:{block.line}: qwen-agentkit {shlex.join(words)}\n")
        app(words, standalone_mode=False)


def commands(code: str) -> list[list[str]]:
    """Return the arguments of every `qwen-agentkit` in a block of bash."""
    lines = [part for line in code.splitlines() for part in line.split(" && ")]
    split = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in split if words and words[0] == "qwen-agentkit"]


def main(page: str, *, ray: bool) -> None:
    """Run the blocks of a page: those that need Ray, or all others."""
    with tempfile.TemporaryDirectory() as folder, serve() as address:
        os.chdir(folder)
        for name, text in DOCUMENTS.items():
            Path("documents").mkdir(exist_ok=True)
            Path("documents", name).write_text(text, encoding="utf-8")
        if ray:
            write_parquet()
        for block in blocks(page, "python", "bash"):
            if ray != (block.rule == "run with: ray"):
                continue
            if block.language == "python":
                run_python(page, block, address)
            elif not block.rule:
                run_bash(page, block)
        os.chdir("/")


def write_parquet() -> None:
    """Write the inputs of the blocks that need Ray."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = list(DOCUMENTS.values())
    for name, columns in {"texts": {"text": texts}, "pairs": {"query": ["hours"] * 3, "text": texts}}.items():
        Path(name).mkdir()
        pq.write_table(pa.table(columns), f"{name}/1.parquet")


if __name__ == "__main__":
    main(sys.argv[1], ray="--ray" in sys.argv)
