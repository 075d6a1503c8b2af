"""The words for ordinal numbers in all languages, and the endings by which their forms are the same word.

Knows CLDR's rules for spelling numbers through unicode-rbnf, `data/ordinals.json` for what CLDR lacks, and
the endings of cases and genders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.letters import fold_indic

__all__ = ["fold_word", "is_fraction", "load_forms", "possible_words", "strip_ending", "without_prefix"]

_NUMBERS = (*range(1, 32), 40, 50, 60, 70, 80, 90, 100)
_CLDR_NAMES = {"zh-hant": "zh", "no": "no", "bs": "hr"}
# In these languages "second" is the word for "other" too.
_SECOND_IS_OTHER = frozenset({"bs", "da", "fi", "hi", "hr", "no", "sr", "sv"})
# Hours, weekdays, fractions, rooms, and Italian "according to".
_OTHER_MEANINGS = frozenset({
    "second", "seconds", "secondo", "segundo", "segunda", "segundos", "terca", "terco", "quarta",
    "quarto", "quinta", "sexta", "cuarto", "cuarta", "quart", "τριτη", "τεταρτη", "πεμπτη", "שני",
    "שלישי", "רביעי", "חמישי", "שישי", "thứ hai", "thứ ba", "thứ tư", "thứ năm", "thứ sáu", "thứ bảy",
})  # fmt: skip
# Fractions, whose words are forms of ordinal numbers; and the Hindi "before".
_NO_ORDINALS = frozenset({
    "cuartas", "cuartos", "tercios", "quintos", "quarti", "terzi", "quinti", "quarts", "quartos", "четверть",
    "четверти", "четвертью", "четвертеи", "τεταρτα", "τριτα", "πεμπτα", "पहले",
})  # fmt: skip
_VOWEL_SIGNS = "\u093e-\u094c\u0a3e-\u0a4c\u0abe-\u0acc\u0901-\u0903\u0a01-\u0a03\u0a70\u0a81-\u0a83"
_ENDINGS = {
    **dict.fromkeys(
        ("be", "bg", "mk", "ru", "sr", "uk"),
        "[аеиіоуыэюяьјє]{1,3}(?:г|го|га|м|му|ми|х|т|та|то|те|ј)?",
    ),
    **dict.fromkeys(("bs", "cs", "hr", "pl", "sk", "sl"), "[aeiouy]{1,3}(?:m|ch|h|mi|ma|j|g|ga|go|ho|mu)?"),
    "el": "(?:ο[σςνι]|ου[σς]?|η[σςν]?|ων|ε[σς]|α[σς]?|ο)",
    "lt": "i?(?:[aeou](?:s|m|me|je|ji|sis|jam|jame|jo|ms|se)?|i)",
    "lv": "(?:ais|aja|ajam|ajai|as|a|o|am|ie|u|os)",
    "is": "(?:i|a|u|um)",
    **dict.fromkeys(("hi", "mr", "ne", "pa", "gu"), f"(?:्य)?[{_VOWEL_SIGNS}]{{1,3}}"),
    "ur": "(?:اں|يں|وں|ا|ي|ے|ں)",
    **dict.fromkeys(("ca", "es", "fr", "it", "pt"), "(?:[aeio]s?|s)"),
    "fa": "ين",
    "bn": "(?:টি|টা|তম)",
    **dict.fromkeys(("et", "fi", "hu", "hy", "ka", "kk", "sq", "sw", "ta", "tr", "az"), r"'?\w{1,4}"),
}
_COMPILED = {code: re.compile(f"(?:{ending})$") for code, ending in _ENDINGS.items()}
_ATTACHED = frozenset({"az", "bn", "et", "fa", "fi", "hu", "hy", "ka", "kk", "sq", "sw", "ta", "tr"})
"""Languages whose endings are added to a form and not put in the place of another."""
_LONGEST_ADDED = 5
_SHORTEST = 3
"""The fewest letters that are left of a word."""
_PREFIXES = {"ar": re.compile("^[وفبلك]?(?:ال)?"), "he": re.compile("^[ובלכמה]{1,3}")}
_SWAHILI_CLASS = re.compile("^(?:ya|la|cha|za|vya|pa|kwa|mwa) ")


def fold_word(word: str, language: str) -> str:
    """Return normalized words without accents, nuktas and hyphens. Vietnamese keeps its tones."""
    word = fold_indic(word).replace("-", " ").replace("’", "'")
    if language != "vi":
        word = unicodedata.normalize("NFC", remove_accents(word))
    return _SWAHILI_CLASS.sub("wa ", word) if language == "sw" else word


def is_fraction(word: str) -> bool:
    """Tell whether a folded word is a form of an ordinal number that means a part, as in "three fourths"."""
    return word in _NO_ORDINALS


def possible_words(word: str, language: str) -> Iterator[str]:
    """Yield a folded word, then what may be left of it without an article or an added ending."""
    yield word
    if language in _PREFIXES:
        bare = without_prefix(word, language)
        yield from (bare, f"ال{bare}")
    if language in _ATTACHED:
        yield from (word[:-cut].rstrip("'") for cut in range(1, _longest_cut(word) + 1))


def without_prefix(word: str, language: str) -> str:
    """Return a folded word without the article and the particles that are written together with it."""
    prefix = _PREFIXES.get(language)
    return prefix.sub("", word) if prefix and len(word) > _SHORTEST else word


def _longest_cut(word: str) -> int:
    """Return how many letters of the last word may be an added ending."""
    return min(_LONGEST_ADDED, len(word.rpartition(" ")[2]) - _SHORTEST)


def strip_ending(word: str, language: str) -> str:
    """Return a folded word without its ending of case and gender, where the language changes these."""
    if language in _ATTACHED or language not in _COMPILED:
        return word
    return _COMPILED[language].sub("", word)


@lru_cache(maxsize=64)
def load_forms(code: str) -> tuple[dict[str, tuple[int, bool]], dict[str, tuple[int, bool]]]:
    """Return the folded forms of a language with their numbers, and the stems of these forms."""
    forms: dict[str, tuple[int, bool]] = {}
    for number, form, sure in (*_listed_forms(code), *_spelled_forms(code)):
        folded = fold_word(normalize_text(form), code)
        vague = number == 1 or (number == 2 and code in _SECOND_IS_OTHER) or folded in _OTHER_MEANINGS
        forms.setdefault(folded, (number, sure and not vague))
        if folded.endswith(" عشرة"):
            forms.setdefault(folded[:-1], (number, sure))  # many write the masculine ten behind a feminine
    stems: dict[str, tuple[int, bool]] = {}
    for form, entry in forms.items():
        if (stem := strip_ending(form, code)) and len(stem) > 2:
            stems.setdefault(stem, entry)
    return forms, stems


def _table() -> dict[str, str]:
    table: dict[str, str] = load_table("ordinals")
    return table


def _listed_forms(code: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the forms of the table; "~" marks those with other meanings."""
    for number, forms in enumerate(_table().get(code, "").split(), 1):
        for form in forms.split("/"):
            yield number, fold_indic(form.lstrip("~").replace("_", " ")), not form.startswith("~")


def _spelled_forms(code: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the forms that CLDR's rules give, of every gender and case."""
    from unicode_rbnf import FormatPurpose, RbnfEngine
    from unicode_rbnf.engine import RbnfError

    name = _CLDR_NAMES.get(code, code)
    if name not in RbnfEngine.get_supported_languages():
        return
    engine = RbnfEngine.for_language(name)
    if code in ("ja", "zh") or not any(rule.startswith("spellout-ordinal") for rule in engine.rulesets):
        return
    for number in _NUMBERS:
        try:
            found = engine.format_number(number, FormatPurpose.ORDINAL).text_by_ruleset
        except RbnfError:  # CLDR has rules for small numbers only, as in Tamil.
            return
        yield from ((number, form, True) for form in set(found.values()))
