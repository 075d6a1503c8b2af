"""Final answers are held against the passages they cite. Knows verification, not how passages are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from langchain.agents.middleware.types import ExtendedModelResponse, OmitFromInput
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langgraph.types import Command
from typing_extensions import NotRequired

from qwen_agentkit.graphs.middleware.passages import PassagesState, numbers_of
from qwen_agentkit.graphs.middleware.repair import Outcome, RepairMiddleware, Request, Response
from qwen_agentkit.graphs.middleware.run import (
    answer_language,
    final_answer,
    instructed,
    setting,
    since_question,
)
from qwen_agentkit.graphs.shared.answers import abstains, abstention
from qwen_agentkit.graphs.shared.checks import citation_faults
from qwen_agentkit.graphs.shared.passages import as_data
from qwen_agentkit.graphs.shared.prompts import REPAIR
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Stage
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
    """What an agent knows of its last answer."""

    answer: Annotated[NotRequired[str], OmitFromInput]
    citations: Annotated[NotRequired[list[Citation]], OmitFromInput]
    verification: Annotated[NotRequired[Verification | None], OmitFromInput]
    """Every sentence as the model wrote it; None when there was nothing to verify."""
    abstained: Annotated[NotRequired[bool], OmitFromInput]


class CitationMiddleware(RepairMiddleware):
    """Verifies the final answer sentence by sentence, has it mended once, and treats what stays unsupported.

    It reads the passages that `PassagesMiddleware` numbers. Markers of no passage are taken out. A sentence
    without marker whose figures a tool of this question gave, such as a calculator, counts as supported.
    An answer that cites nothing, to a question for which nothing was looked up, is talk: it is not verified.

    Example:
        >>> create_agent(llm, [retriever_tool], middleware=[PassagesMiddleware(), CitationMiddleware()])
        >>> agent.invoke(...)["citations"], agent.invoke(...)["verification"]

    Args:
        unsupported: what becomes of such sentences: "flag" with [?], "drop" or "keep".
        score: scores pairs of (claim, passage), as a reranker's `score` does; shown with the citations.
    """

    state_schema = CitedState
    stage = "cite"

    def __init__(self, unsupported: Unsupported = "flag", score: Score | None = None) -> None:
        self.unsupported = unsupported
        self.score = score

    def prepare(self, request: Request) -> Request:
        """Say how to abstain, in words that are known again."""
        return instructed(request, _ABSTAIN.format(abstention=phrase(_language(request), "abstain")))

    def faults(self, answer: str, request: Request) -> list[str]:
        """The unsupported sentences."""
        return citation_faults(_verified(answer, request, None)) if _claims(answer, request) else []

    def plea(self, faults: list[str], request: Request) -> str:
        """Name them."""
        language = _language(request)
        return REPAIR.format(
            faults="\n".join(f"- {as_data(fault)}" for fault in faults),
            language=language_name(language),
            abstention=phrase(language, "abstain"),
        )

    def finish(self, response: Response, request: Request) -> Outcome:
        """Treat what is unsupported, resolve the markers, and note all of it in the state."""
        message = final_answer(response)
        if message is None:
            return response
        text, checked = message.text.strip(), None
        if _claims(text, request):
            checked = self._scored(text, request)
            text = treat_unsupported(text, checked, setting(request.runtime, "unsupported", self.unsupported))
        answer, citations = resolve_citations(text, _passages(request))
        abstained = not answer or abstains(answer, _language(request))
        if abstained:
            stage = Stage(self.stage, request.runtime.stream_writer)
            answer, citations = abstention(_language(request), request.model, stage)["answer"], []
        request.runtime.stream_writer({"stage": self.stage, "verification": checked})
        update = {
            "answer": answer,
            "citations": citations,
            "verification": checked,
            "abstained": abstained,
        }
        result = [*response.result[:-1], message.model_copy(update={"content": answer})]
        return ExtendedModelResponse(replace(response, result=result), Command(update=update))

    def _scored(self, answer: str, request: Request) -> Verification:
        """The verification with support scores, where there are any."""
        try:
            return _verified(answer, request, self.score)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            if self.score is None:
                raise
            Stage(self.stage, request.runtime.stream_writer).fall_back("no support scores", error)
            return _verified(answer, request, None)


def _language(request: Request) -> str:
    return answer_language(request.state["messages"], request.runtime)


def _passages(request: Request) -> list[Document]:
    state: Any = request.state
    return list(state.get("passages", []))


def _claims(answer: str, request: Request) -> bool:
    """Whether an answer is to be held against passages: it cites, or something was looked up for it."""
    if abstains(answer, _language(request)):
        return False
    looked_up = any(
        isinstance(message, ToolMessage) and (isinstance(message.artifact, list) or numbers_of(message))
        for message in since_question(request.state["messages"])
    )
    return looked_up or bool(_passages(request) and any(find_markers(answer)))


def _verified(answer: str, request: Request, score: Score | None) -> Verification:
    """The answer held against all passages, and its uncited figures against other tools' results."""
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
            [again, *_] = verify_citations(f"{sentence['text']}{markers}", results, language=language)[
                "sentences"
            ]
            if again["verdict"] == "supported":
                sentence["verdict"] = "supported"
                checked["supported"] += 1
    return checked
