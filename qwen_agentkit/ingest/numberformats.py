"""Numbers as a sheet shows them: the number formats of Excel (ECMA-376 part 1, 18.8.31)."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction

__all__ = ["show_duration", "show_number"]

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|[_*].|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<condition>[<>=][^\]]*)\]'
    r"|\[[^\]]*\]|(?P<general>General)|(?P<exponent>E[+-]0+)|(?P<places>[0#?](?:[0#?.,]*[0#?.])?,*|\.[0#?]+)"
    r"|(?P<percent>%)|(?P<fraction>/ *(?:[?#0]+|\d+))|(?P<other>.)",
    re.I | re.S,
)
_LONGEST = 200
"""Characters of a format that is followed; longer ones are damaged."""
_CONDITION = re.compile(r"([<>=]+)\s*(-?[\d.]+)")


def show_number(value: float, code: str) -> str:
    """Return a number as its format shows it, in digits grouped by commas: 25 %, 00042, 1,234.50 EUR.

    Args:
        value: The number.
        code: The code of the format, such as "0.00%". Formats of dates are not known here.
    """
    plain = f"{value:.15g}"
    if code.lower() in ("", "general", "@") or len(code) > _LONGEST:
        return plain
    try:
        section, shown = _choose_section(code, value)
        return _show(section, Decimal(repr(shown))).strip() or plain
    except (InvalidOperation, ValueError, ArithmeticError):
        return plain


def show_duration(value: timedelta, code: str) -> str:
    """Return a duration in the largest unit that its format has: 30:00 for [h]:mm, not 1 day, 6:00:00."""
    seconds = round(abs(value.total_seconds()))
    sign = "-" if value.total_seconds() < 0 else ""
    minutes, rest = divmod(seconds, 60)
    if "[m" in code.lower():
        return f"{sign}{minutes}:{rest:02}" if "s" in code.lower() or rest else f"{sign}{minutes}"
    if "[s" in code.lower():
        return f"{sign}{seconds}"
    shown = f"{sign}{minutes // 60}:{minutes % 60:02}"
    return f"{shown}:{rest:02}" if "s" in code.lower() or rest else shown


def _choose_section(code: str, value: float) -> tuple[list[re.Match[str]], float]:
    """Return the tokens of the section for a value, and the value that it shows."""
    sections: list[list[re.Match[str]]] = [[]]
    for token in _TOKEN.finditer(code):
        if token["other"] == ";":
            sections.append([])
        else:
            sections[-1].append(token)
    conditions = [_condition(section) for section in sections]
    for section, condition in zip(sections, conditions, strict=True):
        if condition and _holds(condition, value):
            below_zero = condition[1] in ("<", "<=", "=") and float(condition[2]) <= 0
            return section, abs(value) if below_zero else value  # Such a section writes its own sign.
    if any(conditions):
        return next((s for s, c in zip(sections, conditions, strict=True) if not c), sections[-1]), value
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    if value == 0 and len(sections) > 2:
        return sections[2], value
    return sections[0], value


def _condition(section: list[re.Match[str]]) -> re.Match[str] | None:
    found = next((token["condition"] for token in section if token["condition"]), "")
    return _CONDITION.fullmatch(found)


def _holds(condition: re.Match[str], value: float) -> bool:
    limit = float(condition[2])
    operator = condition[1]
    return (
        ("=" in operator and value == limit and operator != "<>")
        or ("<" in operator and value < limit)
        or (">" in operator and value > limit)
    )


def _show(tokens: list[re.Match[str]], value: Decimal) -> str:
    if any(token["general"] for token in tokens):
        return "".join(f"{float(value):.15g}" if token["general"] else _literal(token) for token in tokens)
    places = [token["places"] for token in tokens if token["places"]]
    if not places:
        return "".join(map(_literal, tokens))
    sign = "-" if value < 0 else ""
    value = abs(value) * 100 ** sum(1 for token in tokens if token["percent"])
    value /= 1000 ** (len(places[-1]) - len(places[-1].rstrip(",")))
    if any(token["fraction"] for token in tokens):
        return sign + _show_fraction(tokens, value)
    if exponent := next((token["exponent"] for token in tokens if token["exponent"]), ""):
        shown = _show_scientific(places[0], exponent, value)
        numbers = [token for token in tokens if token["places"] or token["exponent"]]
        return sign + "".join(
            shown if token is numbers[0] else "" if token in numbers else _literal(token) for token in tokens
        )
    pieces = _fill(places, value)
    shown = "".join(pieces.pop(0) if token["places"] else _literal(token) for token in tokens)
    return sign + shown if any(char in "123456789" for char in shown) else shown


def _show_scientific(places: str, exponent: str, value: Decimal) -> str:
    """Return 1.23E+06 for 0.00E+00; the power of ##0.0E+0 is a multiple of three: 123.5E+3."""
    whole, _, decimals = places.partition(".")
    step = len(whole) or 1
    power = value.adjusted() // step * step if value else 0
    for _ in range(2):  # Rounding may add a digit: 999.96 is 1.0E+3.
        mantissa = value.scaleb(-power).quantize(Decimal(1).scaleb(-len(decimals)), rounding=ROUND_HALF_UP)
        power += step if mantissa.adjusted() >= step else 0
    digits = str(abs(power)).rjust(len(exponent) - 2, "0")
    mark = "-" if power < 0 else "+" if exponent[1] == "+" else ""
    return f"{mantissa:f}E{mark}{digits}"


