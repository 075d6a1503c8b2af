#!/usr/bin/env bash
# WeasyPrint 70.0: the file says of each glyph one text, that of the cluster where it stood first. In Hindi and other
# scripts a vowel is painted in front of its consonant: if ति comes first, every later त is copied out as ति.
# Needs Pango and a font of Devanagari (on Debian: libpango-1.0-0 libpangoft2-1.0-0 fonts-noto-core).
#
# Documented (PDF 1.7, 9.10.3): a ToUnicode map gives the text of a code wherever it is shown; where a glyph stands for
# other text in other places, ActualText (14.9.4) does.
# Seen: 'तिथि विद्युत' is read as '...विद्युति' by PDFium, as by other readers.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet weasyprint==70.0 pypdfium2==5.15.2

cat >glyphs.py <<'PYTHON'
import pypdfium2
import weasyprint

page = '<meta charset="utf-8"><p lang="hi" style="font-family: Noto Sans Devanagari">तिथि विद्युत</p>'
document = pypdfium2.PdfDocument(weasyprint.HTML(string=page).write_pdf())
text = document[0].get_textpage().get_text_range()
print(text)
if not text.endswith("विद्युति"):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python glyphs.py
