"""The text boxes and charts of Excel sheets, which openpyxl passes over (ECMA-376 part 1, 20.5)."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any

from qwen_agentkit.ingest.charts import chart_text
from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.ingest.xmlfiles import parse_xml

__all__ = ["drawn_texts"]

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_WORKBOOK = "xl/workbook.xml"


def drawn_texts(data: bytes) -> dict[str, list[str]]:
    """Return the texts of the boxes and charts on each sheet, by the name of the sheet."""
    found: dict[str, list[str]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if not any(name.startswith("xl/drawings/") for name in archive.namelist()):
            return {}
        parts = dict(_relations(archive, _WORKBOOK))
        for sheet in parse_xml(archive.read(_WORKBOOK)).iter():
            if local_name(sheet) == "sheet" and (part := parts.get(sheet.get(f"{_R}id", ""))):
                drawings = [path for _, path in _relations(archive, part) if "/drawings/" in path]
                found[sheet.get("name", "")] = [
                    text for path in drawings if path.endswith(".xml") for text in _shapes(archive, path)
                ]
    return found


def _relations(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str]]:
    """Yield the id and the path of what a part refers to inside the file."""
    folder, name = posixpath.split(part)
    try:
        root = parse_xml(archive.read(f"{folder}/_rels/{name}.rels"))
    except KeyError:
        return
    for relation in root:
        if relation.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join(f"/{folder}", relation.get("Target", "")))
            yield relation.get("Id", ""), target.lstrip("/")


def _shapes(archive: zipfile.ZipFile, path: str) -> Iterator[str]:
    try:
        root = parse_xml(archive.read(path))
    except KeyError:
        return
    parts = dict(_relations(archive, path))
    for shape in root.iter():
        if local_name(shape) == "chart" and (part := parts.get(shape.get(f"{_R}id", ""))):
            yield from _charts(archive, part)
        if local_name(shape) == "sp":
            lines = ("".join(_texts(part)) for part in shape.iter() if local_name(part) == "p")
            if text := "\n".join(filter(None, (" ".join(line.split()) for line in lines))):
                yield text


def _charts(archive: zipfile.ZipFile, part: str) -> Iterator[str]:
    try:
        root = parse_xml(archive.read(part))
    except KeyError:
        return
    if local_name(root) == "chartSpace" and (text := chart_text(root)):
        yield text


def _texts(paragraph: Any) -> Iterator[str]:
    return (part.text or "" for part in paragraph.iter() if local_name(part) == "t")
