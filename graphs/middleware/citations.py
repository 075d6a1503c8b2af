"""Checks final answers against the passages they cite. Knows verification, not how passages are found."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Annotated, Any

from langchain.agents.middleware.types import ExtendedModelResponse, OmitFromInput
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langgraph.types import Command
from typing_extensions import NotRequired

from qwen_agentkit.graphs.middleware.checked_calls import check_calls
from qwen_agentkit.graphs.middleware.model_requests import (
    add_instruction,
    answer_language,
    final_answer,
    read_setting,
    since_question,
)
from qwen_agentkit.graphs.middleware.passages import PassagesState, numbers_of
from qwen_agentkit.graphs.middleware.repair import Outcome, RepairMiddleware, Request, Response
from qwen_agentkit.graphs.shared.answers import abstain, find_citation_faults, is_abstention
from qwen_agentkit.graphs.shared.checked_stream import CheckedStream
from qwen_agentkit.graphs.shared.passages import escape_markup
from qwen_agentkit.graphs.shared.prompts import REPAIR
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage
from qwen_agentkit.text.citations import Citation, find_markers, resolve_citations
from qwen_agentkit.text.figures import find_figures
from qwen_agentkit.text.languages import language_name, phrase
from qwen_agentkit.text.verification import (
    Score,
    Unsupported,
    Verification,
    treat_unsupported,
    verify_citations,
)

__all__ = ["CitationMiddleware", "CitedState"]

_ABSTAIN = "If the documents do not answer the question, write exactly: {abstention}"


class CitedState(PassagesState):
    """State of an agent: its last answer."""

    answer: Annotated[NotRequired[str], OmitFromInput]
    citations: Annotated[NotRequired[list[Citation]], OmitFromInput]
    verification: Annotated[NotRequired[Verification | None], OmitFromInput]
    """Each sentence as the model wrote it; None if there was nothing to verify."""
    abstained: Annotated[NotRequired[bool], OmitFromInput]


class CitationMiddleware(RepairMiddleware):
    """Verifies the final answer sentence by sentence, has it repaired once, and treats unsupported sentences.

    It reads the passages that `PassagesMiddleware` numbers. Markers without a passage are removed. A sentence
    without a marker is supported if a tool called for this question, such as a calculator, returned its
    figures. An answer without citations is not verified if nothing was searched for this question.

    LangGraph's ``stream_mode="messages"`` shows each sentence when it has been verified, as the final answer
    has it. A draft that is repaired was shown by then; the repaired answer follows under another id.

    Example::

        create_agent(llm, [retriever_tool], middleware=[PassagesMiddleware(), CitationMiddleware()])
        agent.invoke(...)["citations"], agent.invoke(...)["verification"]

    Args:
        unsupported: What to do with unsupported sentences: "flag" with [?], "drop" or "keep".
        score: Scores pairs of (claim, passage), as the `score` of a reranker. The scores are in the
            verification.
    """

    state_schema = CitedState
    stage = "cite"

    def __init__(self, unsupported: Unsupported = "flag", score: Score | None = None) -> None:
        self.unsupported = unsupported
        self.score = score

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Outcome:
        """Call the model, show what it writes as it is verified, and have its answer repaired once."""
        with self._checked(request):
            return super().wrap_model_call(request, handler)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Outcome:
        """As `wrap_model_call`, with the checks off the event loop."""
        with self._checked(request):
            return await super().awrap_model_call(request, handler)

    def prepare(self, request: Request) -> Request:
        """Tell the model how to abstain, in words that can be recognized."""
        return add_instruction(request, _ABSTAIN.format(abstention=phrase(_language(request), "abstain")))

    def faults(self, answer: str, request: Request) -> list[str]:
        """The unsupported sentences."""
        if not _needs_verification(answer, request):
            return []
        return find_citation_faults(_verify(answer, request, None))

    def repair_request(self, faults: list[str], request: Request) -> str:
        """Name the faults."""
        language = _language(request)
        return REPAIR.format(
            faults="\n".join(f"- {escape_markup(fault)}" for fault in faults),
            language=language_name(language),
            abstention=phrase(language, "abstain"),
        )

    def finish(self, response: Response, request: Request) -> Outcome:
        """Treat unsupported sentences, resolve the markers, and write both to the state."""
        message = final_answer(response)
        if message is None:
            return response
        text, checked = message.text.strip(), None
        if _needs_verification(text, request):
            checked = self._verify_with_scores(text, request)
            text = treat_unsupported(
                text, checked, read_setting(request.runtime, "unsupported", self.unsupported)
            )
        answer, citations = resolve_citations(text, _passages(request))
        abstained = not answer or is_abstention(answer, _language(request))
        if abstained:
            stage = Stage(self.stage, request.runtime.stream_writer)
            answer, citations = abstain(_language(request), request.model, stage)["answer"], []
        request.runtime.stream_writer({"stage": self.stage, "verification": checked})
        update = {
            "answer": answer,
            "citations": citations,
            "verification": checked,
            "abstained": abstained,
        }
        result = [*response.result[:-1], message.model_copy(update={"content": answer})]
        return ExtendedModelResponse(replace(response, result=result), Command(update=update))

    def _checked(self, request: Request) -> AbstractContextManager[None]:
        """What shows the sentences of this call; nothing where they stay as the model writes them."""
        how = read_setting(request.runtime, "unsupported", self.unsupported)
        if how == "keep" or not (_searched(request) or _passages(request)):
            return nullcontext()

        def verify(text: str) -> Verification:
            return _verify(text, request, None)  # scores change no verdict

        def needs(text: str) -> bool:
            return _needs_verification(text, request)

        def make() -> CheckedStream:
            return CheckedStream(_passages(request), _language(request), how, verify, needs)

        return check_calls(make)

    def _verify_with_scores(self, answer: str, request: Request) -> Verification:
        """The verification, with support scores if they can be computed."""
        try:
            return _verify(answer, request, self.score)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            if self.score is None:
                raise
            Stage(self.stage, request.runtime.stream_writer).announce_fallback("no support scores", error)
            return _verify(answer, request, None)


def _language(request: Request) -> str:
    return answer_language(request.state["messages"], request.runtime)


def _passages(request: Request) -> list[Document]:
    state: Any = request.state
    return list(state.get("passages", []))


def _needs_verification(answer: str, request: Request) -> bool:
    """Whether an answer has to be supported: it cites passages, or a search was made for it."""
    if is_abstention(answer, _language(request)):
        return False
    return _searched(request) or bool(_passages(request) and any(find_markers(answer)))


def _searched(request: Request) -> bool:
    """Whether a search was made for this question."""
    return any(
        isinstance(message, ToolMessage) and (isinstance(message.artifact, list) or numbers_of(message))
        for message in since_question(request.state["messages"])
    )


def _without_parts(sentence: str, language: str) -> str:
    """Return a sentence without words such as "half of", which say what a tool computed."""
    for figure in find_figures(sentence, language):
        if not figure.text[:1].isdecimal() and any(value.startswith("0.") for value in figure.values):
            sentence = re.sub(re.escape(figure.text), " ", sentence, flags=re.IGNORECASE)
    return sentence


def _verify(answer: str, request: Request, score: Score | None) -> Verification:
    """Verify an answer against all passages, and its uncited figures against the results of other tools."""
    language = _language(request)
    checked = verify_citations(answer, _passages(request), language=language, score=score)
    results = [
        Document(message.text)
        for message in since_question(request.state["messages"])
        if isinstance(message, ToolMessage) and message.status == "success" and not numbers_of(message)
    ]
    markers = "".join(f" [{number}]" for number in range(1, len(results) + 1))
    for sentence in checked["sentences"] if results else []:
        if sentence["verdict"] == "uncited" and find_figures(sentence["text"], language):
            claim = f"{_without_parts(sentence['text'], language)}{markers}"
            [again, *_] = verify_citations(claim, results, language=language)["sentences"]
            if again["verdict"] == "supported":
                sentence["verdict"] = "supported"
                checked["supported"] += 1
    return checked
