"""Markdown files: front matter apart, tables as rows that name their columns, the rest as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.headings import find_headings, mark_fenced
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.tables import rows_as_text
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["read_markdown"]

_FENCED_HEAD = re.compile(r"(---|\+\+\+)[ \t]*\n(?=[^\n]*\S)(.*?\n)\1[ \t]*(?:\n|$)", re.S)
"""A head between two rules. A blank line below the first rule means that it only separates."""
_LONGEST_HEAD = 20_000
"""Characters of front matter. The YAML parser is slow, so a longer head is kept as text."""
_FOR_PROGRAMS = re.compile(
    r"title|id|uid|u?slug|url|layout|permalink|alias(?:es)?|draft|published|weight|order|position|template|type|"
    r"lang|language|locale|menu|toc|comments?|math|parent|theme|output|format|css|js|csl|bibliography|geometry|"
    r"documentclass|fontsize|mainfont|(?:sidebar|nav|pagination|hide|header|custom|redirect|render|css|kernel|"
    r"jupy|jekyll|hugo|og|twitter|page|image|cover|hero|thumbnail|featured)[-_\w]*",
    re.I,
)
"""Keys of front matter that are for the program which shows the text."""
_NO_TEXT = re.compile(r"true|false|yes|no|null|[~-]|/\S*|\S+://\S+|\S+\.[A-Za-z]{2,5}", re.I)
"""Values that say nothing to a reader: switches, paths and addresses."""
_KEY = re.compile(r"[\w.-]+")
_RAISED = re.compile(
    r"(`+)(?!`).*?(?<!`)\1(?!`)|\$[^$\n]+\$|<(?P<tag>su[pb])>(?P<tagged>[^<>]{1,60})</(?P=tag)>"
    r"|(?<=\w)\^(?P<up>[^\s^]{1,20})\^(?!\w)|(?<=[A-Za-z])~(?P<down>\d{1,4})~(?!~)"
)
"""Code and formulas, which stay, and what HTML and Pandoc write for raised and lowered text."""
_DELIMITER = re.compile(r"[ ]{0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_BORDER = re.compile(r"(?<!\\)\|")


def read_markdown(data: bytes) -> list[Part]:
    """Read Markdown. The title is that of the front matter, or else the first heading."""
    decoded = decode_text(data)
    text = decoded.text
    head = _FENCED_HEAD.match(text)
    front_matter = _parse_front_matter(head[1], head[2]) if head else None
    body = text[head.end() :] if head and front_matter is not None else text
    body = _write_tables(_mark_raised(_leave_comments_out(body)))
    named = (front_matter or {}).get("title")
    titles = (
        "" if named is None or isinstance(named, dict | list) else " ".join(str(named).split()),
        *(heading.title for heading in find_headings(body) if heading.level == 1),
    )
    title = next((title.strip() for title in titles if title.strip()), None)
    kept = "\n".join(_write_front_matter(front_matter or {}))
    return [Part(f"{kept}\n\n{body}" if kept else body, {"title": title} if title else {}, decoded.warnings)]


def _parse_front_matter(mark: str, head: str) -> dict[str, Any] | None:
    """Return front matter as a dictionary; None if the head is no YAML or TOML mapping, and so stays text."""
    if len(head) > _LONGEST_HEAD:
        return None
    try:
        found = _parse_yaml(head) if mark == "---" else _parse_toml(head)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    # "Please note: ..." between two rules is text: some key of front matter is a single word.
    return found if isinstance(found, dict) and any(_KEY.fullmatch(str(key)) for key in found) else None


def _parse_yaml(head: str) -> Any:
    # This loader makes nothing but strings: 1.10 stays 1.10, and 010 is not 8.
    return yaml.load(head, Loader=yaml.BaseLoader)  # noqa: S506


def _parse_toml(head: str) -> dict[str, Any] | None:
    try:
        import tomllib
    except ImportError:  # Python 3.10 has none; the head stays text.
        return None
    return tomllib.loads(head, parse_float=str)


def _write_front_matter(front_matter: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each key that says something about the text; nested ones are joined by dots."""
    for key, value in front_matter.items():
        if _FOR_PROGRAMS.fullmatch(str(key)):
            continue
        if isinstance(value, dict):
            yield from (f"{key}.{line}" for line in _write_front_matter(value))
            continue
        values = value if isinstance(value, list) else [value]
        texts = [" ".join(str(one).split()) for one in values if not isinstance(one, dict | list)]
        shown = [text for text in texts if text and not _NO_TEXT.fullmatch(text)]
        if shown:
            yield f"{key}: {', '.join(shown)}"


def _leave_comments_out(text: str) -> str:
    """Remove HTML comments outside code; one that is not closed is text."""
    if "<!--" not in text:
        return text
    kept: list[str] = []
    commented = False
    last_end = text.rfind("-->")
    position = 0
    lines = mark_fenced(text)
    for line, fenced in lines:
        rest = line
        while rest and (commented or not fenced):
            border = "-->" if commented else "<!--"
            before, found, behind = rest.partition(border)
            opens_code = not commented and before.endswith("`")
            closed = commented or position + len(line) - len(behind) <= last_end
            kept.append("" if commented else before + ("" if found and closed and not opens_code else found))
            commented = commented != bool(found and closed and not opens_code)
            rest = behind
        kept.append(rest if fenced and not commented else "")
        position += len(line)
    return "".join(kept)


def _mark_raised(text: str) -> str:
    """Write raised and lowered text as other formats do: 10⁶, whether it is 10^6^ or in a tag."""
    if not any(mark in text for mark in ("<su", "^", "~")):
        return text
    return "".join(line if fenced else _RAISED.sub(_show_raised, line) for line, fenced in mark_fenced(text))


def _show_raised(match: re.Match[str]) -> str:
    raised = match["tagged"] or match["up"] or match["down"]
    if not raised:
        return match[0]
    lowered = match["tag"] == "sub" or bool(match["down"])
    return mark_raised(raised, match.string[max(0, match.start() - 1) : match.start()], lowered=lowered)


def _write_tables(text: str) -> str:
    """Write pipe tables (GitHub Flavored Markdown, 4.10) as rows that repeat the names of their columns."""
    lines = list(mark_fenced(text))
    written: list[str] = []
    at = 0
    while at < len(lines):
        end = _end_of_table(lines, at)
        if end > at:
            rows = [_cells(line) for line, _ in (lines[at], *lines[at + 2 : end])]
            written.append(f"\n{rows_as_text(rows, 1)}\n\n")
        else:
            written.append(lines[at][0])
            end = at + 1
        at = end
    return "".join(written)


def _end_of_table(lines: list[tuple[str, bool]], start: int) -> int:
    """Return the line behind a table that begins at a line; the same line if none does."""
    head, delimiter = lines[start], lines[start + 1] if start + 1 < len(lines) else ("", True)
    if head[1] or delimiter[1] or "|" not in head[0] or not _DELIMITER.match(delimiter[0].rstrip("\n")):
        return start
    if "|" not in delimiter[0] or len(_cells(head[0])) != len(_cells(delimiter[0])):
        return start
    end = start + 2
    while end < len(lines) and not lines[end][1] and "|" in lines[end][0]:
        end += 1
    return end


def _cells(line: str) -> list[str]:
    row = line.strip()
    row = row.removeprefix("|")
    row = row[:-1] if row.endswith("|") and not row.endswith("\\|") else row
    return [cell.strip().replace("\\|", "|") for cell in _BORDER.split(row)]
