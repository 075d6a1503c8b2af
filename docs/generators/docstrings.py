"""Google-style docstrings as Markdown."""

from __future__ import annotations

import re
import textwrap

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples):$")
_NAMED = re.compile(r"^([*\w.]+): (.*)$", re.DOTALL)


def to_markdown(docstring: str) -> str:
    """Return a docstring as Markdown: sections as lists, examples and drawings as blocks."""
    text = ""
    for paragraph in _split_paragraphs(docstring):
        lines = paragraph.splitlines()
        section = _SECTION.match(lines[0])
        if section and section[1].startswith("Example"):
            text += f"\nExample:\n\n```pycon\n{textwrap.dedent(chr(10).join(lines[1:]))}\n```\n"
        elif section:
            text += f"\n{section[1]}:\n\n{_to_list(lines[1:])}"
        elif lines[0].startswith("    "):
            text += f"\n```text\n{textwrap.dedent(paragraph)}\n```\n"
        elif paragraph != "::":
            text += f"\n{_fix_ticks(paragraph)}\n"
    return text.strip("\n")


def _split_paragraphs(docstring: str) -> list[str]:
    """Return the paragraphs; what follows a section heading or stands indented belongs together."""
    paragraphs: list[str] = []
    for part in docstring.strip("\n").split("\n\n"):
        part = part.strip("\n")
        previous = paragraphs[-1].splitlines()[0] if paragraphs else ""
        if part.startswith("    ") and (previous.startswith("    ") or _SECTION.match(previous)):
            paragraphs[-1] += "\n\n" + part
        elif part:
            paragraphs.append(part)
    return paragraphs


def _to_list(lines: list[str]) -> str:
    """Return the entries of a section as a list; more indented lines continue an entry."""
    items: list[str] = []
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        if line.startswith(" ") and items:
            items[-1] += " " + line.strip()
        elif line and items and not _NAMED.match(line):
            items[-1] += " " + line
        elif line:
            items.append(line)
    return "".join("- " + _NAMED.sub(r"`\1`: \2", _fix_ticks(item)) + "\n" for item in items)


def _fix_ticks(text: str) -> str:
    return text.replace("``", "`")
