"""Keeps answers in the language of the question. Knows languages, not what an answer says."""

from __future__ import annotations

from qwen_agentkit.graphs.middleware.model_requests import add_instruction, answer_language
from qwen_agentkit.graphs.middleware.repair import RepairMiddleware, Request
from qwen_agentkit.graphs.shared.answers import find_language_faults
from qwen_agentkit.graphs.shared.prompts import ANSWER_IN, WRITE_IN
from qwen_agentkit.text.languages import language_name, phrase

__all__ = ["LanguageMiddleware"]


class LanguageMiddleware(RepairMiddleware):
    """Tells the model which language to answer in, and asks once more if it answers in another one.

    The language is the context's `answer_language`, or else that of the last question.

    Example::

        create_agent(llm, tools, middleware=[LanguageMiddleware()])
    """

    stage = "language"

    def prepare(self, request: Request) -> Request:
        """Tell the model the language."""
        return add_instruction(request, ANSWER_IN.format(language=_language(request)))

    def faults(self, answer: str, request: Request) -> list[str]:
        """Whether the answer is clearly in another language."""
        language = answer_language(request.state["messages"], request.runtime)
        # The phrase is English where the package has none in this language.
        if answer.strip() == phrase(language, "abstain"):
            return []
        return find_language_faults(answer, language)

    def repair_request(self, faults: list[str], request: Request) -> str:
        """Ask for the same answer in the right language."""
        return WRITE_IN.format(language=_language(request))


def _language(request: Request) -> str:
    return language_name(answer_language(request.state["messages"], request.runtime))
