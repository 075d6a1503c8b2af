"""Detect the language of a text, and provide fixed phrases in many languages.

Knows short words (`data/words.json`), characteristic letters and py3langid's bundled model. Works on
a word or two as well as on a page. Uses no network and does not translate.

Languages are ISO 639-1 codes; clearly traditional Chinese is ``"zh-hant"``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import repeat
from typing import Any
from unicodedata import normalize

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.scripts import count_scripts, script_of

__all__ = ["common_words", "detect_language", "has_phrase", "is_rtl", "language_name", "phrase"]

_READ = 4000
"""Characters read: more of the same text does not change the result."""

# Scripts used by (nearly) one language.
_OWNER = {
    "hangul": "ko", "thai": "th", "lao": "lo", "khmer": "km", "myanmar": "my", "greek": "el",
    "armenian": "hy", "georgian": "ka", "hebrew": "he", "ethiopic": "am", "tibetan": "bo",
    "mongolian": "mn", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu", "oriya": "or",
    "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml", "sinhala": "si",
}  # fmt: skip

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
_ASCII_LETTER = re.compile("[A-Za-z]")
_CHINESE_TITLE = re.compile("《[^》]*》")
_CASED = frozenset({"latin", "cyrillic"})
"""Scripts of several languages in which names begin with capitals."""
# Matches start at the beginning of a word only, so that one long word is fast.
_MAY_BE_CODE = re.compile(r"[._/:@\\=<>(){}#][0-9A-Za-z]")
_CODE = re.compile(r"(?:(?<![\w-])[\w-]+)?[._/:@\\=<>(){}#]+[0-9A-Za-z][!-~]*")

_COMMON = {"latin": "en", "cyrillic": "ru", "arabic": "ar", "devanagari": "hi"}
"""The language of a script for which no other language has evidence."""
_EXPECTED = 3.0
"""How much an expected language leads, in nats: py3langid prefers a wrong one by up to 2.4 in two words."""
_SURE = 0.4
"""The share of all evidence that decides for a language: "Bike repair" has 0.32 for Estonian."""
_SOME = 0.5
"""The least evidence from words for a language that is not expected: a word that two languages share."""
_CERTAIN = 0.98
"""The share that decides without any word that few languages share."""
_BORROWED = frozenset("éèêëïîçàâñô")
"""Letters of words that languages without them borrow: café, naïve, piñata."""
_SENTENCE = 3
"""The fewest words of a sentence."""
_FEW_WORDS = 20
_MANY_WORDS = 100
_NO_KANA = 16
"""A Japanese heading of up to so many characters may have no kana."""
_ROMANIZED = "-latn"
"""The end of the codes of romanized languages in `data/words.json`."""

_RTL = frozenset({"ar", "fa", "ur", "ps", "he", "yi", "sd", "ug", "dv", "ckb"})


def detect_language(text: str, default: str = "en", among: Sequence[str] = ()) -> str:
    """Detect the language of a text; a word or two is enough.

    The script decides first, then words and letters that few languages share, then py3langid. The first call
    of py3langid in a process takes about 0.7 s, since it loads a model.

    Args:
        text: Any text; the first 4,000 characters are read.
        default: The result for a text without letters, or with too little evidence if the default is
            written in its script.
        among: Languages to expect, such as those of the conversation and of the store, the likeliest first.
            Another language needs evidence of its own. They replace the default.

    Returns:
        An ISO 639-1 code, or ``"zh-hant"`` for clearly traditional Chinese. Romanized text has the expected
        language or the default.
    """
    text = text[:_READ]
    # File names, addresses and code in a question do not show its language.
    scripts = _weigh_scripts(text)
    if _MAY_BE_CODE.search(text) and (others := _weigh_scripts(own := _CODE.sub(" ", text))):
        text, scripts = own, others
    if not scripts:
        return default
    script = max(scripts, key=lambda name: scripts[name])
    if script in ("han", "kana"):
        return _han_language(text, scripts, among or (default,))
    if script in _OWNER:
        return _OWNER[script]
    words = _own_words(text, script)
    votes = _count_votes(words, script)
    expected = [code for code in among if code in votes] or [default if default in votes else _COMMON[script]]
    # With languages to expect, a capitalized word such as Zürich may be a name.
    telling = len(words) < _SENTENCE and not (among and text != text.lower())
    writing = _languages_of_letters(words, script) if telling else frozenset()
    found = _decide_by_votes(votes, len(words)) or _decide_by_model(
        text, votes, expected, len(words), writing
    )
    if found.endswith(_ROMANIZED):
        code = found.removesuffix(_ROMANIZED)
        return code if code in among else expected[0]
    return found


def _weigh_scripts(text: str) -> Counter[str]:
    """Return what `count_scripts` does, without counting words where there is one script only."""
    if text.isascii():
        return Counter({"latin"} if _ASCII_LETTER.search(text) else ())
    names = {script_of(char) for char in set(text)} - {""}
    return count_scripts(text) if len(names) > 1 else Counter(names)


def _own_words(text: str, script: str) -> list[str]:
    """Return the words of the text in its main script; without names if enough is left."""
    words = _WORD.findall(text if text.isascii() else normalize("NFC", text))
    if not text.isascii():
        words = [word for word in words if script_of(word[0]) == script]
    if script not in _CASED:
        return words
    plain = words[:1] + [word for word in words[1:] if word[0].islower() or not word[0].isalpha()]
    return [word.lower() for word in (plain if len(plain) > 1 else words)]


def _han_language(text: str, scripts: Counter[str], expected: Sequence[str]) -> str:
    # A Chinese text may quote a Japanese title, but every Japanese sentence has particles in kana.
    kana = count_scripts(_CHINESE_TITLE.sub("", text))["kana"]
    if kana * 10 > scripts["han"]:
        return "ja"
    chinese = [code for code in expected if code.split("-")[0] == "zh"]
    signs = [char for char in text if char >= "\u4e00" and script_of(char) == "han"]
    if len(signs) <= _NO_KANA and _is_shift_jis(signs):
        only_japanese = any(not _encode(char, "gb2312") and not _encode(char, "big5") for char in signs)
        if only_japanese or ("ja" in expected and not chinese):
            return "ja"
    found = Counter(map(_chinese_script, text))
    if len(signs) <= _NO_KANA and found["zh"] and found["zh-hant"] and not chinese and _is_shift_jis(signs):
        return "ja"  # Japanese alone shortens some characters and not others: 会議室.
    if not found["zh"] and not found["zh-hant"]:
        return chinese[0] if chinese else "zh"
    return "zh-hant" if found["zh-hant"] > 2 * found["zh"] else "zh"


@lru_cache(maxsize=1 << 14)
def _chinese_script(char: str) -> str:
    """Return the only Chinese script with this character, by the national character sets, or ""."""
    simplified, traditional = _encode(char, "gb2312"), _encode(char, "big5")
    if bool(simplified) == bool(traditional):
        return ""
    # The second level of Big5 holds rare characters that both scripts share.
    return "zh" if simplified else "zh-hant" if b"\xa4" <= traditional < b"\xc9" else ""


def _is_shift_jis(signs: Iterable[str]) -> bool:
    return all(_encode(char, "shift_jis") for char in signs)


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
    votes = dict.fromkeys(_load_words()[script], 0.0)
    for codes, count in Counter(map(_languages_with, words, repeat(script))).items():
        for code in codes:
            votes[code] += count / len(codes)
    return votes


@lru_cache(maxsize=1 << 16)  # Most words of a page are among those of the pages before.
def _languages_with(word: str, script: str) -> frozenset[str]:
    """Return the languages that have a word or at least its characteristic letters."""
    known, letters = _load_signs(script)
    return known.get(word) or _languages_writing(word, letters)


def _languages_writing(word: str, letters: dict[str, frozenset[str]]) -> frozenset[str]:
    """Return the languages that use all characteristic letters of a word; none if it has none."""
    telling = [letters[char] for char in set(word) if char in letters]
    return frozenset.intersection(*telling) if telling else frozenset()


def _decide_by_votes(votes: dict[str, float], words: int) -> str | None:
    """Return the language of a third of the words, if it has twice the votes of any other.

    A fifth is enough of a long text: of French, whose words many languages share.
    """
    *_, (second, _), (first, code) = sorted((count, code) for code, count in votes.items())
    return code if first >= max(1, 2 * second, words / (5 if words >= _MANY_WORDS else 3)) else None


def _languages_of_letters(words: Sequence[str], script: str) -> frozenset[str]:
    """Return the languages that write every letter of the words; none if all do.

    Letters that English keeps in loanwords, such as é, say nothing.
    """
    letters = _load_signs(script)[1]
    telling = [letters[char] for char in set("".join(words)) if char in letters and char not in _BORROWED]
    return frozenset.intersection(*telling) if telling else frozenset()


def _decide_by_model(
    text: str, votes: dict[str, float], expected: Sequence[str], words: int, writing: frozenset[str]
) -> str:
    """Combine py3langid with the words. Without evidence, the language is an expected one.

    Args:
        text: The text.
        votes: The evidence of its words for each language.
        expected: The languages to expect, the likeliest first.
        words: The number of its words.
        writing: The languages that write its letters; none if they tell nothing.
    """
    if writing and not writing & set(expected):
        votes = {code: count for code, count in votes.items() if code in writing}
        expected = []  # No expected language writes "Kündigungsfrist" or "öppettider".
    top = max(votes.values())
    if len(expected) == 1 and top < _SOME and words < _SENTENCE:
        return expected[0]  # No other language has evidence enough, so the model need not be loaded.
    if len(expected) == 1 and words >= _FEW_WORDS and votes[expected[0]] == top >= words * 0.1:
        return expected[0]  # The model would hardly ever find another one for so long a text.
    scale = math.sqrt(len(text.encode(errors="replace"))) / 2
    known = tuple(code for code in votes if not code.endswith(_ROMANIZED))
    evidence: dict[str, float] = {
        code: score / scale + votes[code] for code, score in _identifier(known).rank(text)
    }
    # "Hola" is half Spanish and half Catalan, but not German.
    expected = expected and (
        [code for code in expected if top < _SOME or votes[code] * 3 >= top]
        or [code for code in known if votes[code] == top]
    )
    for place, code in enumerate(expected):
        evidence[code] += _EXPECTED - min(1.0, place)
    best = max(evidence, key=lambda code: evidence[code])
    if not expected:
        return best
    leader = max(votes, key=lambda code: votes[code])
    if leader.endswith(_ROMANIZED) and top > votes[best]:
        return leader
    rivals = sum(math.exp(other - evidence[best]) for other in evidence.values())
    sure = rivals * _SURE <= 1
    # A name may look like any language, a sentence hardly.
    certain = words >= _SENTENCE and rivals * _CERTAIN <= 1
    # A sentence has words that few languages share; a name, a list or a romanized text has none.
    own = votes[best] >= max(_SOME, words * (0.1 if words < _FEW_WORDS else 0.05))
    if best in expected or (sure and own) or certain:
        return best
    return max(expected, key=lambda code: evidence[code])


@lru_cache
def _identifier(candidates: tuple[str, ...]) -> Any:
    identifier = copy(_load_identifier())  # All share the tables, which take 80 MB.
    identifier.set_languages(list(candidates))
    return identifier


@lru_cache
def _load_identifier() -> Any:
    # Imported here because it loads numpy, which most questions do not need.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _load_words() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = load_table("words")
    return table


@lru_cache
def common_words(language: str) -> frozenset[str]:
    """Return the common words of a language that help to recognize it."""
    tables = [table[language] for table in _load_words().values() if language in table]
    return frozenset(" ".join(tables).split())


def _load_phrases() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = load_table("phrases")
    return table


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
