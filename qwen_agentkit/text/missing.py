"""Compare a claim with the passages it cites: quotations, numbers, names and denials.

Knows spellings, not meanings: a claim whose quotations, numbers and names all occur in its passages may still
say something else with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.text.contacts import find_long_codes, is_stated
from qwen_agentkit.text.evidence import Evidence, normalize_quotation
from qwen_agentkit.text.missing_figures import find_missing_figures
from qwen_agentkit.text.missing_names import find_missing_names
from qwen_agentkit.text.negation import find_denial
from qwen_agentkit.text.quotes import find_quotations

__all__ = ["Missing", "find_missing"]


class Missing(TypedDict):
    """Something that a sentence states and none of its passages does.

    Attributes:
        kind: "quote", "number" (also times and dates), "name" (also addresses and codes) or "negation" (the
            sentence denies what a passage says, or the other way round).
        text: The words of the sentence; of a negation that it leaves out, those of the passage.
    """

    kind: Literal["quote", "number", "name", "negation"]
    text: str


def find_missing(claim: str, sources: Sequence[Evidence], language: str) -> list[Missing]:
    """Return what a claim states and none of its sources does, each once.

    Args:
        claim: A sentence without citation markers.
        sources: The passages it cites.
        language: The language of the claim.
    """
    missing: list[Missing] = []
    for parts in find_quotations(claim):
        if not any(all(_contains_quote(part, source) for part in parts) for source in sources):
            missing.append({"kind": "quote", "text": " … ".join(parts)})
    rest = _without_known_codes(claim, sources)
    missing += [{"kind": "number", "text": text} for text in find_missing_figures(rest, sources, language)]
    missing += [{"kind": "name", "text": name} for name in find_missing_names(rest, sources, language)]
    alike = [source.text for source in sources if source.is_in(language)]
    if denial := find_denial(claim, alike, language):
        missing.append({"kind": "negation", "text": denial})
    return list({(item["kind"], item["text"]): item for item in missing}.values())


def _without_known_codes(claim: str, sources: Sequence[Evidence]) -> str:
    """Blank the telephone numbers, accounts and the like that a source states with other separators."""
    for start, end, code in find_long_codes(claim):
        if any(is_stated(code, source.runs) for source in sources):
            claim = f"{claim[:start]}{' ' * (end - start)}{claim[end:]}"
    return claim


def _contains_quote(part: str, source: Evidence) -> bool:
    wanted = normalize_quotation(part)
    # Where words are separated by spaces, half a word does not count as a quotation.
    head = r"(?<!\w)" if _uses_spaces(wanted[0]) else ""
    tail = r"(?!\w)" if _uses_spaces(wanted[-1]) else ""
    quote = re.compile(f"{head}{re.escape(wanted)}{tail}")
    return any(quote.search(text) for text in (source.normalized, source.quotable))


def _uses_spaces(char: str) -> bool:
    """Tell whether a letter is Latin, Greek or Cyrillic."""
    return char < "\u0530" and char.isalnum()
