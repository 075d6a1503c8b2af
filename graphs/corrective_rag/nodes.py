"""The nodes of `corrective_rag`: those of `rag`, and grading, further searches, verifying.

Knows when to search again, and what replaces a step that fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel

from qwen_agentkit.errors import RetrievalError
from qwen_agentkit.graphs.corrective_rag.grading import decide_grade
from qwen_agentkit.graphs.corrective_rag.state import CorrectiveContext, CorrectiveState, Grade
from qwen_agentkit.graphs.rag.nodes import RagNodes
from qwen_agentkit.graphs.shared.answers import find_citation_faults, find_language_faults, finish_answer
from qwen_agentkit.graphs.shared.language_retriever import document_language
from qwen_agentkit.graphs.shared.models import ask_line, ask_object, plan_thought
from qwen_agentkit.graphs.shared.passages import escape_markup, format_passages
from qwen_agentkit.graphs.shared.prompts import GRADE, QUESTION, REWRITE, SEARCHED, TRANSLATE
from qwen_agentkit.graphs.shared.retrieval import (
    describe_nearest,
    drop_irrelevant,
    fuse_rankings,
    relevance_score,
    relevance_threshold,
    search_documents,
)
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage, Update
from qwen_agentkit.graphs.shared.state import Move, Node
from qwen_agentkit.text.languages import detect_language, language_name
from qwen_agentkit.text.verification import Score, Verification, verify_citations

if TYPE_CHECKING:  # langchain-core has it from 1.8 on
    from langchain_core.decisions import BaseDecisionModel

__all__ = ["CorrectiveNodes"]

_STEPS_OF_A_LOOP = 9
"""Steps from a grading over another search to the end of the graph, this grading included."""
_STEPS_OF_A_REPAIR = 3
_WIDENING = 3
"""A wider search returns so many times as many passages."""
_MAX_WIDTH = 200
_MAX_TRANSLATIONS = 3
"""Of one question: each costs a call of the model and a search."""


@dataclass(frozen=True)
class CorrectiveNodes:
    """The nodes of `corrective_rag`, over those of `rag`."""

    rag: RagNodes
    decisions: BaseDecisionModel | None = None

    @property
    def model(self) -> BaseChatModel | None:
        """The chat model."""
        return self.rag.model

    def prepare(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Find the question and its language, and clear the last answer and its searches."""
        update = self.rag.prepare(state, settings, stage)
        fresh = {"queries": [update["question"]], "translations": {}, "tried": [], "hard": False}
        return {**update, **fresh, "width": settings.candidates}

    def retrieve(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Search for every query and fuse the rankings; a further search may fail."""
        rankings = []
        for query in state["queries"]:
            try:
                rankings.append(
                    search_documents(self.rag.retriever, query, state["width"], settings.search_timeout)
                )
            except RetrievalError as error:
                if not rankings and not state["tried"]:
                    raise
                stage.announce_fallback("the other searches", error)
        rankings = rankings or [state["retrieved"]]
        found = rankings[0] if len(rankings) == 1 else fuse_rankings(rankings)[: state["width"]]
        stage.details |= {"queries": state["queries"], "found": len(found)}
        return {"retrieved": found, "documents": found}

    def rerank(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Keep the best relevant passages; when the reranker fails, the first ones."""
        documents, nearest = state["retrieved"], []
        reranker = self.rag.reranker
        if reranker is not None and documents:
            try:
                ranked = _rerank_by_language(reranker, state)
                documents = drop_irrelevant(ranked, relevance_threshold(reranker, settings.min_score))
                nearest = [] if documents else describe_nearest(ranked)
            except ALWAYS_RAISED:
                raise
            except Exception as error:
                stage.announce_fallback("fused order", error)
        return {"documents": self.rag.select_passages(documents, state, settings), "nearest": nearest}

    def grade(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Decide which passages are relevant, and which node comes next."""
        documents = state["documents"]
        sure = any((relevance_score(document) or 0.0) >= settings.sure_score for document in documents)
        grade = None
        if documents and not sure:
            grade = self._ask_grade(state, settings, stage)
        if grade is not None:
            documents = [one for number, one in enumerate(documents, 1) if number in grade.relevant]
        # A question is hard if it took a second search, or if no passage is sure to answer it.
        hard = bool(state["tried"]) or (grade.hard if grade else not sure)
        move: Move = "generate" if documents else self._choose_correction(state, settings)
        by = "score" if grade is None else "model" if self.decisions is None else "decisions"
        stage.details |= {"kept": len(documents), "by": by, "hard": hard, "next": move}
        return {"documents": documents, "hard": hard, "move": move, "thought": stage.total_thought(state)}

    def _ask_grade(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Grade | None:
        """Return the grade of the decision model or else of the chat model, None when neither gives one."""
        if self.decisions is not None:
            try:
                return decide_grade(self.decisions, state["question"], state["documents"])
            except ALWAYS_RAISED:
                raise
            except Exception as error:
                stage.announce_fallback("grade by score", error)
                return None
        if self.model is None:
            return None
        question = escape_markup(state["question"])
        request = QUESTION.format(passages=format_passages(state["documents"]), question=question)
        thought = plan_thought("grade", settings, stage.total_thought(state))
        return ask_object(Grade, self.model, thought, GRADE, request, stage, "grade by score")

    def rewrite(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Add a query in other words."""
        instruction = REWRITE.format(
            language=language_name(detect_language(state["question"], among=[state["language"]]))
        )
        searched = escape_markup("\n".join(f"- {query}" for query in state["queries"]))
        request = SEARCHED.format(question=escape_markup(state["question"]), queries=searched)
        query = self._ask_query("rewrite", instruction, request, state, settings, stage)
        stage.details["query"] = query
        new = [query] if query and query not in state["queries"] else []
        return {
            "queries": [*state["queries"], *new],
            "tried": [*state["tried"], "rewrite"],
            "thought": stage.total_thought(state),
        }

    def translate(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Add the question in the documents' languages."""
        languages = _foreign_languages(state, settings)
        translations = {}
        for language in languages[:_MAX_TRANSLATIONS]:
            instruction = TRANSLATE.format(language=language_name(language))
            request = escape_markup(state["question"])
            if query := self._ask_query("translate", instruction, request, state, settings, stage):
                translations[language] = query
        stage.details |= {"translations": translations, "left_out": languages[_MAX_TRANSLATIONS:]}
        new = [query for query in translations.values() if query not in state["queries"]]
        return {
            "queries": [*state["queries"], *new],
            "translations": translations,
            "tried": [*state["tried"], "translate"],
            "thought": stage.total_thought(state),
        }

    def widen(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Let the next search return more passages."""
        width = min(_MAX_WIDTH, state["width"] * _WIDENING)
        stage.details["width"] = width
        return {"width": width, "tried": [*state["tried"], "widen"]}

    def generate(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Write an answer, thinking if the question is hard; when the model fails twice, quote one."""
        return self.rag.write_or_quote(state, settings, stage, hard=state["hard"])

    def verify(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Check the answer against its passages, and decide whether it needs repair."""
        if state["abstained"]:
            return {"move": "cite"}
        checked = self._verify(state["answer"], state, stage)
        repair = (
            self.model is not None
            and not state["citations"]  # quotes of the documents need no repair
            and state["remaining_steps"] >= _STEPS_OF_A_REPAIR
            and bool(_find_faults(state["answer"], checked, state["language"]))
        )
        stage.details["verification"] = checked
        return {"verification": checked, "move": "repair" if repair else "cite"}

    def repair(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Ask once for a better answer, and take it if it has fewer faults."""
        verified = {state["answer"]: cast(Verification, state["verification"])}

        def verify_once(answer: str) -> Verification:
            if answer not in verified:
                verified[answer] = self._verify(answer, state, stage)
            return verified[answer]

        def find_faults(answer: str) -> list[str]:
            return _find_faults(answer, verify_once(answer), state["language"])

        update = self.rag.repair_answer(state, settings, stage, find_faults)
        stage.details["verification"] = verify_once(update.get("answer", state["answer"]))
        return {**update, "verification": stage.details["verification"]}

    def cite(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Treat unsupported sentences as the settings say, and resolve the markers."""
        if state["abstained"]:
            return {}
        checked = cast(Verification, state["verification"])
        stage.details["verification"] = checked
        return finish_answer(state, checked, settings)

    def abstain(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return self.rag.abstain(state, settings, stage)

    def _choose_correction(self, state: CorrectiveState, settings: CorrectiveContext) -> Move:
        """What to try when no passage is relevant."""
        tried = state["tried"]
        if len(tried) >= settings.attempts or state["remaining_steps"] < _STEPS_OF_A_LOOP:
            return "abstain"
        if self.model is not None and "translate" not in tried and _foreign_languages(state, settings):
            return "translate"
        if self.model is not None and "rewrite" not in tried:
            return "rewrite"
        if len(state["retrieved"]) >= state["width"] and state["width"] < _MAX_WIDTH:
            return "widen"
        return "rewrite" if self.model is not None else "abstain"

    def _ask_query(
        self,
        node: Node,
        instruction: str,
        request: str,
        state: CorrectiveState,
        settings: CorrectiveContext,
        stage: Stage,
    ) -> str:
        """The model's query, or "" when it gives none."""
        thought = plan_thought(node, settings, stage.total_thought(state))
        model = cast(BaseChatModel, self.model)
        return ask_line(model, thought, instruction, request, stage, "the queries so far")

    def _verify(self, answer: str, state: CorrectiveState, stage: Stage) -> Verification:
        """Check an answer against its passages, with support scores if the reranker gives them."""
        score: Score | None = getattr(self.rag.reranker, "score", None)
        documents, language = state["documents"], state["language"]
        try:
            return verify_citations(answer, documents, language=language, score=score)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            if score is None:
                raise
            stage.announce_fallback("no support scores", error)
            return verify_citations(answer, documents, language=language)


def _rerank_by_language(reranker: BaseDocumentCompressor, state: CorrectiveState) -> list[Document]:
    """The passages, best first; each scored for the question in its own language if that was translated."""
    groups: dict[str, list[Document]] = {}
    for document in state["retrieved"]:
        query = state["translations"].get(document_language(document), state["question"])
        groups.setdefault(query, []).append(document)
    ranked = [
        document for query, group in groups.items() for document in reranker.compress_documents(group, query)
    ]
    return sorted(ranked, key=lambda one: -(relevance_score(one) or 0.0)) if len(groups) > 1 else ranked


def _foreign_languages(state: CorrectiveState, settings: CorrectiveContext) -> list[str]:
    """Languages of the documents other than the question's, the most frequent first."""
    found = settings.languages or [document_language(document) for document in state["retrieved"]]
    own = detect_language(state["question"], among=[state["language"]])
    return sorted(set(found) - {own, own.split("-")[0]}, key=lambda code: (-found.count(code), code))


def _find_faults(answer: str, checked: Verification, language: str) -> list[str]:
    return find_citation_faults(checked) + find_language_faults(answer, language)
