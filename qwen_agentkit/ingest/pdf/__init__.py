"""PDF files into text, a part per page.

Two readers look at a page: PDFium, and pdfminer.six where glyphs are not characters (`choosing`). Glyphs become
lines by their positions (`lines`, `bidi`), lines become columns, paragraphs and tables (`layout`, `tables`),
and pages lose what they all repeat (`running`).
"""

from __future__ import annotations

from qwen_agentkit.ingest.pdf.reading import read_pdf

__all__ = ["read_pdf"]
