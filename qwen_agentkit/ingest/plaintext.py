"""Plain text, and source code in fences, so that its comments are no headings."""

from __future__ import annotations

import re

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.parts import Part

__all__ = ["CODE_SUFFIXES", "fence", "read_code", "read_text"]

CODE_SUFFIXES = frozenset({
    ".bash", ".c", ".cc", ".cfg", ".conf", ".cpp", ".cs", ".css", ".go", ".h", ".hpp", ".ini", ".java", ".js",
    ".jsx", ".kt", ".log", ".lua", ".mjs", ".php", ".pl", ".proto", ".ps1", ".py", ".pyi", ".r", ".rb", ".rs",
    ".scala", ".sh", ".sql", ".swift", ".tex", ".toml", ".ts", ".tsx", ".vue", ".yaml", ".yml",
})  # fmt: skip
"""Endings of files that are read as lines."""
_COLOR = re.compile(r"\x1b\[[0-9;]{0,30}[mK]")
"""What sets a color in a terminal, or clears a line (ECMA-48, 8.3.117)."""
_CODING = re.compile(rb"^[^\n]{0,200}?coding[:=][ \t]*([-\w.]+)")


def read_text(data: bytes) -> list[Part]:
    """Read plain text as it is.

    Raises:
        LoadError: The file is empty or no text.
    """
    if not data.strip():
        raise LoadError("The file is empty; expected text. Remove it, or write into it.")
    decoded = decode_text(data)
    return [Part(decoded.text, {}, decoded.warnings)]


def read_code(data: bytes) -> list[Part]:
    """Read source code, settings and logs: one fenced block."""
    declared = _CODING.match(data)
    decoded = decode_text(data, declared[1].decode() if declared else "")
    return [Part(fence(decoded.text), {}, decoded.warnings)]


def fence(code: str, language: str = "") -> str:
    """Put code between fences that are longer than any in it; empty if it has no text.

    The colors of terminals, which logs keep, are left out.
    """
    code = _COLOR.sub("", code)
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    marks = "`" * (longest + 1)
    return f"{marks}{language}\n{code.strip(chr(10)).rstrip()}\n{marks}" if code.strip() else ""
