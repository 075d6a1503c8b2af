"""A name put in the place of another, in scripts without capitals and at the start of a sentence.

Where a claim repeats a sentence of its source but for one place, what stands there instead is taken for a
name if it looks like one. Knows no list of names but that of Chinese surnames.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.languages import common_words
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.text.surnames import CHINESE_SURNAMES

__all__ = ["find_substitution"]

_UNSEGMENTED = frozenset(("ja", "km", "lo", "my", "th", "zh", "zh-hant"))
_NO_CAPITALS = frozenset(
    ("am", "ar", "bn", "fa", "gu", "he", "hi", "ka", "kn", "ko", "ml", "mr", "ne", "pa", "ps")
)
_NO_CAPITALS |= {"si", "ta", "te", "ur"}
_CAPITALS_MEAN_NOTHING = frozenset(("de", "lb"))
_VERB_FIRST = frozenset(("ar", "he"))
_VERB_LAST = frozenset(
    ("bn", "fa", "gu", "hi", "ja", "ka", "kn", "ko", "ml", "mr", "ne", "pa", "ps", "si", "ta", "te", "ur")
)
_SAME = 0.6
"""The share of a claim that it has in common with the sentence, without the place."""
_CHANCE = {"km": 2, "lo": 2, "my": 2, "th": 2}
"""Letters that two names of a script without spaces may share by chance."""
_LONGEST = 300
"""Longer sentences are seldom repeated word for word, and take long to compare."""

# What stands in front of or behind a name, but not of other words that are easily exchanged.
_CUES_BEFORE = {
    "zh": "由|是|叫|名为|作者|于|在|来自|前往|给|跟|与|和|著名|先生|作家|教授|：|「|“|《",
    "ja": "作家|著者|作者|監督|教授|[はがもの、「]|^",
    "th": "โดย|ของ|คือ|ใน|ที่|จาก|นาย|นาง|นางสาว|คุณ|ชื่อ|กับ",
    "km": "ដោយ|នៅ|ឈ្មោះ|លោក|អ្នក", "lo": "ໂດຍ|ຢູ່|ຊື່|ທ່ານ", "my": "ဦး|ဒေါ်|မောင်|^",
}  # fmt: skip
_CUES_BEHIND = {
    "zh": "先生|女士|教授|博士|老师|写|著|撰|说|画|发明|$",
    "ja": "[がはをにのでともへ、]|さん|氏|様|先生|から|により|によって",
}
_JAPANESE_TITLE = re.compile("さん|氏|様|先生")
"""Behind one of these even two characters are a name."""
_NAME_SIGNS = re.compile("[\u3400-\u9fff\u30a0-\u30ff·・\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+")
_WORD = re.compile(r"[^\W\d_][\w\u0300-\u036f\u0900-\u0963\u0966-\u0dff'’]*|\d[\d.,:]*")


class _Block(NamedTuple):
    """The one place in which two texts differ: what each has there, and what surrounds it."""

    claim: str
    source: str
    before: str
    behind: str
    words: int
    """The words of the claim in it."""


def find_substitution(claim: str, passages: Sequence[str], language: str) -> str | None:
    """Return what a claim has in the place of a name in a sentence of its sources; None if nothing.

    Args:
        claim: A sentence without citation markers.
        passages: The texts of its sources, in the language of the claim.
        language: The language of the claim.
    """
    if len(claim) > _LONGEST:
        return None
    known = [normalize_text(passage) for passage in passages]
    blocks = []
    for passage in passages:
        for sentence in split_sentences(passage):
            if len(sentence.text) <= _LONGEST and (block := _only_difference(claim, sentence.text, language)):
                blocks.append(block)
            elif normalize_text(claim).strip(" .。") in normalize_text(sentence.text):
                return None
    for block in blocks:
        own = normalize_text(block.claim)
        if not any(own in text for text in known) and _is_name(block, language):
            return block.claim
    return None


def _only_difference(claim: str, sentence: str, language: str) -> _Block | None:
    """Return the place in which a claim differs from a sentence, if it is one and the rest is the same."""
    own, other = _tokens(claim, language), _tokens(sentence, language)
    matcher = SequenceMatcher(
        None, [_key(token) for token in own], [_key(token) for token in other], autojunk=False
    )
    if not own or matcher.real_quick_ratio() < 0.5:
        return None
    steps = [step[1:] for step in matcher.get_opcodes() if step[0] != "equal"]
    blocks = _join_near(steps, _CHANCE.get(language, 0))
    replaced = [block for block in blocks if block[0] < block[1] and block[2] < block[3]]
    if len(replaced) != 1:
        return None
    start, end, first, last = replaced[0]
    rest = len(own) - (end - start)
    same = rest - sum(block[1] - block[0] for block in blocks if block not in replaced)
    if same < max(2, _SAME * rest):
        return None
    joint = "" if language in _UNSEGMENTED else " "
    return _Block(
        joint.join(own[start:end]),
        joint.join(other[first:last]),
        joint.join(own[:start]),
        joint.join(own[end:]),
        end - start,
    )


def _join_near(steps: Sequence[tuple[int, int, int, int]], chance: int) -> list[tuple[int, int, int, int]]:
    """Join differences with so few equal tokens between them that these are equal by chance."""
    joined: list[tuple[int, int, int, int]] = []
    for start, end, first, last in steps:
        if joined and start - joined[-1][1] <= chance:
            joined[-1] = (joined[-1][0], end, joined[-1][2], last)
        else:
            joined.append((start, end, first, last))
    return joined


def _tokens(text: str, language: str) -> list[str]:
    if language in _UNSEGMENTED:
        return [char for char in text if unicodedata.category(char)[0] in "LMN" or char in "·・"]
    return _WORD.findall(text)


def _key(token: str) -> str:
    return remove_accents(normalize_text(token))


def _is_name(block: _Block, language: str) -> bool:
    """Tell whether the words of the place look like names and not like other words for the same thing."""
    both = (block.claim, block.source)
    if any(char.isdigit() for text in both for char in text):
        return False
    if language in _UNSEGMENTED:
        return all(map(_NAME_SIGNS.fullmatch, both)) and _has_cues(block, language.split("-")[0])
    common = common_words(language)
    words = [word for text in both for word in text.split()]
    if any(normalize_text(word) in common for word in words):
        return False
    if max(len(text.split()) for text in both) > 3 or _are_similar(*map(normalize_text, both)):
        return False
    if language in _NO_CAPITALS:
        # 박경리이다 and 황석영이다 end with the same verb.
        ends = language not in _VERB_LAST or block.claim[-2:] == block.source[-2:]
        return bool(block.before or language not in _VERB_FIRST) and bool(block.behind or ends)
    # Elsewhere capitals tell, except at the start of a sentence.
    return (
        language not in _CAPITALS_MEAN_NOTHING
        and not block.before
        and all(word[0].isupper() and len(word) > 3 for word in words)
        and not any(word.endswith("s") for word in words)
    )


def _has_cues(block: _Block, language: str) -> bool:
    shorter, longer = sorted((len(block.claim), len(block.source)))
    if shorter < 2 or longer > 20:
        return False
    before = re.search(f"(?:{_CUES_BEFORE.get(language, '(?!)')})$", block.before)
    behind = re.match(_CUES_BEHIND.get(language, ""), block.behind)
    if language == "zh":
        surname = any(text[0] in CHINESE_SURNAMES and len(text) < 5 for text in (block.claim, block.source))
        return bool(before or (surname and (behind or not block.before)))
    titled = bool(_JAPANESE_TITLE.match(block.behind))
    return bool(before and behind) and (language != "ja" or longer > 2 or titled)


def _are_similar(one: str, other: str) -> bool:
    """Tell whether two words may be forms of the same word."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio() > 0.5
