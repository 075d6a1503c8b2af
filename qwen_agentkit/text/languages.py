"""Detect the language of a text, and provide fixed phrases in many languages.

Knows scripts, short words (`data/words.json`), characteristic letters and py3langid's bundled model. Works on
a word or two as well as on a page. Uses no network and does not translate.

Languages are ISO 639-1 codes; clearly traditional Chinese is ``"zh-hant"``.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from itertools import groupby
from typing import Any, cast
from unicodedata import normalize

__all__ = ["detect_language", "has_phrase", "is_rtl", "language_name", "phrase"]

_READ = 4000
"""Characters read: more of the same text does not change the result."""

# The first code point of each block and its script ("" where the block tells nothing).
_BLOCKS = (
    (0x0000, ""), (0x0041, "latin"), (0x005B, ""), (0x0061, "latin"), (0x007B, ""), (0x00C0, "latin"),
    (0x00D7, ""), (0x00D8, "latin"), (0x02B0, ""), (0x0370, "greek"), (0x0400, "cyrillic"),
    (0x0530, "armenian"), (0x0590, "hebrew"), (0x0600, ""), (0x0620, "arabic"), (0x0640, ""),
    (0x0641, "arabic"), (0x064B, ""), (0x066E, "arabic"), (0x06D4, ""), (0x06D5, "arabic"), (0x06D6, ""),
    (0x06EE, "arabic"), (0x06F0, ""), (0x06FA, "arabic"), (0x0700, ""), (0x0750, "arabic"), (0x0780, ""),
    (0x0900, "devanagari"), (0x0980, "bengali"), (0x0A00, "gurmukhi"), (0x0A80, "gujarati"),
    (0x0B00, "oriya"), (0x0B80, "tamil"), (0x0C00, "telugu"), (0x0C80, "kannada"), (0x0D00, "malayalam"),
    (0x0D80, "sinhala"), (0x0E00, "thai"), (0x0E80, "lao"), (0x0F00, "tibetan"), (0x1000, "myanmar"),
    (0x10A0, "georgian"), (0x1100, "hangul"), (0x1200, "ethiopic"), (0x13A0, ""), (0x1780, "khmer"),
    (0x1800, "mongolian"), (0x18B0, ""), (0x1E00, "latin"), (0x1F00, "greek"), (0x2000, ""),
    (0x3041, "kana"), (0x30FB, ""), (0x30FC, "kana"), (0x3100, ""), (0x3131, "hangul"), (0x318F, ""),
    (0x3400, "han"), (0x4DC0, ""), (0x4E00, "han"), (0xA000, ""), (0xAC00, "hangul"), (0xD7B0, ""),
    (0xF900, "han"), (0xFB00, "latin"), (0xFB13, ""), (0xFB50, "arabic"), (0xFDFE, ""), (0xFE70, "arabic"),
    (0xFEFF, ""), (0xFF21, "latin"), (0xFF3B, ""), (0xFF41, "latin"), (0xFF5B, ""), (0xFF66, "kana"),
    (0xFFA0, "hangul"), (0xFFE0, ""), (0x20000, "han"), (0x32000, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _BLOCKS]

# Scripts used by (nearly) one language.
_OWNER = {
    "hangul": "ko", "thai": "th", "lao": "lo", "khmer": "km", "myanmar": "my", "greek": "el",
    "armenian": "hy", "georgian": "ka", "hebrew": "he", "ethiopic": "am", "tibetan": "bo",
    "mongolian": "mn", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "oriya": "or",
    "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml", "sinhala": "si",
}  # fmt: skip

# Scripts without spaces between words.
_UNSEGMENTED = frozenset({"han", "kana", "thai", "lao", "khmer", "myanmar", "tibetan"})

# The letters by which languages of one script differ.
_LETTERS: dict[str, dict[str, str]] = {
    "arabic": {
        "ar": "ةأإى", "fa": "پچژگکی", "ur": "پچژگکیٹڈڑںےۓہھ", "ps": "پچژټډړږښڼۍې",
    },
    "cyrillic": {
        "ru": "ыэёъщ", "uk": "їєґіщ", "bg": "ъщ", "be": "ўіыэё", "sr": "ђћљњџј", "mk": "ѓќѕљњџј",
        "kk": "әғқңұһіүөыэё", "mn": "үөыэё",
    },
    "latin": {
        "de": "äöüß", "fr": "éèêëàâçùûîïôœ", "es": "áéíóúñü", "pt": "ãõáéíóúâêôàç", "it": "àèéìòù",
        "nl": "ëïé", "tr": "ğışçöü", "ro": "ăâîșțşţ", "pl": "ąćęłńóśźż", "cs": "áčďéěíňóřšťúůýž",
        "sk": "áäčďéíĺľňóôŕšťúýž", "sl": "čšž", "hr": "čćđšž", "sv": "åäö", "da": "åæø", "no": "åæø",
        "is": "áðéíóúýþæö", "fi": "äö", "et": "äöõü", "hu": "áéíóöőúüű", "lv": "āčēģīķļņšūž",
        "lt": "ąčęėįšųūž", "sq": "ëç", "ca": "àèéíïòóúüç", "af": "êëôûŉ",
        "vi": "ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ",
    },
}  # fmt: skip

_WORD = re.compile(r"[^\W\d_][\w\u0300-\u036f\u0900-\u097f]*")
_CHINESE_TITLE = re.compile("《[^》]*》")
# Matches start at the beginning of a word only, so that one long word is fast.
_CODE = re.compile(r"(?:(?<![\w-])[\w-]+)?[._/:@\\=<>(){}#]+[0-9A-Za-z][!-~]*")

_SURE = 0.4
"""The share of all evidence that decides for a language: "Bike repair" has 0.32 for Estonian."""
_FEW_KANJI = 3
"""Up to this weight (six characters) a Japanese word may have no kana."""

_RTL = frozenset({"ar", "fa", "ur", "ps", "he", "yi", "sd", "ug", "dv", "ckb"})


def detect_language(text: str, default: str = "en") -> str:
    """Detect the language of a text; a word or two is enough.

    The script decides first, then words and letters that few languages share, then py3langid. The first call
    of py3langid in a process takes about 0.7 s, since it loads a model.

    Args:
        text: Any text; the first 4,000 characters are read.
        default: The result for a text without letters, or with too little evidence if the default is
            written in its script. For instance the language of the conversation.

    Returns:
        An ISO 639-1 code, or ``"zh-hant"`` for clearly traditional Chinese.
    """
    text = text[:_READ]
    # File names, addresses and code in a question do not show its language.
    text = own if _scripts(own := _CODE.sub(" ", text)) else text
    scripts = _scripts(text)
    if not scripts:
        return default
    script = max(scripts, key=lambda name: scripts[name])
    if script in ("han", "kana"):
        return _han_language(text, scripts, default)
    if script in _OWNER:
        return _OWNER[script]
    words = [word for word in _WORD.findall(normalize("NFC", text.lower())) if _script(word[0]) == script]
    votes = _count_votes(words, script)
    return _decide_by_votes(votes, len(words)) or _decide_by_model(text, votes, default)


@lru_cache(maxsize=1 << 14)  # A page has thousands of characters but few distinct ones.
def _script(char: str) -> str:
    return _BLOCKS[bisect_right(_STARTS, ord(char)) - 1][1]


def _scripts(text: str) -> Counter[str]:
    """Weigh the scripts of a text by words. In scripts without spaces two characters count as a word."""
    counts: Counter[str] = Counter()
    for script, run in groupby(text, _script):
        if script:
            words = max(1, len(list(run)) // 2) if script in _UNSEGMENTED else 1
            # Technical text in any language contains English terms; the opposite is rare.
            counts[script] += words if script == "latin" else 2 * words
    return counts


def _han_language(text: str, scripts: Counter[str], default: str) -> str:
    # A Chinese text may quote a Japanese title, but every Japanese sentence has particles in kana.
    kana = _scripts(_CHINESE_TITLE.sub("", text))["kana"]
    if kana * 10 > scripts["han"]:
        return "ja"
    found = Counter(map(_chinese_script, text))
    if default == "ja" and scripts["han"] <= _FEW_KANJI and not found["zh"]:
        return "ja"
    if not found["zh"] and not found["zh-hant"]:
        return default if default == "zh-hant" else "zh"
    return "zh-hant" if found["zh-hant"] > 2 * found["zh"] else "zh"


@lru_cache(maxsize=1 << 14)
def _chinese_script(char: str) -> str:
    """Return the only Chinese script with this character, by the national character sets, or ""."""
    simplified, traditional = _encode(char, "gb2312"), _encode(char, "big5")
    if bool(simplified) == bool(traditional):
        return ""
    # The second level of Big5 holds rare characters that both scripts share.
    return "zh" if simplified else "zh-hant" if b"\xa4" <= traditional < b"\xc9" else ""


def _encode(char: str, charset: str) -> bytes:
    return char.encode(charset, "ignore") if char >= "\u4e00" else b""


def _languages_by(signs: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return, for each word or letter, the languages that have it."""
    owners: dict[str, set[str]] = {}
    for code, own in signs.items():
        for sign in own:
            owners.setdefault(sign, set()).add(code)
    return {sign: frozenset(codes) for sign, codes in owners.items()}


