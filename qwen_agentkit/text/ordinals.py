"""Ordinal numbers in a normalized text, in words and in digits: "third", "5th", الثالث, 第三, "3-й".

Knows the forms of `qwen_agentkit.text.ordinal_forms`, what stands beside digits, and the counted word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.text.calendar_words import find_days
from qwen_agentkit.text.letters import fold_letters
from qwen_agentkit.text.ordinal_forms import (
    fold_word,
    is_fraction,
    load_forms,
    possible_words,
    strip_ending,
    without_prefix,
)
from qwen_agentkit.text.ranges import is_range
from qwen_agentkit.text.stems import find_stems
from qwen_agentkit.text.stop_words import is_stop_word

__all__ = ["Ordinal", "find_ordinals", "find_stated_places", "has_other_place"]


class Ordinal(NamedTuple):
    """A place in an order, as written: ``text[start:end]``."""

    text: str
    number: int
    start: int
    end: int
    things: frozenset[str]
    """The stems of the words beside it, one of which it may count: the "floor" of "third floor"."""
    sure: bool
    """Whether it hardly means anything else, as "first" and "second" do."""
    spelled: bool
    """Whether it is written in words."""


_LONGEST = 4
"""The most words of an ordinal number."""
_UNSEGMENTED = frozenset({"bo", "ja", "km", "lo", "my", "th", "zh"})
_THING_BEHIND = frozenset({"ja", "ko", "zh"})
_WORD = re.compile("[^\\W\\d_][\\w\u0300-\u036f\u0900-\u0dff'’]*")
_JOINED_BEFORE = re.compile(rf"(?:{_WORD.pattern}[ -]+){{0,2}}$")
_BEHIND = re.compile(f"[ -]?({_WORD.pattern})")
_NEAR = 24
"""How far from it, in characters, the thing stands that an ordinal number counts."""

# 1st, 2nd; 1er, 2e, 3ème; 1º, 2ª; 3:e; 3-й, 5-го; 5'inci; १ला; 3-րդ. A dot is an ordinal's in many languages.
_BEHIND_DIGITS = (
    r"(?:st|nd|rd|th|de|ste|[eè]re|er|nde|[eè]me|re|e|\.?[oa]s?|[rdtmv][oa]|:[aeo]"
    "|-?(?:ий|ый|ой|й|я|е|го|му|м|х|ми|а|у|и|о|та|то|ти|те|ша|га|шы|ші|інші|ыншы|дугаар|дүгээр|рд|րդ|ին)"
    "|'?-?[iıuü]?nc[iıuü]\\w{0,4}|-?(?:dik|ik|odik|adik)|-?(?:oji|asis|ajame)|-?(?:वा|वां|वीं|वें|वे|ला|ले|ली|रा|रे|री"
    "|था|थे|थी|ठा|ठे|ठी|औं)|-?(?:म|য়|র্থ|ষ্ঠ|শ|তম)|ਵਾਂ|ਵੀਂ|ਵੇਂ|મો|મી|મા|મું|-?(?:வது|ஆவது|ஆம்|ம்)|-?(?:వ|వది|ో)|-?(?:ನೇ|ನೆಯ)"
    "|-?(?:ാം|ആം)|-?(?:වන|වැනි|වෙනි)|-?ኛ|(?:번|번) ?째|째|番目|つ目|回目)(?![^\\W\\d_])"
)
_DIGITS = re.compile(
    r"(?:第|제 ?|\bthứ ?|\bke-|\bika-|მე-|ที่ ?|ទី ?)(?P<marked>\d{1,3})(?!\d)"
    rf"|(?<![\w.,:/-])(?P<plain>\d{{1,3}}){_BEHIND_DIGITS}"
)
_DOTTED = re.compile(r"(?<![\w.,:/-])(\d{1,3})\.(?= ?[^\W\d_])")
_USES_DOT = frozenset(
    ("bs", "cs", "da", "de", "et", "fi", "hr", "hu", "is", "lb", "lv", "no", "pl", "sk", "sl", "sr", "tr")
)
_COUNTED_DIGITS = re.compile(r"(?<![\w.,:/-])(\d{1,3}) ?(?=[楼樓层層階届屆期章节節课課층번호회장])")
_ARTICLE = re.compile(r"(?<= )(?:the|de[mnr]|de|la|le|el|il|o|al|a) $")
_FIRST_WORD = re.compile(r"^ [^\W\d_]+(?= )")
# "Floor 2", and no list or range of floors.
_NUMBERED = re.compile(rf"({_WORD.pattern}) (\d{{1,3}})(?![\w:]|[.,]\d|(?: ?[,/&~-] ?| \w{{1,5}} )\d)")
# 第三, and 三楼: a floor, and not so many of them.
_HAN = re.compile("第([〇零一二三四五六七八九十百]{1,5})|([二三四五六七八九十]{1,3})(?=[楼樓階])")
_HAN_DIGITS = {char: number for number, char in enumerate("零一二三四五六七八九")} | {"〇": 0}


def find_ordinals(text: str, language: str) -> list[Ordinal]:
    """Return the ordinal numbers of a text, those in words first.

    Args:
        text: A text that `normalize_text` has folded.
        language: Its language, an ISO 639-1 code.
    """
    code = language.split("-")[0]
    found: list[Ordinal] = []
    # "Terça-feira" is Tuesday, and not third.
    taken = [(day.start, day.end) for day in find_days(text, language) if day.sure]
    for start, end, number, sure, spelled in _find(text, code):
        if not any(first < end and start < last for first, last in taken):
            taken.append((start, end))
            things = _things_beside(text, start, end, code)
            found.append(Ordinal(text[start:end], number, start, end, things, sure, spelled))
    return found


def find_stated_places(text: str, language: str) -> list[Ordinal]:
    """Return the ordinal numbers of a source, those within a range, and numbered things: floor 2.

    Arguments as in `find_ordinals`.
    """
    found = sorted(find_ordinals(text, language), key=lambda one: one.start)
    for one, other in pairwise(found):
        if one.number < other.number and _is_range(text[one.end : other.start]):
            things = one.things | other.things
            found += [
                other._replace(number=number, things=things) for number in range(one.number, other.number + 1)
            ]
    code = language.split("-")[0]
    for match in _NUMBERED.finditer(text):
        if _says_much(match[1], code):
            things = frozenset({_stem(match[1], code)})
            found.append(Ordinal(match[2], int(match[2]), *match.span(2), things, False, False))
    return found


def _is_range(gap: str) -> bool:
    """Tell whether a gap links two places: "second to fifth", "second floor to the fifth"."""
    bare = _ARTICLE.sub("", gap)
    return is_range(bare) or is_range(_FIRST_WORD.sub("", bare))


def has_other_place(ordinal: Ordinal, alike: Sequence[Ordinal], foreign: Sequence[Ordinal]) -> bool:
    """Tell whether the places that sources state speak against one of a claim, which none of them states.

    Args:
        ordinal: What the claim states.
        alike: The places of the sources in the language of the claim.
        foreign: Those of the other sources.
    """
    same_thing = [one for one in alike if one.things & ordinal.things]
    if same_thing:
        return all(one.number != ordinal.number for one in same_thing)
    if any(one.number == ordinal.number for one in (*alike, *foreign)):
        return False
    if ordinal.sure:
        return any(one.sure or one.things for one in (*alike, *foreign))
    # "First" and "second" have other meanings, and hardly so beside a thing of which a source states a place.
    return bool(ordinal.things) and any(one.sure for one in foreign)


def _find(text: str, code: str) -> Iterator[tuple[int, int, int, bool, bool]]:
    """Yield the place and number of each ordinal, whether it is sure, and whether it is in words."""
    yield from _find_joined(text, code) if code in _UNSEGMENTED else _find_words(text, code)
    for match in _DIGITS.finditer(text):
        yield (*match.span(), int(match["marked"] or match["plain"]), True, False)
    for match in _COUNTED_DIGITS.finditer(text):
        yield (*match.span(1), int(match[1]), True, False)
    if code in _USES_DOT:
        for match in _DOTTED.finditer(text):
            yield (*match.span(), int(match[1]), True, False)


def _find_words(text: str, code: str) -> Iterator[tuple[int, int, int, bool, bool]]:
    """Look up each run of words, the longest first, in the forms of the language and in their stems."""
    forms, stems = load_forms(code)
    words = list(_WORD.finditer(text))
    place = 0
    while place < len(words):
        for length in range(min(_LONGEST, len(words) - place), 0, -1):
            run = words[place : place + length]
            start, end = run[0].start(), run[-1].end()
            if any(gap not in (" ", "-") for gap in _gaps(text, run)):
                continue
            if entry := _look_up(fold_word(text[start:end], code), code, forms, stems):
                yield start, end, *entry, True
                place += length
                break
        else:
            place += 1


def _gaps(text: str, run: list[re.Match[str]]) -> list[str]:
    return [text[one.end() : other.start()] for one, other in pairwise(run)]


def _look_up(
    folded: str, code: str, forms: dict[str, tuple[int, bool]], stems: dict[str, tuple[int, bool]]
) -> tuple[int, bool] | None:
    if is_fraction(folded):
        return None
    for word in possible_words(folded, code):
        if entry := forms.get(word):
            return entry
        stem = strip_ending(word, code)
        if stem != word and (entry := stems.get(stem)):
            return entry
    return None


def _find_joined(text: str, code: str) -> Iterator[tuple[int, int, int, bool, bool]]:
    """Find the ordinals of a language that writes no spaces."""
    if code in ("ja", "zh"):
        for match in _HAN.finditer(text):
            number = _read_han(match[1] or match[2])
            yield match.start(), match.end(), number, bool(match[2]) or number > 1, True
    forms, _ = load_forms(code)
    for form, (number, sure) in forms.items():
        for match in re.finditer(re.escape(form), text):
            yield match.start(), match.end(), number, sure, True


def _read_han(signs: str) -> int:
    hundreds, _, rest = signs.rpartition("百")
    tens, ten, ones = rest.rpartition("十")
    number = _HAN_DIGITS.get(hundreds, 1) * 100 if "百" in signs else 0
    number += _HAN_DIGITS.get(tens.strip("零〇"), 1) * 10 if ten else 0
    return number + _HAN_DIGITS.get(ones.strip("零〇"), 0)


def _things_beside(text: str, start: int, end: int, code: str) -> frozenset[str]:
    """Return the stems of the words right before and right behind a place, without those that say little."""
    before, behind = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    if code in _THING_BEHIND:
        return frozenset(filter(str.isalpha, behind.strip()[:1]))
    if code in _UNSEGMENTED:
        return frozenset(part for part in (before[-3:].strip(), behind[:3].strip()) if len(part) > 1)
    # "Kati i tretë": a particle may stand between.
    heads = [word for word in _WORD.findall(_last_words(before)) if _says_much(word, code)]
    tails = _BEHIND.match(behind)
    words = heads[-1:] + ([tails[1]] if tails and _says_much(tails[1], code) else [])
    return frozenset(_stem(word, code) for word in words)


def _last_words(text: str) -> str:
    match = _JOINED_BEFORE.search(text)
    return match[0] if match else ""


def _says_much(word: str, code: str) -> bool:
    return len(word) > 1 and not is_stop_word(fold_letters(word), code)


def _stem(word: str, code: str) -> str:
    return (find_stems(word, code) or (without_prefix(fold_word(word, code), code)[:5],))[0]
