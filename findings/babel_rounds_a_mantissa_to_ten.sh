#!/usr/bin/env bash
# Babel 2.19.0: `format_scientific` writes a mantissa of ten where the digits of the pattern round up.
#
# Unicode's UTS 35, number patterns, scientific notation: with one integer digit the mantissa is 1 or more and below
# 10. Python's own "{:.2E}" gives 1.00E+06 for 999999.
#
# Seen: "999999 0.00E0: 10.00E5" (right: 1.00E6) and "9.999 0.0E0: 10.0E0" (right: 1.0E1); 123456 is right.
# Consequence: a column of numbers is no longer aligned, and a reader that splits at E gets a mantissa that is none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet babel==2.19.0
cat >"$work/science.py" <<'PYTHON'
from babel.numbers import format_scientific

wrong = 0
for number, pattern, right in (
    (999999, "0.00E0", "1.00E6"),
    (9.999, "0.0E0", "1.0E1"),
    (123456, "0.00E0", "1.23E5"),
):
    written = format_scientific(number, format=pattern, locale="en")
    wrong += written != right
    print(f"{number} {pattern}: {written}")
raise SystemExit(0 if wrong == 2 else 1)
PYTHON
"$work/venv/bin/python" "$work/science.py" || { echo "the behavior has changed"; exit 1; }
