"""Text that is struck through, as Markdown writes it: ~~500~~ 400 is never 500400."""

from __future__ import annotations

import re

__all__ = ["join_struck", "mark_struck"]

_STRUCK = re.compile(r"(\w?)~~([^~]+)~~(?=(\w?))")


def mark_struck(text: str) -> str:
    """Put struck text between tildes, line by line, and spaces around it outside of them."""
    return "\n".join(
        line.replace(line.strip(), f"~~{line.strip()}~~", 1) if line.strip() else line
        for line in text.split("\n")
    )


def join_struck(text: str) -> str:
    """Join pieces of struck text that adjoin, and keep them apart from the words beside them."""
    if "~~" not in text:
        return text
    return _STRUCK.sub(_set_apart, text.replace("~~~~", ""))


def _set_apart(match: re.Match[str]) -> str:
    before = f"{match[1]} " if match[1] else ""
    return f"{before}~~{match[2]}~~{' ' if match[3] else ''}"
