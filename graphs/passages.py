"""How a model reads questions and passages: numbered, and as material that cannot pass for anything else.

Knows text and documents, no model. Documents themselves are never changed, so quotes stay word for word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

from qwen_agentkit.citations import document_source
from qwen_agentkit.graphs.prompts import ANSWER, PASSAGE, QUESTION
from qwen_agentkit.graphs.state import RagState
from qwen_agentkit.languages import language_name

__all__ = ["as_data", "numbered", "passage_prompt"]

# What chat templates put between turns, thoughts and calls. A server may read it in a text as what it is not.
_TOKEN = re.compile(r"<(?=\||/?(?:think|tool_call|tool_response|tools|function|parameter)\b)")
# What the prompt itself puts at the head of a line: a passage must not begin another one, nor a question.
_HEADING = re.compile(r"^([ \t]*)(?:[\[【［](?=[ \t]*\d)|(?=(?:Passages|Question)[ \t]*[:：]))", re.M | re.I)
_LONGEST_SOURCE = 200


def as_data(text: str) -> str:
    """`text` without anything that could pass for a chat token: its `<` gets an invisible neighbour.

    Comparisons of quotes overlook invisible characters.
    """
    return _TOKEN.sub("<\u200b", text)


def numbered(documents: Sequence[Document]) -> str:
    """The documents as a model reads them, counted from one."""
    return "\n\n".join(
        PASSAGE.format(number=number, source=_source(document), text=_body(document.page_content))
        for number, document in enumerate(documents, 1)
    )


def passage_prompt(state: RagState) -> list[AnyMessage]:
    """What the chat model reads: the instruction, the numbered passages and the question."""
    return [
        SystemMessage(ANSWER.format(language=language_name(state["language"]))),
        HumanMessage(
            QUESTION.format(passages=numbered(state["documents"]), question=as_data(state["question"]))
        ),
    ]


def _body(text: str) -> str:
    return _HEADING.sub(lambda match: f"{match[1]}| {match[0].strip()}", as_data(text))


def _source(document: Document) -> str:
    """One line: a name of several could hold a passage."""
    source = as_data(" ".join(document_source(document).split()))
    return source if len(source) <= _LONGEST_SOURCE else f"{source[:_LONGEST_SOURCE]}…"
