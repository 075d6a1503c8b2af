"""One answer of a graph against what is known of the question: citations, quotes, language, abstention.

Knows graphs and gold. Uses no judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable

from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.evaluation.run import matching_gold, plain_text
from qwen_agentkit.graphs.shared.answers import is_other_language

__all__ = ["answer_with"]


def answer_with(graph: Runnable[Any, Any]) -> Callable[[Question], dict[str, Any]]:
    """Return a function that asks a compiled graph, such as `rag`, and measures its answer.

    The measures, each 0 or 1 unless said otherwise, are left out where nothing is known:

    - ``answered``: it did not abstain; ``abstained_rightly``: it abstained, and nothing answers.
    - ``citation_precision``, ``citation_recall``: shares of citations and of gold passages, 0 to 1.
    - ``holds_answer``: the answer or a quote of it has one of the known answers.
    - ``language_right``: it is in the language of the question.
    - ``seconds``, ``tokens``: of the whole run.
    """

    def answer(question: Question) -> dict[str, Any]:
        start = time.perf_counter()
        state = graph.invoke({"messages": [("user", question.question)]})
        seconds = time.perf_counter() - start
        return {"text": state["answer"], **_measure(question, state), "seconds": round(seconds, 4)}

    return answer


def _measure(question: Question, state: dict[str, Any]) -> dict[str, Any]:
    answered = not state["abstained"]
    found: dict[str, Any] = {
        "answered": int(answered),
        "language_right": int(_is_language(question, state)),
        "tokens": sum(
            (getattr(message, "usage_metadata", None) or {}).get("total_tokens", 0)
            for message in state["messages"]
        ),
    }
    if question.unanswerable:
        found["abstained_rightly"] = int(not answered)
    if answered and question.has_gold:
        cited = [state["documents"][citation["marker"] - 1] for citation in state["citations"]]
        golds = [matching_gold(question, document) for document in cited]
        found["citation_precision"] = sum(gold is not None for gold in golds) / len(golds) if golds else 0.0
        known = question.quotes or question.passages
        found["citation_recall"] = len({gold for gold in golds if gold is not None}) / len(known)
    if answered and question.answers:
        said = plain_text(state["answer"])
        found["holds_answer"] = int(any(plain_text(text) in said for text in question.answers))
    return found


def _is_language(question: Question, state: dict[str, Any]) -> bool:
    """Whether the answer's own words are in the language of the question; quotes keep theirs."""
    wanted = question.language.split("-")[0]
    if state["language"].split("-")[0] != wanted:
        return False
    quotes_only = (
        bool(state["citations"])
        and state.get("verification") is not None
        and all(citation["quote"] in state["answer"] for citation in state["citations"])
    )
    return quotes_only or not is_other_language(state["answer"], question.language)