def _literal(token: re.Match[str]) -> str:
    for group in ("quoted", "escaped", "currency", "percent", "other"):
        if token[group]:
            return token[group]
    return ""


def _fill(places: list[str], value: Decimal) -> list[str]:
    """Return what each run of places shows: 123456789 in 000-00-0000 is 123, 45 and 6789."""
    whole_runs, decimals = list(places), ""
    dotted = next((at for at, run in enumerate(places) if "." in run), None)
    if dotted is not None:
        whole_runs = [*places[:dotted], places[dotted].partition(".")[0]]
        decimals = places[dotted].partition(".")[2].rstrip(",") + "".join(places[dotted + 1 :])
    rounded = value.quantize(Decimal(1).scaleb(-len(decimals)), rounding=ROUND_HALF_UP)
    whole, _, part = f"{rounded:f}".partition(".")
    while part and decimals[len(part) - 1] == "#" and part.endswith("0"):
        part = part[:-1]
    digits = "" if whole == "0" else whole
    filled: list[str] = []
    for number, run in enumerate(reversed(whole_runs)):
        marks = run.replace(",", "")
        last = number == len(whole_runs) - 1
        taken = digits if last else digits[max(0, len(digits) - len(marks)) :]
        digits = "" if last else digits[: len(digits) - len(taken)]
        taken = taken.rjust(marks.count("0"), "0")
        filled.insert(
            0, f"{int(taken):,}".rjust(len(taken), "0") if "," in run.rstrip(",") and taken else taken
        )
    if dotted is None:
        return filled
    shown = filled.pop() + (f".{part}" if part else "")
    rest = ["" for _ in places[dotted + 1 :]]
    return [*filled, shown, *rest]


def _show_fraction(tokens: list[re.Match[str]], value: Decimal) -> str:
    """Return a mixed number such as 1 1/2."""
    below = next(token["fraction"] for token in tokens if token["fraction"]).lstrip("/ ")
    runs = [token["places"] for token in tokens if token["places"]]
    exact = Fraction(value)
    fraction = (
        Fraction(round(exact * int(below)), int(below))
        if below.isdecimal() and int(below)
        else exact.limit_denominator(10 ** min(len(below), 5) - 1)
    )
    whole = fraction.numerator // fraction.denominator if len(runs) > 1 else 0
    rest = fraction - whole
    shown = f"{rest.numerator}/{rest.denominator}" if rest or not whole else ""
    return " ".join(filter(None, (str(whole) if whole else "", shown)))
