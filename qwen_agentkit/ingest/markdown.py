"""Markdown files: front matter gives the title and is left out, everything else is kept as it is."""

from __future__ import annotations

import re
from typing import Any

import yaml

from qwen_agentkit.ingest.parts import Part, decode_text

__all__ = ["read_markdown"]

_FENCED_HEAD = re.compile(r"---[ \t]*\n(?=[^\n]*\S)(.*?\n)---[ \t]*(?:\n|$)", re.S)
"""A head between two rules. A blank line below the first rule means that it only separates."""
_LONGEST_HEAD = 20_000
"""Characters of front matter. The YAML parser is slow, so a longer head is kept as text."""
_FIRST_HEADING = re.compile(r"^#[ \t]+(.*)$", re.M)


def read_markdown(data: bytes) -> list[Part]:
    """Read Markdown. The title is that of the front matter, or else the first heading."""
    text = decode_text(data)
    head = _FENCED_HEAD.match(text)
    front_matter = _parse_front_matter(head[1]) if head else None
    body = text[head.end() :] if head and front_matter is not None else text
    headings = (found[1].rstrip(" \t#") for found in _FIRST_HEADING.finditer(body))
    named = (front_matter or {}).get("title")
    titles = (" ".join(named.split()) if isinstance(named, str) else "", *headings)
    title = next((title.strip() for title in titles if title.strip()), None)
    return [Part(body, {"title": title} if title else {})]


def _parse_front_matter(head: str) -> dict[str, Any] | None:
    """Return front matter as a dictionary; None if the head is not a YAML mapping, so that it stays text."""
    if len(head) > _LONGEST_HEAD:
        return None
    try:
        found = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
