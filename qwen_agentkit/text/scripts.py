"""The scripts of a text. Knows characters, not languages."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from functools import lru_cache
from itertools import pairwise

__all__ = ["count_scripts", "script_of"]

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

# Scripts without spaces between words.
_UNSEGMENTED = frozenset({"han", "kana", "thai", "lao", "khmer", "myanmar", "tibetan"})


@lru_cache(maxsize=1 << 14)  # A page has thousands of characters but few distinct ones.
def script_of(char: str) -> str:
    """Return the name of a character's script, or "" if it belongs to many."""
    return _BLOCKS[bisect_right(_STARTS, ord(char)) - 1][1]


def count_scripts(text: str) -> Counter[str]:
    """Weigh the scripts of a text by words. In scripts without spaces two characters count as a word."""
    counts: Counter[str] = Counter()
    for script in dict.fromkeys(map(script_of, dict.fromkeys(text))):
        if script:
            runs = _runs_of(script).findall(text)
            words = sum(max(1, len(run) // 2) for run in runs) if script in _UNSEGMENTED else len(runs)
            # Technical text in any language contains English terms; the opposite is rare.
            counts[script] = words if script == "latin" else 2 * words
    return counts


@lru_cache
def _runs_of(script: str) -> re.Pattern[str]:
    """Return a pattern for the characters of a script that stand side by side."""
    ranges = [
        f"{chr(start)}-{chr(end - 1)}" for (start, name), (end, _) in pairwise(_BLOCKS) if name == script
    ]
    return re.compile(f"[{''.join(ranges)}]+")
