"""XML files into text: records as "name: value" lines, texts with marks in them as they read."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.webpages import read_html
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["parse_xml", "read_xml"]

_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*?\?>")
_ENCODING = re.compile(rb"<\?xml\b[^>]*?encoding\s*=\s*[\"']([\w.:-]+)")
_PAGE = re.compile(r"<(?:!doctype\s+html|html[\s>])", re.I)
_RAISED = frozenset({"sup", "superscript"})
_LOWERED = frozenset({"sub", "subscript", "inf"})
"""What text documents in XML, such as DocBook, JATS and TEI, call what is raised and lowered."""
_DEEPEST = 200
"""Elements inside each other."""


def parse_xml(data: bytes) -> Any:
    """Parse XML without entities of its own and without opening anything else.

    Raises:
        ValueError: The XML is damaged, or declares entities.
    """
    from defusedxml.ElementTree import ParseError, parse

    try:
        return parse(io.BytesIO(data), forbid_dtd=False, forbid_entities=True, forbid_external=True).getroot()
    except ParseError as error:
        raise ValueError(str(error)) from error


def read_xml(data: bytes) -> list[Part]:
    """Read XML. Elements of text alone become "name: value" lines, and a page is read as one.

    Raises:
        LoadError: The XML is damaged, or declares entities.
    """
    declared = _ENCODING.match(data)
    decoded = decode_text(data, declared[1].decode() if declared else "")
    if _PAGE.search(decoded.text, 0, 2000):
        return read_html(data)
    try:
        root = parse_xml(_DECLARATION.sub("", decoded.text, count=1).encode("utf-8", "replace"))
        text = "\n".join(_write(root, 0))
    except (ValueError, RecursionError) as error:
        raise LoadError(
            f"The file is broken XML, or declares entities ({error}); expected plain XML. Correct it and try "
            "again."
        ) from error
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    return [Part(text, {}, decoded.warnings)]


def _write(element: Any, depth: int) -> Iterator[str]:
    """Yield the lines of an element; those with elements of their own stand apart."""
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} elements inside each other")
    for key, value in element.attrib.items():
        if value.strip() and "://" not in value:
            yield f"{key.rpartition('}')[2]}: {' '.join(value.split())}"
    children = [child for child in element if isinstance(child.tag, str)]
    mixed = any((child.tail or "").strip() for child in element)
    if not children or mixed:
        text = " ".join(_inline(element).split())
        if text:
            yield text if mixed else f"{local_name(element)}: {text}"
        return
    if own := " ".join((element.text or "").split()):
        yield own
    for child in children:
        is_leaf = not any(isinstance(one.tag, str) for one in child) and not child.attrib
        yield from _write(child, depth + 1)
        if not is_leaf:
            yield ""


def _inline(element: Any) -> str:
    """Return the text of an element with elements in it; raised and lowered text is marked."""
    text = element.text or ""
    for child in element:
        inner = _inline(child) if isinstance(child.tag, str) else ""
        kinds = {local_name(child).lower(), child.get("rend", "").lower(), child.get("role", "").lower()}
        if kinds & (_RAISED | _LOWERED):
            inner = mark_raised(inner, text, lowered=bool(kinds & _LOWERED))
        text += inner + (child.tail or "")
    return text
