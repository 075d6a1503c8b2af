"""Names behind or in front of a title, which are names in every script: Frau Schulz, السيد ناصر, 王先生.

Knows the titles of many languages and the commonest Chinese and Korean surnames, and no other list of names.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.surnames import CHINESE_SURNAMES, KOREAN_SURNAMES

__all__ = ["TitledName", "find_titled_names"]


class TitledName(NamedTuple):
    """A name beside a title."""

    name: str
    """The name as written, without the title: the first word of it where there are several."""
    readings: tuple[str, ...]
    """What the name may be, where it is not certain at which character it begins."""
    capital: bool
    """Whether it is written with a capital letter, so that it is hardly another word."""
    behind: str = ""
    """The capitalized word behind it: a last name, or in German any noun."""


# A capitalized word behind one or more of these is a name. The short ones are words too without a capital.
_CAPITALIZED_TITLES = (
    "Mr|Mrs|Ms|Miss|Mx|Sir|Dame|Lord|Lady|Dr|Prof|Rev|Judge|Captain|Herrn?|Frau|Fräulein|Mme|Mlle|Sra?|Srta|Dra"
    "|Mevr|Mw|Dhr|Drs|Fru|Mgr|Inż|JUDr|MUDr|Pak|Bapak|Bu|Ibu|Tuan|Nyonya|Ông|Bà|Bwana|Bibi|Bay|Bayan|Sayın|Ginoong"
    "|Ginang|Gng|Dña|Д-р|Др|Проф|Δρ"
)
_ABBREVIATED_TITLES = "Fr|Hr|M|Ing|Mag|Dipl|Sig|Sig\\.ra|Dott|Dott\\.ssa|Avv|Lic|D|Engº|κ|κα|κος|Κα|Κος"
_SPELLED_TITLES = (
    "doctor|professor|doktor|professorin|monsieur|madame|mademoiselle|docteure?|maître|señora?|señorita|don|doña"
    "|doctora|profesora?|signora?|signorina|signor|dottore|dottoressa|professore|professoressa|senhora?|doutora?|dona"
    "|mevrouw|meneer|heer|herr|fru|fröken|frøken|herra|rouva|neiti|tohtori|professori|pan[iaemu]?|pán|paní|panem"
    "|panią|slečna|gospodina?|gospođ[aeui]|gosp[ao]|domnul|doamna|domnișoara|tiến sĩ|bác sĩ|giáo sư|daktari"
    "|г-на?|г-ном|г-же|г-жа|г-жи|господин[ауе]?|господином|госпож[аиеу]|госпожой|доктор[ауе]?|доктором"
    "|профессор[ауе]?|профессором|пан[аіу]?|пані|паном|професор[ауе]?|κύριο[ςυ]?|κυρία[ςν]?|καθηγητή[ςν]?|պարոն|տիկին"
)
# A name follows one of these, in scripts without capitals.
_WITHOUT_CAPITALS = (
    "السيد|السيدة|الانسة|الدكتور|الدكتورة|دكتور|دكتورة|الاستاذ|الاستاذة|المهندس|المهندسة|البروفيسور|البروفيسورة|الشيخ|المحامي"
    "|المحامية|القاضي|القاضية|الطبيب|الطبيبة|المدرب|المدربة|المعلم|المعلمة|د|ا\\.د|اقاي|خانم|دكتر|مهندس|استاد|پروفسور|جناب|سركار"
    "|محترمہ|ڈاكٹر|پروفيسر|مسٹر|מר|גברת|גב'|ד\"ר|פרופ'|פרופסור|הרב|עו\"ד|श्री|श्रीमती|सुश्री|डॉ|डॉक्टर|प्रो|प्रोफेसर|कुमारी"
    "|জনাব|জনাবা|ড|ডা|ডঃ|ডাঃ|ডাক্তার|শ্রী|শ্রীমতী|মিসেস|মিস্টার|திரு|திருமதி|டாக்டர்|శ్రీ|శ్రీమతి|డాక్టర్|బాటోని|ბატონი|ქალბატონი|አቶ|ወይዘሮ|ዶክተር"
)
_THAI = re.compile(r"(?:นางสาว|นาย|นาง|คุณ|ดร\.|ศ\.|อาจารย์|หมอ) ?([\u0e01-\u0e4e]{2,12})")
_HAN = "\u4e00-\u9fff"
_CHINESE = re.compile(
    f"([{_HAN}]{{1,4}})(?:先生|女士|小姐|太太|夫人|教授|博士|医生|醫生|老师|老師|经理|經理|主任|律师|律師|院长|院長|校长|校長)"
)
# 担任院长 is "to serve as director": 任 is a surname too.
_NO_CHINESE_NAME = re.compile(
    "(?:[担擔出就现現前历歷兼常主责責曾接离離卸]任|[对對双雙各地]方|[经經通平日]常|[由对對关關属屬]于)$"
)
_JAPANESE = re.compile(
    f"([{_HAN}々]{{1,4}}|[\u30a1-\u30fa\u30fc・]{{2,12}})(?:さん|氏|様|先生|教授|博士|部長|課長|社長|医師|弁護士)"
)
# お客様 is a customer, and 仕様 a specification.
_NO_JAPANESE_NAME = re.compile(
    "(?:客|皆|神|仕|模|同|多|一|異|有|奥|王|姫|殿|各|両|彼|者|生|員|名誉|准|副|母|父|兄|姉|娘|息子)$"
)
_KOREAN = re.compile(
    "(?<![가-힣])([가-힣]{2,4})"
    "(?: 씨| ?선생님| ?교수님?| ?박사님?| ?부장님?| ?과장님?| ?사장님?| ?대표님?| ?팀장님?| ?원장님?)"
)
_CAPITALS = "".join(char for char in map(chr, range(0x41, 0x590)) if char.isupper())
_COMPOUND_SURNAMES = ("欧阳", "歐陽", "司马", "司馬", "上官", "诸葛", "諸葛", "东方", "東方")
_CAPITALIZED = rf"[{_CAPITALS}][\w'’]*(?:-[{_CAPITALS}][\w'’]*)*"


def find_titled_names(text: str, language: str) -> list[TitledName]:
    """Return the names of a text that stand beside a title.

    Args:
        text: A sentence or a passage, as written.
        language: Its language, an ISO 639-1 code.
    """
    code = language.split("-")[0]
    if code in ("ja", "zh", "ko", "th"):
        return _find_joined(normalize_text(text), code)
    found = [
        TitledName(match["name"], (match["name"],), True, match["behind"] or "")
        for match in _with_capitals().finditer(text)
    ]
    folded = "" if found else normalize_text(text)
    return found or [
        TitledName(match[1], (match[1],), False) for match in _without_capitals().finditer(folded)
    ]


def _find_joined(text: str, code: str) -> list[TitledName]:
    """Find the titled names of a language that writes them together with their neighbors."""
    if code == "th":
        return [TitledName(match[1], _beginnings(match[1]), False) for match in _THAI.finditer(text)]
    if code == "ko":
        return [
            TitledName(match[1], (match[1],), False)
            for match in _KOREAN.finditer(text)
            if match[1][0] in KOREAN_SURNAMES
        ]
    if code == "ja":
        return [
            TitledName(match[1], (match[1],), False)
            for match in _JAPANESE.finditer(text)
            if not _NO_JAPANESE_NAME.search(match[1])
        ]
    found = []
    for match in _CHINESE.finditer(text):
        if readings := _chinese_readings(match[1]):
            found.append(TitledName(readings[0], readings, False))
    return found


def _chinese_readings(signs: str) -> tuple[str, ...]:
    """Return the ends of a run of signs that may be a name: those that begin with a surname."""
    if _NO_CHINESE_NAME.search(signs):
        return ()
    ends = (signs[place:] for place in range(len(signs)))
    return tuple(
        end
        for end in ends
        if (end[0] in CHINESE_SURNAMES and len(end) < 4) or end.startswith(_COMPOUND_SURNAMES)
    )


def _beginnings(name: str) -> tuple[str, ...]:
    """Return a Thai run and its beginnings, since no space ends a name."""
    return tuple(name[:length] for length in range(len(name), 3, -1)) or (name,)


@lru_cache(maxsize=1)
def _with_capitals() -> re.Pattern[str]:
    title = rf"(?:(?:{_CAPITALIZED_TITLES})\b\.?|(?:{_ABBREVIATED_TITLES})\.|(?i:{_SPELLED_TITLES})\b)"
    return re.compile(
        rf"(?<![\w.-]){title}(?:[ -]{title}| (?:med|rer|nat|phil|jur|h\.c)\.)*"
        rf" (?P<name>{_CAPITALIZED})(?: (?P<behind>{_CAPITALIZED}))?"
    )


@lru_cache(maxsize=1)
def _without_capitals() -> re.Pattern[str]:
    titles = "|".join(sorted(map(normalize_text, _WITHOUT_CAPITALS.split("|")), key=len, reverse=True))
    letter = "\\w\u0900-\u0963\u0971-\u0dff"
    head = rf"(?<![{letter}])(?:[وفبكل]|لل)?(?:{titles})[.:]?"
    return re.compile(rf"{head}(?: /)?(?: (?:{titles})[.:]?)* ([^\W\d_][{letter}'-]*)")
