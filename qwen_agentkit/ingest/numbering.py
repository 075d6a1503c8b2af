"""The numbers of paragraphs in Word files: "3.", "(a)", "Article IV" (ECMA-376 part 1, 17.9)."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Numbering", "format_count"]

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_LEVELS = 9
_BULLET = "bullet"

_ROMAN: tuple[tuple[int, str], ...] = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_HAN = "〇一二三四五六七八九"
_ALPHABETS = {
    "lowerLetter": "abcdefghijklmnopqrstuvwxyz",
    "upperLetter": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "russianLower": "абвгдежзиклмнопрстуфхцчшщэюя",
    "russianUpper": "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭЮЯ",
    "arabicAlpha": "أبتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "arabicAbjad": "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ",
    "hebrew2": "אבגדהוזחטיכלמנסעפצקרשת",
    "thaiLetters": "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    "hindiVowels": "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह",
    "iroha": "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス",
    "aiueo": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
    "ganada": "가나다라마바사아자차카타파하",
}
_DIGITS = {
    "hindiNumbers": "०१२३४५६७८९",
    "thaiNumbers": "๐๑๒๓๔๕๖๗๘๙",
    "decimalFullWidth": "０１２３４５６７８９",
}
_COUNTED_IN_HAN = frozenset(
    {
        *("chineseCounting", "chineseCountingThousand", "japaneseCounting", "taiwaneseCounting"),
        *("taiwaneseCountingThousand", "ideographDigital", "koreanCounting"),
    }
)


def format_count(count: int, style: str) -> str:
    """Return a count in a style of numbers, such as "lowerRoman"; in figures if the style is not known."""
    if style in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        text = ""
        for value, letters in _ROMAN:
            text += letters * (count // value)
            count %= value
        return text.upper() if style == "upperRoman" else text
    if style in _ALPHABETS and count > 0:
        letters = _ALPHABETS[style]
        return letters[(count - 1) % len(letters)] * min((count - 1) // len(letters) + 1, 9)
    if style in _DIGITS:
        return "".join(_DIGITS[style][int(digit)] for digit in str(count))
    if style in _COUNTED_IN_HAN and 0 < count < 100:
        tens, ones = divmod(count, 10)
        many = "" if tens < 2 else _HAN[tens]
        return (f"{many}十" if tens else "") + (_HAN[ones] if ones else "")
    return f"{count:02}" if style == "decimalZero" else str(count)


class Numbering:
    """Counts the numbered paragraphs of a document, in order.

    Args:
        root: The element `w:numbering`; None if the document has none.
    """

    def __init__(self, root: Any) -> None:
        self._levels: dict[str, dict[int, Any]] = {}  # of each abstract numbering
        self._abstract: dict[str, str] = {}  # the abstract numbering of each number
        self._starts: dict[str, dict[int, int]] = {}  # where a number starts anew
        self._own: dict[str, dict[int, Any]] = {}  # levels that a number defines itself
        self._counts: dict[str, list[int | None]] = {}
        self._begun: set[tuple[str, int]] = set()
        for definition in root.iterchildren(f"{_W}abstractNum") if root is not None else ():
            levels = {_int(level, "ilvl"): level for level in definition.iterchildren(f"{_W}lvl")}
            self._levels[definition.get(f"{_W}abstractNumId")] = levels
        for number in root.iterchildren(f"{_W}num") if root is not None else ():
            self._add_number(number)

    def _add_number(self, number: Any) -> None:
        name = number.get(f"{_W}numId")
        self._abstract[name] = _value(number, "abstractNumId")
        for override in number.iterchildren(f"{_W}lvlOverride"):
            level = _int(override, "ilvl")
            if start := _value(override, "startOverride"):
                self._starts.setdefault(name, {})[level] = _as_int(start, 1)
            own = override.find(f"{_W}lvl")
            if own is not None:
                self._own.setdefault(name, {})[level] = own

    def level_of_style(self, number: str, style: str) -> int:
        """Return the level that a style of paragraphs stands for in a numbering; 0 if none."""
        levels = self._levels.get(self._abstract.get(number, ""), {})
        return next((at for at, level in levels.items() if _value(level, "pStyle") == style), 0)

    def count(self, number: str, level: int) -> str | None:
        """Count a paragraph, and return its label: "-" for a bullet, empty for none, None if unknown."""
        abstract = self._abstract.get(number)
        definition = self._definition(number, level)
        if abstract is None or definition is None:
            return None
        counts = self._counts.setdefault(abstract, [None] * _LEVELS)
        before = counts[level]
        start = self._starts.get(number, {}).get(level)
        if start is not None and (number, level) not in self._begun:
            before = None
        self._begun.add((number, level))
        if start is None:
            start = _as_int(_value(definition, "start"), 1)
        counts[level] = start if before is None else before + 1
        for deeper in range(level + 1, _LEVELS):
            lower = self._definition(number, deeper)
            if lower is None or _value(lower, "lvlRestart") != "0":
                counts[deeper] = None
        if _value(definition, "numFmt") == _BULLET:
            return "-"
        return self._label(number, definition, counts)

    def _label(self, number: str, definition: Any, counts: list[int | None]) -> str:
        legal = definition.find(f"{_W}isLgl") is not None

        def write(match: re.Match[str]) -> str:
            level = int(match[1]) - 1
            own = self._definition(number, level)
            style = _value(own, "numFmt") if own is not None else "decimal"
            count = counts[level]
            if count is None:
                count = _as_int(_value(own, "start"), 1) if own is not None else 1
                counts[level] = count
            if style == "none":
                return ""
            return format_count(count, "decimal" if legal else style)

        return re.sub("%([1-9])", write, _value(definition, "lvlText")).strip()

    def _definition(self, number: str, level: int) -> Any:
        own = self._own.get(number, {}).get(level)
        return own if own is not None else self._levels.get(self._abstract.get(number, ""), {}).get(level)


def _value(element: Any, name: str) -> str:
    found = element.find(f"{_W}{name}")
    return (found.get(f"{_W}val") or "") if found is not None else ""


def _int(element: Any, name: str) -> int:
    return _as_int(element.get(f"{_W}{name}"), 0)


def _as_int(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else default
