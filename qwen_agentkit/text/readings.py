"""The readings of one number or time of day in digits: where it may mean several, all of them.

Knows separators and scales.
"""

from __future__ import annotations

import re
from decimal import Decimal

from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.numerals import format_number

__all__ = [
    "DECIMAL",
    "GROUPED",
    "SCALE",
    "SCALE_OF",
    "read_number",
    "read_other_year",
    "read_time",
    "read_year",
    "strip_zeros",
]

_SCALES = {
    1_000: (
        "thousand tausend mille mil duizend тыс тысяч тысячи الف الاف हज़ार हजार พัน bin ribu nghìn ngàn هزار"
    ),
    10_000: "หมื่น",
    100_000: "lakh লাখ لاکھ लाख แสน",
    1_000_000: (
        "million millions mio millionen millones millón milhões milhão milioni milione miljoen milyon juta "
        "triệu млн миллион миллиона миллионов мільйон мільйона мільйонів مليون ملايين ميليون ล้าน"
    ),
    10_000_000: "crore करोड़",
    1_000_000_000: (
        "billion billions bilhões mrd milliarden milliards miliardi milyar miliar tỷ миллиард миллиарда "
        "миллиардов млрд مليار"
    ),
}
SCALE_OF = {normalize_text(word): scale for scale, words in _SCALES.items() for word in words.split()}
SCALE = re.compile(rf" ?({'|'.join(sorted(map(re.escape, SCALE_OF), key=len, reverse=True))})(?![a-zа-я])")

GROUPED = re.compile(r"\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}")
DECIMAL = re.compile(r"(\d{1,3}(?:[.,' ]\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}|\d+)[.,](\d+)")


def read_time(hour: str, minute: str, noon: str | None) -> frozenset[str]:
    """Return the readings of a time of day. Without "am" or "pm" an hour up to twelve may be either."""
    number = int(hour)
    half = noon if number <= 12 else None
    if half:
        hours = {number % 12 + (12 if half == "p" else 0)}
    elif number == 24:
        hours = {0}
    else:
        hours = {number} if number > 12 or hour.startswith("0") else {number, (number + 12) % 24}
    values = {f"{one}:{minute}" for one in hours}
    if minute == "00":
        values.add(f"w{number % 12 or 12}")
    if minute == "00":
        # Beside "am" or "pm" the bare number is only half of the time.
        values |= {str(one) for one in hours if one > 12 or not half}
        values |= {f"h{number}"} if half else set()
    return frozenset(values)


def read_number(text: str) -> set[str]:
    """Return the readings of a number: the separator of 1,230 may group digits or begin decimals."""
    values = set()
    if GROUPED.fullmatch(text):
        values.add(strip_zeros(re.sub(r"\D", "", text)))
    # Nobody writes three zeros behind a point: 450,000 is not 450.
    if (decimal := DECIMAL.fullmatch(text)) and not (values and decimal[2] == "000"):
        values.add(format_number(Decimal(f"{re.sub(r'[^0-9]', '', decimal[1])}.{decimal[2]}")))
    return values or {strip_zeros(part) for part in re.findall(r"\d+", text)}


def strip_zeros(digits: str) -> str:
    """Return digits without leading zeros."""
    return digits.lstrip("0") or "0"


# 1990s, 90er, 1990年代, années 90
_DECADE_BEHIND = re.compile(r"(?:'?s|er[ns]?|-?[ехт]|-?ті|年代|년대)(?![a-zа-я])")
_DECADE_BEFORE = re.compile(r"(?:années|anni|años|anos|jaren|سنوات|دهه|दशक|thập niên|tahun) $")
_HIJRI = re.compile(r" ?(?:ه(?!\w)|هجري|للهجره|a\.?h\b)")
_LUNAR = re.compile(r" ?(?:ه\.? ?ق\b|هجري قمري|قمري|a\.?h\b)")
_JALALI = re.compile(r" ?(?:ه\.? ?ش\b|هجري (?:شمسي|خورشيدي)|شمسي|خورشيدي|(?:a\.?p|s\.?h)\b)")


def read_year(text: str, match: re.Match[str], language: str) -> set[str]:
    """Return what else a number means as a year: of a decade, or of the Buddhist era."""
    if not match[0].isdecimal() or len(match[0]) not in (2, 4):
        return set()
    year = int(match[0])
    values: set[int] = set()
    before = text[max(0, match.start() - 12) : match.start()]
    if year % 10 == 0 and (_DECADE_BEHIND.match(text, match.end()) or _DECADE_BEFORE.search(before)):
        values |= {year % 100, year if year > 99 else 1900 + year}
    if language == "th" and 2400 <= year <= 2700:
        values.add(year - 543)
    return {str(value) for value in values}


def read_other_year(text: str, match: re.Match[str], language: str) -> set[str]:
    """Return what a year of the Jalali or the Hijri calendar may be in the common one."""
    if not match[0].isdecimal() or not 1200 <= int(match[0]) <= 1500:
        return set()
    year, end = int(match[0]), match.end()
    lunar = _LUNAR.match(text, end) or (language not in ("fa", "ps") and _HIJRI.match(text, end))
    if _JALALI.match(text, end) or (language in ("fa", "ps") and not lunar):
        return {str(year + 621), str(year + 622)}  # The year begins in March.
    first = int(year * 0.970224 + 621.5774)
    return {str(first), str(first + 1)} if lunar else set()
