#!/usr/bin/env bash
# Babel 2.19.0: `parse_time` does not read back the times that `format_time` writes in languages with other words for
# AM and PM: half past five in the afternoon becomes half past five in the morning.
#
# Its documentation: "Parse a time from a string. This function uses the time format for the locale as a hint to
# determine the order in which the time fields appear in the string", with locale and format as arguments.
#
# Seen: "en: 5:30 PM -> 17:30", but "ko: 오후 5:30 -> 05:30", "ar: 5:30 م -> 05:30", "hi: 5:30 pm -> 17:30",
# "el: 5:30 μ.μ. -> 05:30", "zh_Hant: 下午5:30 -> 05:30". No warning, no error.
# Consequence: every afternoon of such a locale is twelve hours early.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet babel==2.19.0
cat >"$work/times.py" <<'PYTHON'
from datetime import time

from babel.dates import format_time, parse_time

half_past_five = time(17, 30)
early = []
for locale in ("en", "ko", "ar", "hi", "el", "zh_Hant"):
    written = format_time(half_past_five, "short", locale=locale)
    read = parse_time(written, locale=locale, format="short")
    print(f"{locale}: {written} -> {read:%H:%M}")
    if read != half_past_five:
        early.append(locale)
raise SystemExit(0 if early == ["ko", "ar", "el", "zh_Hant"] else 1)
PYTHON
"$work/venv/bin/python" "$work/times.py" || { echo "the behavior has changed"; exit 1; }
