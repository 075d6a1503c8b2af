"""PDF files into text, a part per page.

Two readers look at a page: PDFium, and pdfminer.six where glyphs are not characters (`choosing`). Glyphs
become lines by their positions (`lines`, `bidi`), lines become columns, paragraphs and tables (`layout`,
`tables`), and pages lose what they all repeat (`running`).
"""

from __future__ import annotations

from qwen_agentkit.ingest.parts import Part

__all__ = ["read_pdf"]


def read_pdf(data: bytes) -> list[Part]:
    """Read a PDF, a part per page.

    Raises:
        LoadError: The PDF is broken or needs a password.
    """
    # Imported here because most runs read no PDF.
    from qwen_agentkit.ingest.pdf.reading import read_pages

    return read_pages(data)
