"""The command lines that start servers, as `qwen-agentkit serve-lines` prints them: a section a family."""

from __future__ import annotations

from qwen_agentkit.cli.serving import SERVERS, ServeOptions, serve_lines

CASES = [
    ("A whole preset: embedder, reranker and chat, one port each", "8b", ServeOptions()),
    ("Qwen3, which thinks on request, with four times its context", "Qwen/Qwen3-8B", ServeOptions(131072)),
    ("Instruct-2507, which never thinks", "Qwen/Qwen3-30B-A3B-Instruct-2507", ServeOptions(65536)),
    (
        "Thinking-2507, which always thinks: two GPUs, fp8",
        "Qwen/Qwen3-30B-A3B-Thinking-2507",
        ServeOptions(65536, 2, True),
    ),
    ("Qwen3-Next", "Qwen/Qwen3-Next-80B-A3B-Thinking", ServeOptions(gpus=4)),
    ("Qwen3-Coder, which writes its calls as XML", "Qwen/Qwen3-Coder-30B-A3B-Instruct", ServeOptions()),
    ("Qwen2.5", "Qwen/Qwen2.5-7B-Instruct", ServeOptions()),
    ("Qwen3.5, text only", "Qwen/Qwen3.5-9B", ServeOptions()),
    ("Qwen3.6 with a million tokens", "Qwen/Qwen3.6-27B", ServeOptions(1010000, 8)),
    ("Qwen3.8", "Qwen/Qwen3.8-27B", ServeOptions(gpus=2, fp8=True)),
]


def sections() -> str:
    """Return a section for each case, with what every server needs."""
    return "".join(
        f"\n### {title}\n" + "".join(_list_lines(model, server, options) for server in SERVERS)
        for title, model, options in CASES
    )


def _list_lines(model: str, server: str, options: ServeOptions) -> str:
    text = ""
    for line in serve_lines(model, server, options):
        code = f"```bash\n{line.command}\n```" if line.command else "Not possible."
        use = f"`{line.use}`" if line.use else ""
        text += f"\n{server}, `{line.model}`:\n\n{code}\n\n{' '.join((use, line.note)).strip()}\n"
    return text
