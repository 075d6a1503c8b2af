"""The nodes that `corrective_rag` does not share: grading, further searches, verifying, repairing.

Knows when to search again, what replaces what fails, and that a model's word is data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel, Field

from qwen_agentkit.errors import RetrievalError
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState
from qwen_agentkit.graphs.shared.by_language import document_language
from qwen_agentkit.graphs.shared.checks import citation_faults, language_faults
from qwen_agentkit.graphs.shared.models import can_think, one_line, thought_for, thought_so_far
from qwen_agentkit.graphs.shared.nodes import RagNodes, Stage, Update, abstention, numbered, relevant, settled
from qwen_agentkit.graphs.shared.passages import as_data
from qwen_agentkit.graphs.shared.prompts import GRADE, QUESTION, REWRITE, SEARCHED, TRANSLATE
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN
from qwen_agentkit.graphs.shared.state import Move, Node
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.text.citations import document_source
from qwen_agentkit.text.languages import detect_language, language_name
from qwen_agentkit.text.verification import Verification, verify_citations

__all__ = ["CorrectiveNodes", "Grade"]

Score = Callable[[list[tuple[str, str]]], Sequence[float]]

_STEPS_OF_A_LOOP = 9
"""Steps from one grading over another search to the end of the graph, this grading included."""
_STEPS_OF_A_REPAIR = 3
_WIDER = 3
"""How many times as many candidates the next search has."""
_WIDEST = 200
_MOST_LANGUAGES = 3
"""Translations of one question; each is a call of the model and a search."""


class Grade(BaseModel):
    """Which passages help to answer the question."""

    relevant: list[int] = Field(
        description="Numbers of the passages that hold the answer or a part of it; empty if none does"
    )
    hard: bool = Field(
        description="Whether passages have to be combined, compared or computed with to answer"
    )


@dataclass(frozen=True)
class CorrectiveNodes:
    """What `corrective_rag` does otherwise than `rag`."""

    model: BaseChatModel | None
    reranker: BaseDocumentCompressor | None
    shared: RagNodes

    def prepare(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Find the question, and forget the last one."""
        update = self.shared.prepare(state, settings, stage)
        fresh = {"queries": [update["question"]], "translations": {}, "tried": [], "hard": False}
        return {**update, **fresh, "width": settings.candidates}

    def retrieve(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Search for every query and fuse what was found; a further search may fail."""
        rankings = []
        for query in state["queries"]:
            try:
                rankings.append(self.shared.search(query, state["width"], settings.search_timeout))
            except RetrievalError as error:
                if not rankings and not state["tried"]:
                    raise
                stage.fall_back("the other searches", error)
        rankings = rankings or [state["retrieved"]]
        found = rankings[0] if len(rankings) == 1 else _fused(rankings)[: state["width"]]
        stage.details |= {"queries": state["queries"], "found": len(found)}
        return {"retrieved": found, "documents": found}

    def rerank(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Keep the best relevant passages; without the reranker, the first."""
        documents = state["retrieved"]
        if self.reranker is not None and documents:
            try:
                documents = self._ranked(state, self.reranker, settings.min_score)
            except NEVER_HIDDEN:
                raise
            except Exception as error:
                stage.fall_back("fused order", error)
        return {"documents": self.shared.kept(documents, state, settings)}

    def grade(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Decide which passages answer, and where to go."""
        documents = state["documents"]
        sure = any((_score(document) or 0.0) >= settings.sure_score for document in documents)
        grade = None
        if documents and not sure and self.model is not None:
            grade = self._asked(self.model, state, settings, stage)
        if grade is not None:
            documents = [one for number, one in enumerate(documents, 1) if number in grade.relevant]
        # A question is hard if it took a second search, or if no passage answers it for sure.
        hard = bool(state["tried"]) or (grade.hard if grade else not sure)
        move: Move = "generate" if documents else self._correction(state, settings)
        by = "model" if grade else "score"
        stage.details |= {"kept": len(documents), "by": by, "hard": hard, "next": move}
        return {"documents": documents, "hard": hard, "move": move, "thought": thought_so_far(state, stage)}

    def rewrite(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Add a query in other words."""
        instruction = REWRITE.format(language=language_name(detect_language(state["question"])))
        tried = "\n".join(f"- {query}" for query in state["queries"])
        request = SEARCHED.format(question=as_data(state["question"]), queries=as_data(tried))
        query = self._line("rewrite", instruction, request, state, settings, stage)
        stage.details["query"] = query
        new = [query] if query and query not in state["queries"] else []
        return {
            "queries": [*state["queries"], *new],
            "tried": [*state["tried"], "rewrite"],
            "thought": thought_so_far(state, stage),
        }

    def translate(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Add the question in the documents' languages."""
        languages = _foreign(state, settings)
        translations = {}
        for language in languages[:_MOST_LANGUAGES]:
            instruction = TRANSLATE.format(language=language_name(language))
            request = as_data(state["question"])
            if query := self._line("translate", instruction, request, state, settings, stage):
                translations[language] = query
        stage.details |= {"translations": translations, "left_out": languages[_MOST_LANGUAGES:]}
        new = [query for query in translations.values() if query not in state["queries"]]
        return {
            "queries": [*state["queries"], *new],
            "translations": translations,
            "tried": [*state["tried"], "translate"],
            "thought": thought_so_far(state, stage),
        }

    def widen(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Let the next search find more."""
        width = min(_WIDEST, state["width"] * _WIDER)
        stage.details["width"] = width
        return {"width": width, "tried": [*state["tried"], "widen"]}

    def generate(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Write an answer, thinking if the question is hard; when the model fails twice, quote one."""
        return self.shared.answer(state, settings, stage, hard=state["hard"])

    def verify(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Hold the answer against its passages."""
        if state["abstained"]:
            return {"move": "cite"}
        checked = self._verified(state["answer"], state, stage)
        repair = (
            self.model is not None
            and not state["citations"]  # quotes of the documents: nothing to repair
            and state["remaining_steps"] >= _STEPS_OF_A_REPAIR
            and bool(_faults(state["answer"], checked, state["language"]))
        )
        stage.details["verification"] = checked
        return {"verification": checked, "move": "repair" if repair else "cite"}

    def repair(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Ask once for a better answer; what is no better is not taken."""
        checks = {state["answer"]: cast(Verification, state["verification"])}

        def check(answer: str) -> Verification:
            if answer not in checks:
                checks[answer] = self._verified(answer, state, stage)
            return checks[answer]

        def faults_of(answer: str) -> list[str]:
            return _faults(answer, check(answer), state["language"])

        update = self.shared.mended(state, settings, stage, faults_of)
        stage.details["verification"] = check(update.get("answer", state["answer"]))
        return {**update, "verification": stage.details["verification"]}

    def cite(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Treat what is unsupported as the settings say, and resolve the markers."""
        if state["abstained"]:
            return {}
        checked = cast(Verification, state["verification"])
        stage.details["verification"] = checked
        return settled(state, checked, settings)

    def abstain(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return abstention(state["language"], self.model, stage)

    def _ranked(
        self, state: CorrectiveState, reranker: BaseDocumentCompressor, min_score: float
    ) -> list[Document]:
        """The relevant passages, each scored for the question in its own language where there is one."""
        groups: dict[str, list[Document]] = {}
        for document in state["retrieved"]:
            query = state["translations"].get(document_language(document), state["question"])
            groups.setdefault(query, []).append(document)
        ranked = [
            one for query, group in groups.items() for one in relevant(reranker, group, query, min_score)
        ]
        return sorted(ranked, key=lambda one: -(_score(one) or 0.0)) if len(groups) > 1 else ranked

    def _asked(
        self, model: BaseChatModel, state: CorrectiveState, settings: CorrectiveContext, stage: Stage
    ) -> Grade | None:
        """The model's grade of the passages, or None when it gives none."""
        question = as_data(state["question"])
        passages = QUESTION.format(passages=numbered(state["documents"]), question=question)
        thought = thought_for("grade", settings, thought_so_far(state, stage))
        given: dict[str, Any] = {"thinking": thought.thinking} if can_think(model) else {}
        if given and thought.budget is not None:
            given["thinking_budget"] = thought.budget
        try:
            grader = model.with_structured_output(Grade, **given).with_config(tags=[TAG_NOSTREAM])
            grade = grader.invoke([SystemMessage(GRADE), HumanMessage(passages)])
            return Grade.model_validate(grade)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            stage.fall_back("grade by score", error)
            return None

    def _correction(self, state: CorrectiveState, settings: CorrectiveContext) -> Move:
        """What to try when no passage is relevant."""
        tried = state["tried"]
        if len(tried) >= settings.attempts or state["remaining_steps"] < _STEPS_OF_A_LOOP:
            return "abstain"
        if self.model is not None and "translate" not in tried and _foreign(state, settings):
            return "translate"
        if self.model is not None and "rewrite" not in tried:
            return "rewrite"
        if len(state["retrieved"]) >= state["width"] and state["width"] < _WIDEST:
            return "widen"
        return "rewrite" if self.model is not None else "abstain"

    def _line(
        self,
        node: Node,
        instruction: str,
        request: str,
        state: CorrectiveState,
        settings: CorrectiveContext,
        stage: Stage,
    ) -> str:
        """One line of the model, or "" when it fails or talks."""
        thought = thought_for(node, settings, thought_so_far(state, stage))
        model = cast(BaseChatModel, self.model)
        return one_line(model, thought, instruction, request, stage, "the queries so far")

    def _verified(self, answer: str, state: CorrectiveState, stage: Stage) -> Verification:
        """The answer held against its passages, with support scores where the reranker gives them."""
        score = cast("Score | None", getattr(self.reranker, "score", None))
        documents, language = state["documents"], state["language"]
        try:
            return verify_citations(answer, documents, language=language, score=score)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            if score is None:
                raise
            stage.fall_back("no support scores", error)
            return verify_citations(answer, documents, language=language)


def _fused(rankings: Sequence[Sequence[Document]]) -> list[Document]:
    """One ranking of several, each document once."""
    documents: dict[tuple[str, str], Document] = {}
    for ranking in rankings:
        for document in ranking:
            documents.setdefault(_key(document), document)
    fused = reciprocal_rank_fusion([_key(document) for document in ranking] for ranking in rankings)
    return [documents[key] for key in fused]


def _key(document: Document) -> tuple[str, str]:
    return document_source(document), document.page_content


def _score(document: Document) -> float | None:
    score = document.metadata.get("relevance_score")
    return None if score is None else float(score)


def _foreign(state: CorrectiveState, settings: CorrectiveContext) -> list[str]:
    """Languages of the documents that the question is not in, the most frequent first."""
    found = settings.languages or [document_language(document) for document in state["retrieved"]]
    own = detect_language(state["question"])
    languages = sorted(set(found) - {own, own.split("-")[0]}, key=lambda code: (-found.count(code), code))
    return languages


def _faults(answer: str, checked: Verification, language: str) -> list[str]:
    return citation_faults(checked) + language_faults(answer, language)