@lru_cache
def _load_signs(script: str) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Return the languages of each word and of each characteristic letter."""
    words = {code: known.split() for code, known in _load_words()[script].items()}
    return _languages_by(words), _languages_by(_LETTERS.get(script, {}))


def _count_votes(words: list[str], script: str) -> dict[str, float]:
    """Count the evidence of words for each language: a word shared by few languages counts more."""
    known, letters = _load_signs(script)
    votes = dict.fromkeys(_load_words()[script], 0.0)
    for word in words:
        for code in (codes := known.get(word) or _languages_writing(word, letters)):
            votes[code] += 1 / len(codes)
    return votes


def _languages_writing(word: str, letters: dict[str, frozenset[str]]) -> frozenset[str]:
    """Return the languages that use all characteristic letters of a word; none if it has none."""
    telling = [letters[char] for char in set(word) if char in letters]
    return frozenset.intersection(*telling) if telling else frozenset()


def _decide_by_votes(votes: dict[str, float], words: int) -> str | None:
    """Return the language of a third of the words, if it has twice the votes of any other."""
    *_, (second, _), (first, code) = sorted((count, code) for code, count in votes.items())
    return code if first >= max(1, 2 * second, words / 3) else None


def _decide_by_model(text: str, votes: dict[str, float], default: str) -> str:
    """Combine py3langid with the words. With little evidence, return the default if the words allow it."""
    scale = math.sqrt(len(text.encode(errors="replace"))) / 2
    evidence: dict[str, float] = {
        code: score / scale + votes[code] for code, score in _identifier(tuple(votes)).rank(text)
    }
    best = max(evidence, key=lambda code: evidence[code])
    if _SURE * sum(math.exp(other - evidence[best]) for other in evidence.values()) <= 1:
        return best
    leading = [code for code, count in votes.items() if count == max(votes.values())]
    return default if default in leading else leading[0]


@lru_cache
def _identifier(candidates: tuple[str, ...]) -> Any:
    # Imported here because it loads numpy, which most questions do not need.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(candidates))
    return identifier


@lru_cache
def _load_words() -> dict[str, dict[str, str]]:
    text = resources.files("qwen_agentkit").joinpath("data/words.json").read_text("utf-8")
    return cast("dict[str, dict[str, str]]", json.loads(text))


@lru_cache
def _load_phrases() -> dict[str, dict[str, Any]]:
    text = resources.files("qwen_agentkit").joinpath("data/phrases.json").read_text("utf-8")
    return cast("dict[str, dict[str, Any]]", json.loads(text))


def phrase(language: str, key: str) -> str:
    """Return a fixed phrase in a language, in English where the language has none.

    Args:
        language: A code as `detect_language` gives it.
        key: One of ``abstain``, ``nano_abstain`` (the wording that nano-chat was trained on),
            ``from_documents``, ``sources``, ``name``, ``endonym``.
    """
    table = _load_phrases()
    for code in (language, language.split("-")[0], "en"):
        if key in table.get(code, {}):
            return str(table[code][key])
    raise KeyError(key)


def has_phrase(language: str, key: str) -> bool:
    """Tell whether a language, or its base language, has its own phrase for a key."""
    table = _load_phrases()
    return any(key in table.get(code, {}) for code in (language, language.split("-")[0]))


def language_name(code: str) -> str:
    """Return the English name of a language, or the code itself if it is unknown."""
    table = _load_phrases()
    entry = table.get(code) or table.get(code.split("-")[0]) or {}
    return str(entry.get("name", code))


def is_rtl(code: str) -> bool:
    """Tell whether a language is written from right to left."""
    return code.split("-")[0] in _RTL
