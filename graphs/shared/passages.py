"""Writes questions and passages into prompts: numbered, and so that no text can act as markup.

Knows text and documents, no model. Documents are never changed, so quotes stay word for word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

from qwen_agentkit.graphs.shared.prompts import ANSWER, PASSAGE, QUESTION
from qwen_agentkit.graphs.shared.state import RagState
from qwen_agentkit.text.citations import document_source, without_markers
from qwen_agentkit.text.languages import language_name, phrase

__all__ = ["escape_markup", "format_passage", "format_passages", "passage_prompt", "source_line"]

# What chat templates write between turns, thoughts and calls. A server may read it in a text as markup.
_TOKEN = re.compile(r"<(?=\||/?(?:think|tool_call|tool_response|tools|function|parameter)\b)")
# Qwen3's soft switches, which would turn its thinking on or off.
_SWITCH = re.compile(r"/(?=(?:no_)?think\b)")
# What the prompt itself writes at the start of a line: a passage must not begin another one, or a question.
_HEADING = re.compile(r"^([ \t]*)(?:[\[【［](?=[ \t]*\d)|(?=(?:Passages|Question)[ \t]*[:：]))", re.M | re.I)
_MAX_SOURCE = 200


def escape_markup(text: str) -> str:
    """Put an invisible character into chat tokens and thinking switches, so that they are plain text.

    Comparisons of quotes ignore invisible characters.
    """
    return _SWITCH.sub("/\u200b", _TOKEN.sub("<\u200b", text))


def format_passages(documents: Sequence[Document]) -> str:
    """The passages as a model reads them, numbered from one."""
    return "\n\n".join(format_passage(number, document) for number, document in enumerate(documents, 1))


def format_passage(number: int, document: Document) -> str:
    """One passage as a model reads it: its number, its source, its text.

    Its own footnote markers are removed: copied into an answer, they would cite other passages.
    """
    text = _HEADING.sub(lambda match: f"{match[1]}| {match[0].strip()}", escape_markup(document.page_content))
    return PASSAGE.format(number=number, source=source_line(document), text=without_markers(text))


def passage_prompt(state: RagState) -> list[AnyMessage]:
    """What the chat model reads: the instruction, the numbered passages and the question."""
    language, abstention = language_name(state["language"]), phrase(state["language"], "abstain")
    passages, question = format_passages(state["documents"]), escape_markup(state["question"])
    return [
        SystemMessage(ANSWER.format(language=language, abstention=abstention)),
        HumanMessage(QUESTION.format(passages=passages, question=question)),
    ]


def source_line(document: Document) -> str:
    """The source of a document on one short line: more lines could hold a passage."""
    source = escape_markup(" ".join(document_source(document).split()))
    return source if len(source) <= _MAX_SOURCE else f"{source[:_MAX_SOURCE]}…"
