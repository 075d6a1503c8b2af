"""Read a PDF: each page by PDFium, and from its content where that is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from pypdfium2 import PdfDocument, PdfiumError

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.parts import Part, replace_surrogates
from qwen_agentkit.ingest.pdf.characters import clean
from qwen_agentkit.ingest.pdf.choosing import choose_glyphs, find_doubt
from qwen_agentkit.ingest.pdf.content import ContentReader
from qwen_agentkit.ingest.pdf.forms import page_fields
from qwen_agentkit.ingest.pdf.glyphs import Glyph
from qwen_agentkit.ingest.pdf.hyphens import join_words
from qwen_agentkit.ingest.pdf.layout import write_rows
from qwen_agentkit.ingest.pdf.lines import Row, find_rows
from qwen_agentkit.ingest.pdf.pieces import read_glyphs
from qwen_agentkit.ingest.pdf.running import join_pages, running_lines, without_lines
from qwen_agentkit.ingest.pdf.vertical import turn_vertical

__all__ = ["read_pages"]

_LOCK = Lock()
"""PDFium is not made for several threads."""


@dataclass
class _Page:
    """What is read of one page."""

    rows: list[Row] = field(default_factory=list)
    aside: list[Row] = field(default_factory=list)
    """Lines in other directions than most: stamps, labels of charts."""
    fields: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_pages(data: bytes) -> list[Part]:
    """Read a PDF, a part per page.

    Raises:
        LoadError: The PDF is broken or needs a password.
    """
    with _LOCK, closing(_open(data)) as document:
        content = ContentReader(data)
        pages = [_read_page(document, number, content) for number in range(len(document))]
        title = _title(document)
    running = running_lines([page.rows for page in pages])
    kept = without_lines([page.rows for page in pages], running)
    paragraphs = [[clean(text) for text in write_rows(rows)] for rows in kept]
    join_pages(paragraphs)
    title = title or _shared_header(running.values())
    shared = {"title": title} if title else {}
    texts = join_words([_join(*pair) for pair in zip(paragraphs, pages, strict=True)])
    return [
        Part(text, {**shared, "page": number}, tuple(page.warnings))
        for number, (text, page) in enumerate(zip(texts, pages, strict=True), start=1)
    ]


def _open(data: bytes) -> PdfDocument:
    try:
        document = PdfDocument(data)
        document.init_forms()
        len(document)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise LoadError(
                "The file is an encrypted PDF; expected one without a password. Save it without."
            ) from error
        raise LoadError(
            f"The file is a broken PDF ({error}); expected a readable one. Save it anew and try again."
        ) from error
    return document


def _title(document: Any) -> str:
    title = clean(replace_surrogates(document.get_metadata_value("Title"))).strip()
    return "" if title.lower() == "untitled" else title


def _shared_header(lines: Iterable[str]) -> str:
    """Return the line that most pages share; it names a document that has no title of its own."""
    named = Counter(line for line in lines if sum(map(str.isalpha, line)) > 3)
    return max(named, key=lambda line: named[line]) if named else ""


def _read_page(document: Any, number: int, content: ContentReader) -> _Page:
    try:
        with closing(document[number]) as page:
            with closing(page.get_textpage()) as textpage:
                first = read_glyphs(textpage)
            glyphs, doubt = choose_glyphs(first, lambda: content.glyphs(number))
            read = _Page(fields=page_fields(document, page), warnings=[doubt] if doubt else [])
            is_blank = not glyphs and not read.fields and not any(True for _ in page.get_objects(max_depth=1))
    except PdfiumError as error:
        return _Page(warnings=[f"The page cannot be read ({error}). Save the file anew and try again."])
    _add_lines(read, glyphs)
    written = "\n".join(segment.text for row in [*read.rows, *read.aside] for segment in row)
    legible, doubt = find_doubt(glyphs, written)
    if doubt:
        read.warnings.append(doubt)
    if not legible:
        read.rows, read.aside = [], []
    elif is_blank and content.is_damaged(number):
        read.warnings.append("The content of the page is damaged. Save the file anew and try again.")
    elif not (written or read.fields or is_blank):
        read.warnings.append(
            "The page holds no text but a picture. To read text in the picture, install Tesseract."
        )
    return read


def _add_lines(page: _Page, glyphs: Sequence[Glyph]) -> None:
    """Add the lines of a page: those in its main direction, then the others."""
    glyphs = turn_vertical(glyphs)
    sizes = Counter(glyph.angle for glyph in glyphs if glyph.text.strip())
    for angle, _ in sizes.most_common():
        turned = [glyph for glyph in glyphs if glyph.angle == angle]
        rows = find_rows(turned)
        if page.rows:
            page.aside += rows
        else:
            page.rows = rows


def _join(paragraphs: Sequence[str], page: _Page) -> str:
    aside = [clean(text) for text in write_rows(page.aside)]
    return replace_surrogates("\n\n".join(filter(None, [*paragraphs, *aside, *map(clean, page.fields)])))
