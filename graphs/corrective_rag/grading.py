"""Which passages help to answer: asked of a decision model, a question for each passage, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from qwen_agentkit.graphs.corrective_rag.state import Grade

if TYPE_CHECKING:  # langchain-core has it from 1.8 on
    from langchain_core.decisions import BaseDecisionModel

__all__ = ["decide_grade"]

_RELEVANT = "Does passage {number} hold the answer to the question, or a part of it?"
_HARD = "Do passages have to be combined, compared or computed with to answer the question?"


def decide_grade(decisions: BaseDecisionModel, question: str, documents: Sequence[Document]) -> Grade:
    """Return the grade of some passages: what is more likely than not.

    Args:
        decisions: The decision model.
        question: The question that the passages were found for.
        documents: The passages, which are numbered from 1.
    """
    from langchain_core.decisions import Noul

    numbers = range(1, len(documents) + 1)
    questions = {str(number): Noul(instructions=_RELEVANT.format(number=number)) for number in numbers}
    passages = {str(number): one.page_content for number, one in zip(numbers, documents, strict=True)}
    answers = decisions.invoke(
        {
            "state": {"question": question, "passages": passages},
            "questions": {**questions, "hard": Noul(instructions=_HARD)},
        }
    ).nouls
    return Grade(
        relevant=[number for number in numbers if answers[str(number)].noul >= 0.5],
        hard=answers["hard"].noul >= 0.5,
    )
