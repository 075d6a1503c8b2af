"""What the graphs find wrong with an answer, in words for the model that is to mend it.

Knows answers, their verification and their language, not how they came about.
"""

from __future__ import annotations

import re

from qwen_agentkit.graphs.shared.prompts import OTHER_LANGUAGE
from qwen_agentkit.text.citations import without_markers
from qwen_agentkit.text.languages import detect_language, language_name
from qwen_agentkit.text.verification import Verification

__all__ = ["citation_faults", "in_another_language", "language_faults"]

_QUOTATION = re.compile('“[^”]*”|"[^"]*"|«[^»]*»|「[^」]*」')
# Too near to each other to be told apart in a sentence.
_ALIKE = ({"no", "da"}, {"id", "ms"}, {"hr", "sr", "bs"}, {"cs", "sk"})
_ENOUGH_LETTERS = 12
"""Under this a name or a number says more about the passage than about the answer's language."""


def citation_faults(checked: Verification) -> list[str]:
    """The sentences of an answer that its passages do not support."""
    found = []
    for sentence in checked["sentences"]:
        if sentence["verdict"] == "uncited":
            found.append(f"No passage is cited: {sentence['text']}")
        elif sentence["verdict"] == "unsupported":
            lacking = ", ".join(item["text"] for item in sentence["missing"]) or "the cited passage"
            found.append(f"Not in the passages cited ({lacking}): {sentence['text']}")
    return found


def language_faults(answer: str, language: str) -> list[str]:
    """That an answer is in another language; none, if it is not."""
    wrong = in_another_language(answer, language)
    return [OTHER_LANGUAGE.format(language=language_name(language))] if wrong else []


def in_another_language(answer: str, language: str) -> bool:
    """Whether an answer's own words, without quotes and markers, are not in `language`."""
    own = without_markers(_QUOTATION.sub("", answer))
    if sum(char.isalpha() for char in own) < _ENOUGH_LETTERS:
        return False
    found, wanted = detect_language(own, language).split("-")[0], language.split("-")[0]
    return found != wanted and not any({found, wanted} <= alike for alike in _ALIKE)
