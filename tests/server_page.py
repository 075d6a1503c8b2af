"""Writes examples/servers.md from the catalog: `python -m tests.server_page`."""

from __future__ import annotations

from pathlib import Path

from qwen_agentkit.cli.serving import SERVERS, serve_lines
from qwen_agentkit.cli.serving import ServeOptions as Options

PAGE = Path(__file__).parent.parent / "examples" / "servers.md"

HEAD = """\
# Servers for the Qwen families

Every line is what `qwen-agentkit serve-lines` prints, written by `python -m tests.server_page`; a test holds
the two together. The flags are those of the servers' documentation and of the model cards; of the servers on
this page none was run with them here. `qwen-agentkit doctor --base-url URL` says what a running one can do.

Any size: `qwen-agentkit serve-lines MODEL --server NAME`, with `--context` (beyond the native one: YaRN,
which also changes how short texts are read), `--gpus` (tensor parallelism), `--fp8` and `--port`; `--json`
for scripts. `qwen-agentkit doctor --context N` says what fits this machine.
"""

CASES = [
    ("A whole preset: embedder, reranker and chat, a port each", "8b", Options()),
    (
        "Qwen3, thinks or not by request, stretched to four times its context",
        "Qwen/Qwen3-8B",
        Options(131072),
    ),
    ("Instruct-2507, never thinks", "Qwen/Qwen3-30B-A3B-Instruct-2507", Options(65536)),
    (
        "Thinking-2507, always thinks: two GPUs, fp8",
        "Qwen/Qwen3-30B-A3B-Thinking-2507",
        Options(65536, 2, True),
    ),
    ("Qwen3-Next", "Qwen/Qwen3-Next-80B-A3B-Thinking", Options(gpus=4)),
    ("Qwen3-Coder, which writes its calls as XML", "Qwen/Qwen3-Coder-30B-A3B-Instruct", Options()),
    ("Qwen2.5", "Qwen/Qwen2.5-7B-Instruct", Options()),
    ("Qwen3.5, text alone", "Qwen/Qwen3.5-9B", Options()),
    ("Qwen3.6 at a million tokens", "Qwen/Qwen3.6-27B", Options(1010000, 8)),
    ("Qwen3.8", "Qwen/Qwen3.8-27B", Options(gpus=2, fp8=True)),
]


def page() -> str:
    parts = [HEAD]
    for title, model, options in CASES:
        parts.append(f"\n## {title}\n")
        for server in SERVERS:
            for line in serve_lines(model, server, options):
                code = f"```bash\n{line.command}\n```" if line.command else "It cannot."
                asked = f"`{line.use}`" if line.use else ""
                parts.append(
                    f"\n{server}, `{line.model}`:\n\n{code}\n\n{' '.join((asked, line.note)).strip()}\n"
                )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
