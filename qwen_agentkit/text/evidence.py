"""A passage in the forms that claims are compared with: its figures, its words, its names."""

from __future__ import annotations

import re
from functools import cached_property

from langchain_core.documents import Document

from qwen_agentkit.text.citations import document_source, passage_language, without_markers
from qwen_agentkit.text.contacts import digit_runs
from qwen_agentkit.text.dates import Date, find_dates
from qwen_agentkit.text.figures import Figure, collect_values, find_figures, find_ranges
from qwen_agentkit.text.folding import normalize_text, remove_accents
from qwen_agentkit.text.markup import without_markup
from qwen_agentkit.text.numerals import knows_number_words
from qwen_agentkit.text.ordinals import Ordinal, find_stated_places
from qwen_agentkit.text.scripts import count_scripts, script_of
from qwen_agentkit.text.titles import TitledName, find_titled_names

__all__ = ["Evidence", "join_code", "normalize_quotation"]

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
        return passage_language(self.document)

    def is_in(self, language: str) -> bool:
        """Tell whether the passage is in a language, whatever its script or country."""
        return self.language.split("-")[0] == language.split("-")[0]

    @cached_property
    def normalized(self) -> str:
        """The normalized text."""
        return normalize_text(self.text)

    @cached_property
    def quotable(self) -> str:
        """The normalized text without footnote marks and markup, which quotations leave out."""
        return normalize_quotation(without_markers(self.text))

    @cached_property
    def values(self) -> set[str]:
        """Every value that the passage may state."""
        return collect_values(self.text, self.language)

    @cached_property
    def figures(self) -> list[Figure]:
        """What the passage certainly states."""
        return find_figures(self.text, self.language)

    @cached_property
    def ranges(self) -> list[tuple[Figure, Figure]]:
        """The pairs of numbers that are the ends of a range."""
        return find_ranges(self.text, self.language)

    @cached_property
    def dates(self) -> list[Date]:
        """The days of months that it states."""
        return find_dates(self.text, self.language)

    @cached_property
    def ordinals(self) -> list[Ordinal]:
        """The places in an order that it states: "third", "3."."""
        return find_stated_places(self.normalized, self.language)

    @cached_property
    def runs(self) -> str:
        """The text with separated digits joined."""
        return digit_runs(self.text)

    @cached_property
    def has_figures(self) -> bool:
        """Whether the passage certainly states a number."""
        return any(value.lstrip("-")[0].isdecimal() for figure in self.figures for value in figure.values)

    def knows(self, kinds: set[str], language: str) -> bool:
        """Tell whether the weekdays ("d") or the months ("m", "p", "j") of the passage can be read.

        Those of another language may be written in a way that is not known.
        """
        return self.is_in(language) or any(value.lstrip("~")[0] in kinds for value in self.values)

    @cached_property
    def may_spell_numbers(self) -> bool:
        """Whether the passage may state numbers in words that are not known here."""
        return not knows_number_words(self.language) and not re.search(r"\d", self.normalized)

    @cached_property
    def words(self) -> set[str]:
        """The words of the passage, without accents."""
        return set(re.findall(r"[^\W_]+", remove_accents(self.normalized)))

    @cached_property
    def titled_names(self) -> list[TitledName]:
        """The names that stand beside a title."""
        return find_titled_names(self.text, self.language)

    @cached_property
    def script(self) -> str:
        """The script of most of its words."""
        found = count_scripts(self.text)
        return _writing(max(found, key=lambda name: found[name], default=""))

    def shares_script(self, letter: str) -> bool:
        """Tell whether most of the passage is written in the script of a letter."""
        return self.script == _writing(script_of(letter))

    @cached_property
    def joined(self) -> str:
        """Text and source without spaces, hyphens and underscores: codes are searched in it."""
        return join_code(f"{self.text}\n{self.source}")


def normalize_quotation(text: str) -> str:
    """Return a text as quotations are compared: normalized and without markup."""
    return _SPACE_BEFORE_MARK.sub("", normalize_text(without_markup(text)))


def join_code(text: str) -> str:
    """Return a text without spaces, hyphens and underscores, as codes are compared."""
    return re.sub(r"[\s_-]", "", normalize_text(text))


def _writing(script: str) -> str:
    """Return one name for the scripts that Japanese mixes."""
    return "han" if script == "kana" else script
