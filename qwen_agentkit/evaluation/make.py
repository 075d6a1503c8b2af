"""Proposes questions about one's own documents, for a person to keep or drop. Knows chat models.

By rule, a sentence with a figure becomes a question without it. Such questions repeat the words of their
passage, so that search looks better on them than it is; a model's questions do less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.text.documents import document_source
from qwen_agentkit.text.languages import detect_language, language_name
from qwen_agentkit.text.sentences import split_sentences

__all__ = ["propose_questions"]

_FIGURE = re.compile(r"\d+(?:[.,:٫٬]\d+)*")
_FEWEST, _MOST = 15, 300
"""Characters of a sentence that is asked about."""
_ASK = (
    "Write one question in {language} that the sentence of the user answers. Do not repeat its figure. Use "
    "other words where you can. Write the question alone."
)
_MARKS = {"ar": "؟", "fa": "؟", "ur": "؟", "ps": "؟", "zh": "？", "ja": "？", "el": ";", "hy": "՞"}


def propose_questions(
    documents: Iterable[Document], *, model: BaseChatModel | None = None, limit: int = 50
) -> Iterator[Question]:
    """Yield questions about sentences with figures, one a passage, each marked as proposed.

    Args:
        documents: The passages of a store.
        model: Writes the questions; None makes them by rule.
        limit: The most questions.
    """
    count = 0
    for document in documents:
        sentence = next(_find_sentences(document), None)
        if sentence is None or count == limit:
            continue
        figures = _FIGURE.findall(sentence)
        language = str(document.metadata.get("language") or detect_language(sentence))
        text = _ask_model(model, sentence, language) if model else _drop_figures(sentence, language)
        if not text or any(figure in text for figure in figures):
            continue
        count += 1
        yield Question(
            id=f"proposed-{count}",
            question=text,
            language=language,
            passages=(document_source(document),),
            quotes=(sentence,),
            answers=(figures[0],),
            document_language=language,
            proposed=True,
        )


def _find_sentences(document: Document) -> Iterator[str]:
    """The sentences with a figure, without headings and the rows of tables."""
    for text, _, _ in split_sentences(document.page_content):
        plain = text.strip()
        whole = _FEWEST <= len(plain) <= _MOST and "\n" not in plain and not plain.startswith(("#", "|"))
        if whole and _FIGURE.search(plain):
            yield plain


def _drop_figures(sentence: str, language: str) -> str:
    """The sentence without its figures, as a question."""
    words = " ".join(_FIGURE.sub(" ", sentence).split()).rstrip(".。．!！؛;؟?？।")
    return words + _MARKS.get(language.split("-")[0], "?")


def _ask_model(model: BaseChatModel, sentence: str, language: str) -> str:
    asked = [SystemMessage(_ASK.format(language=language_name(language))), HumanMessage(sentence)]
    return " ".join(str(model.invoke(asked).text).split())
