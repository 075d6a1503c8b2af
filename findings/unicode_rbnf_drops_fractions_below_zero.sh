#!/usr/bin/env bash
# unicode-rbnf 2.4.1: a number below zero loses its fraction, and Russian fractions become zeros.
#
# Its README spells 3.14 as "three point one four" and -5 as "minus five"; `format_number` takes int, str, float and
# Decimal. Expected for -1.5: "minus one point five".
#
# Seen: "-1.5 en: minus one", "-0.5 en: minus", "-1.5 de: minus eins", "3.14 ru: три  целыхноль десятыхноль десятых";
# 1.5 is right in English and German. No warning, no error: -0.5 is read out as "minus".
# Consequence: a temperature or a balance that is spelled with it is another number.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet unicode-rbnf==2.4.1
cat >"$work/spell.py" <<'PYTHON'
from unicode_rbnf import RbnfEngine

wrong = 0
for number, language, right in (
    (-1.5, "en", "minus one point five"),
    (-0.5, "en", "minus zero point five"),
    (-1.5, "de", "minus eins Komma fünf"),
    (1.5, "en", "one point five"),
):
    text = RbnfEngine.for_language(language).format_number(number).text
    wrong += text != right
    print(f"{number} {language}: {text}")
russian = RbnfEngine.for_language("ru").format_number(3.14).text
wrong += "четырнадцать" not in russian
print(f"3.14 ru: {russian}")
raise SystemExit(0 if wrong == 4 else 1)
PYTHON
"$work/venv/bin/python" "$work/spell.py" || { echo "the behavior has changed"; exit 1; }
