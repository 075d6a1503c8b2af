#!/usr/bin/env bash
# striprtf 0.0.35: a column break leaves no trace, so that what stands in two columns becomes one word or number.
#
# Documented (Rich Text Format 1.9.1, "Special Characters"): \column is a "required column break", as \page and \sect are
# breaks of pages and sections, which become ends of lines.
# Seen: 9\column 10 gives '910', 9\page 10 gives '9\n\n10'.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet striprtf==0.0.35

cat >columns.py <<'PYTHON'
from striprtf.striprtf import rtf_to_text

column, page = (rtf_to_text(rf"{{\rtf1 9\{word} 10}}") for word in ("column", "page"))
print(repr(column), repr(page))
if column != "910" or page.split() != ["9", "10"]:
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python columns.py
