"""The formulas and charts in OpenDocument files, which are files of their own in it (ODF 1.3)."""

from __future__ import annotations

import zipfile
from typing import Any
from xml.etree.ElementTree import Element, tostring

from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.ingest.webpages import html_as_text
from qwen_agentkit.ingest.xmlfiles import parse_xml

__all__ = ["is_formula", "read_objects", "write_formula"]

_CONTENT = "/content.xml"
_MOST = 1_000
_LARGEST = 1 << 22
"""Bytes of one object."""


def read_objects(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return the roots of the formulas and charts, by the names by which frames refer to them.

    What is damaged is left out, as the pictures of it are.
    """
    found: dict[str, Any] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(_CONTENT)
        if name == entry.filename or entry.file_size > _LARGEST or len(found) >= _MOST:
            continue
        try:
            root = parse_xml(archive.read(entry))
        except ValueError:
            continue
        if is_formula(root) or any(local_name(one) == "chart" for one in root.iter()):
            found[name] = root
    return found


def is_formula(root: Any) -> bool:
    """Tell whether an object is MathML."""
    return local_name(root) == "math"


def write_formula(root: Any) -> str:
    """Return a formula in a line, as those of web pages are written."""
    return " ".join(html_as_text(tostring(_without_names(root), encoding="unicode"))[0].split())


def _without_names(element: Any) -> Element:
    """Return a copy whose elements have no namespace, as in a page."""
    copy = Element(local_name(element) or "span")
    copy.text, copy.tail = element.text, element.tail
    copy.extend(_without_names(child) for child in element)
    return copy
