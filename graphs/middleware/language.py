"""Answers in the language of the question. Knows languages, nothing of what the answer says."""

from __future__ import annotations

from qwen_agentkit.graphs.middleware.repair import RepairMiddleware, Request
from qwen_agentkit.graphs.middleware.run import answer_language, instructed
from qwen_agentkit.graphs.shared.checks import in_another_language
from qwen_agentkit.graphs.shared.prompts import ANSWER_IN, WRITE_IN
from qwen_agentkit.text.languages import language_name, phrase

__all__ = ["LanguageMiddleware"]


class LanguageMiddleware(RepairMiddleware):
    """Tells the model which language to answer in, and asks once more when it does not.

    The language is the context's `answer_language`, else that of the last question.

    Example::

        create_agent(llm, tools, middleware=[LanguageMiddleware()])
    """

    stage = "language"

    def prepare(self, request: Request) -> Request:
        """Name the language."""
        return instructed(request, ANSWER_IN.format(language=_language(request)))

    def faults(self, answer: str, request: Request) -> list[str]:
        """That it is for sure in another language."""
        language = answer_language(request.state["messages"], request.runtime)
        told = answer.strip() == phrase(language, "abstain")  # in English, where the language has no phrase
        wrong = not told and in_another_language(answer, language)
        return [f"It is not in {_language(request)}."] if wrong else []

    def plea(self, faults: list[str], request: Request) -> str:
        """Ask for the same in the right language."""
        return WRITE_IN.format(language=_language(request))


def _language(request: Request) -> str:
    return language_name(answer_language(request.state["messages"], request.runtime))
