"""Compare a claim with the passages it cites: quotations, numbers and names.

Knows spellings, not meanings: a claim whose quotations, numbers and names all occur in its passages may still
say something else with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from langchain_core.documents import Document
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on only

from qwen_agentkit.text.citations import document_source, without_markers
from qwen_agentkit.text.figures import Figure, collect_values, find_figures
from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.languages import detect_language
from qwen_agentkit.text.names import find_codes, find_names
from qwen_agentkit.text.numerals import knows_number_words
from qwen_agentkit.text.quotes import find_quotations

__all__ = ["Evidence", "Missing", "find_missing"]


class Missing(TypedDict):
    """Something that a sentence states and none of its passages does.

    Attributes:
        kind: "quote", "number" (also times and dates) or "name" (also addresses and codes).
        text: The words of the sentence.
    """

    kind: Literal["quote", "number", "name"]
    text: str


# Removing a marker leaves a space: "in 1950 [2], and" becomes "in 1950 , and".
_SPACE_BEFORE_MARK = re.compile(r" (?=[.,;:!?])")


class Evidence:
    """A passage and its searchable forms, each computed when first needed."""

    def __init__(self, document: Document) -> None:
        self.document = document
        # A name or a year may occur only in the title.
        headings = (str(document.metadata.get(key) or "") for key in ("title", "section"))
        self.text = "\n".join([document.page_content, *filter(None, headings)])
        self.source = document_source(document)

    @cached_property
    def language(self) -> str:
        """The language of the passage."""
        known = self.document.metadata.get("language")
        return str(known) if known else detect_language(self.document.page_content)

    @cached_property
    def normalized(self) -> str:
        """The normalized text."""
        return normalize_text(self.text)

    @cached_property
    def quotable(self) -> str:
        """The normalized text without the passage's own footnote marks, which quotations leave out."""
        return _SPACE_BEFORE_MARK.sub("", normalize_text(without_markers(self.text)))

    @cached_property
    def values(self) -> set[str]:
        """Every value that the passage may state."""
        return collect_values(self.text, self.language)

    @cached_property
    def has_figures(self) -> bool:
        """Whether the passage certainly states a number."""
        stated = find_figures(self.text, self.language)
        return any(value.lstrip("-")[0].isdecimal() for figure in stated for value in figure.values)

    @cached_property
    def may_spell_numbers(self) -> bool:
        """Whether the passage may state numbers in words that are not known here."""
        return not knows_number_words(self.language) and not re.search(r"\d", self.normalized)

    @cached_property
    def words(self) -> set[str]:
        """The words of the passage, without accents."""
        return set(re.findall(r"[^\W_]+", remove_accents(self.normalized)))

    @cached_property
    def joined(self) -> str:
        """Text and source without spaces, hyphens and underscores: codes are searched in it."""
        return _join(f"{self.text}\n{self.source}")


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
    values = set().union(*(source.values for source in sources))
    for figure in find_figures(claim, language):
        if not figure.values & values and _contradicts(figure, sources):
            missing.append({"kind": "number", "text": figure.text})
    missing += [{"kind": "name", "text": name} for name in _missing_names(claim, sources, language)]
    return list({(item["kind"], item["text"]): item for item in missing}.values())


def _contradicts(figure: Figure, sources: Sequence[Evidence]) -> bool:
    """Tell whether a figure that no source states makes the claim wrong."""
    if not all(value.isdecimal() and int(value) <= 12 for value in figure.values):
        return True
    # "Two rules" may count what a passage lists, so it contradicts only passages with figures.
    if figure.spelled:
        return any(source.has_figures for source in sources)
    return not any(source.may_spell_numbers for source in sources)


def _contains_quote(part: str, source: Evidence) -> bool:
    wanted = _SPACE_BEFORE_MARK.sub("", normalize_text(part))
    # Where words are separated by spaces, half a word does not count as a quotation.
    head = r"(?<!\w)" if _uses_spaces(wanted[0]) else ""
    tail = r"(?!\w)" if _uses_spaces(wanted[-1]) else ""
    quote = re.compile(f"{head}{re.escape(wanted)}{tail}")
    return any(quote.search(text) for text in (source.normalized, source.quotable))


def _uses_spaces(char: str) -> bool:
    """Tell whether a letter is Latin, Greek or Cyrillic."""
    return char < "\u0530" and char.isalnum()


def _missing_names(claim: str, sources: Sequence[Evidence], language: str) -> list[str]:
    codes = [
        code for code in find_codes(claim) if not any(_join(code) in source.joined for source in sources)
    ]
    # A source in another language may spell the names differently, so they are not compared.
    base = language.split("-")[0]
    if any(source.language.split("-")[0] != base for source in sources):
        return codes
    names = find_names(claim, language)
    return codes + [
        name for name in names if not any(_contains_name(name, source, language) for source in sources)
    ]


# Languages in which a name changes its last letters with the grammatical case.
_INFLECTING = frozenset(
    {"be", "bg", "bs", "cs", "el", "et", "fi", "hr", "hu", "kk", "la", "lt", "lv", "mk", "pl", "ro", "ru"}
    | {"sk", "sl", "sr", "tr", "uk"}
)


def _contains_name(name: str, source: Evidence, language: str) -> bool:
    folded = remove_accents(normalize_text(name))
    if folded in remove_accents(source.normalized):
        return True
    for part in re.findall(r"[^\W_]+", folded):
        stem = part[: max(3, len(part) - 2)] if language in _INFLECTING else part.removesuffix("s")
        longest_ending = 6 if language in _INFLECTING else 2
        if not any(
            word.startswith(stem) and len(word) <= len(stem) + longest_ending for word in source.words
        ):
            return False
    return True


def _join(text: str) -> str:
    return re.sub(r"[\s_-]", "", normalize_text(text))
