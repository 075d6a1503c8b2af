"""Words for parts of a currency: cents, pence, копейки, فلس. Knows a table; CLDR has no such words.

A part is written as its currency and how many make one: "EUR/100". French "cent", which is the number 100,
and Chinese "分", a minute or a part of anything, are not in the table.
"""

from __future__ import annotations

from functools import lru_cache

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_text

__all__ = ["minor_forms", "share_of"]


@lru_cache(maxsize=64)
def minor_forms(language: str) -> dict[str, frozenset[str]]:
    """Return normalized words for parts of money and the parts that each may mean."""
    money = load_table("money")
    return {
        normalize_text(word): frozenset(money["groups"].get(parts, parts).split())
        for words, parts in money["parts"].get(language, {}).items()
        for word in words.split()
    }


def share_of(meaning: str) -> tuple[str, int] | None:
    """Return the currency of a kind of money, and how many make one of it; None if it is no money."""
    code, _, count = meaning.partition("/")
    return (code, int(count or 1)) if len(code) == 3 and code.isupper() else None
