"""How a model reads questions and passages: numbered, and as material that cannot pass for anything else.

Knows text and documents, no model. Documents themselves are never changed, so quotes stay word for word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

from qwen_agentkit.chat.tags import TAG_NAMES
from qwen_agentkit.graphs.shared.prompts import ANSWER, PASSAGE, QUESTION
from qwen_agentkit.graphs.shared.state import RagState
from qwen_agentkit.text.citations import document_source, without_markers
from qwen_agentkit.text.languages import language_name, phrase

__all__ = ["as_data", "numbered", "passage_prompt", "passage_text", "source_line"]

# What chat templates put between turns, thoughts and calls. A server may read it in a text as what it is not.
_TOKEN = re.compile(rf"<(?=\||/?(?:{'|'.join(TAG_NAMES)})\b)")
# The soft switches of Qwen3, which would turn its thinking on or off.
_SWITCH = re.compile(r"/(?=(?:no_)?think\b)")
# What the prompt itself puts at the head of a line: a passage must not begin another one, nor a question.
_HEADING = re.compile(r"^([ \t]*)(?:[\[【［](?=[ \t]*\d)|(?=(?:Passages|Question)[ \t]*[:：]))", re.M | re.I)
_LONGEST_SOURCE = 200


def as_data(text: str) -> str:
    """`text` without anything that could pass for a chat token or a switch: each gets an invisible neighbour.

    Comparisons of quotes overlook invisible characters.
    """
    return _SWITCH.sub("/\u200b", _TOKEN.sub("<\u200b", text))


def numbered(documents: Sequence[Document]) -> str:
    """The documents as a model reads them, counted from one."""
    return "\n\n".join(
        PASSAGE.format(number=number, source=source_line(document), text=passage_text(document.page_content))
        for number, document in enumerate(documents, 1)
    )


def passage_prompt(state: RagState) -> list[AnyMessage]:
    """What the chat model reads: the instruction, the numbered passages and the question."""
    language, abstention = language_name(state["language"]), phrase(state["language"], "abstain")
    return [
        SystemMessage(ANSWER.format(language=language, abstention=abstention)),
        HumanMessage(
            QUESTION.format(passages=numbered(state["documents"]), question=as_data(state["question"]))
        ),
    ]


def passage_text(text: str) -> str:
    """A passage without its own footnotes: copied into an answer, they would cite other passages."""
    text = _HEADING.sub(lambda match: f"{match[1]}| {match[0].strip()}", as_data(text))
    return without_markers(text)


def source_line(document: Document) -> str:
    """One line: a name of several could hold a passage."""
    source = as_data(" ".join(document_source(document).split()))
    return source if len(source) <= _LONGEST_SOURCE else f"{source[:_LONGEST_SOURCE]}…"
