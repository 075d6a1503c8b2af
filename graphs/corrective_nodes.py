"""The nodes that `corrective_rag` does not share: grading, further searches, verifying, repairing.

Knows when to search again, what replaces what fails, and that a model's word is data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM
from pydantic import BaseModel, Field

from qwen_agentkit.citations import MARKER, document_source
from qwen_agentkit.errors import MissingExtraError, ModelNotFoundError, ModelUnsupportedError
from qwen_agentkit.graphs.nodes import (
    RagNodes,
    Stage,
    Update,
    abstention,
    extracted,
    numbered,
    passage_prompt,
    relevant,
    settled,
    written,
)
from qwen_agentkit.graphs.prompts import GRADE, QUESTION, REPAIR, REWRITE, SEARCHED, TRANSLATE
from qwen_agentkit.graphs.state import CorrectiveContext, CorrectiveState, Move
from qwen_agentkit.languages import detect_language, language_name, phrase
from qwen_agentkit.retrievers import reciprocal_rank_fusion
from qwen_agentkit.verification import Verification, verify_citations

__all__ = ["CorrectiveNodes", "Grade"]

Score = Callable[[list[tuple[str, str]]], Sequence[float]]

# These stay until the user does something: no fall-back may hide them.
_SETUP_ERRORS = (MissingExtraError, ModelNotFoundError, ModelUnsupportedError)

_STEPS_OF_A_LOOP = 9
"""Steps from one grading over another search to the end of the graph, this grading included."""
_STEPS_OF_A_REPAIR = 3
_WIDER = 3
"""How many times as many candidates the next search has."""
_WIDEST = 200
_MOST_LANGUAGES = 3
"""Translations of one question; each is a call of the model and a search."""
_LONGEST_QUERY = 500
"""Characters: what is longer is no query but the model talking."""


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
        """Search for every query and fuse what was found."""
        rankings = [self.shared.search(query, state["width"]) for query in state["queries"]]
        found = rankings[0] if len(rankings) == 1 else _fused(rankings)[: state["width"]]
        stage.details |= {"queries": state["queries"], "found": len(found)}
        return {"retrieved": found, "documents": found}

    def rerank(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Keep the best relevant passages; without the reranker, the first."""
        documents = state["retrieved"]
        if self.reranker is not None and documents:
            try:
                documents = self._ranked(state, self.reranker, settings.min_score)
            except _SETUP_ERRORS:
                raise
            except Exception as error:
                stage.fall_back("fused order", error)
        return {"documents": documents[: settings.passages]}

    def grade(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Decide which passages answer, and where to go."""
        documents = state["documents"]
        sure = any((_score(document) or 0.0) >= settings.sure_score for document in documents)
        grade = None
        if documents and not sure and self.model is not None:
            grade = self._asked(self.model, state, stage)
        if grade is not None:
            documents = [one for number, one in enumerate(documents, 1) if number in grade.relevant]
        # A question is hard if it took a second search, or if no passage answers it for sure.
        hard = bool(state["tried"]) or (grade.hard if grade else not sure)
        move: Move = "generate" if documents else self._correction(state, settings)
        by = "model" if grade else "score"
        stage.details |= {"kept": len(documents), "by": by, "hard": hard, "next": move}
        return {"documents": documents, "hard": hard, "move": move}

    def rewrite(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Add a query in other words."""
        instruction = REWRITE.format(language=language_name(detect_language(state["question"])))
        tried = "\n".join(f"- {query}" for query in state["queries"])
        request = SEARCHED.format(question=state["question"], queries=tried)
        query = self._line(instruction, request, stage)
        stage.details["query"] = query
        new = [query] if query and query not in state["queries"] else []
        return {"queries": [*state["queries"], *new], "tried": [*state["tried"], "rewrite"]}

    def translate(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Add the question in the documents' languages."""
        languages = _foreign(state, settings)
        translations = {}
        for language in languages[:_MOST_LANGUAGES]:
            instruction = TRANSLATE.format(language=language_name(language))
            if query := self._line(instruction, state["question"], stage):
                translations[language] = query
        stage.details |= {"translations": translations, "left_out": languages[_MOST_LANGUAGES:]}
        new = [query for query in translations.values() if query not in state["queries"]]
        return {
            "queries": [*state["queries"], *new],
            "translations": translations,
            "tried": [*state["tried"], "translate"],
        }

    def widen(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Let the next search find more."""
        width = min(_WIDEST, state["width"] * _WIDER)
        stage.details["width"] = width
        return {"width": width, "tried": [*state["tried"], "widen"]}

    def generate(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Write an answer; when the model fails twice, quote one."""
        if self.model is not None:
            thinking = settings.thinking
            if thinking is None and _can_think(self.model):
                thinking = state["hard"]
            stage.details["thinking"] = thinking
            try:
                return written(self.model, state, thinking)
            except _SETUP_ERRORS:
                raise
            except Exception as error:
                stage.fall_back("without thinking", error)
            try:
                return written(self.model, state, None if thinking is None else False)
            except Exception as error:
                stage.fall_back("extractive answer", error)
        return self._quoted(state, settings, stage)

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
        model, checked, language = cast(BaseChatModel, self.model), state["verification"], state["language"]
        faults = _faults(state["answer"], cast(Verification, checked), language)
        request = REPAIR.format(
            faults="\n".join(f"- {fault}" for fault in faults),
            language=language_name(language),
            abstention=phrase(language, "abstain"),
        )
        prompt = [*passage_prompt(state), AIMessage(state["answer"]), HumanMessage(request)]
        try:
            message = _quick(model).invoke(prompt)
        except _SETUP_ERRORS:
            raise
        except Exception as error:
            stage.fall_back("the answer as it was", error)
            return {}
        answer = message.text.strip()
        again = self._verified(answer, state, stage)
        gave_up = answer == phrase(language, "abstain")
        stage.details["taken"] = bool(answer) and (
            gave_up or len(_faults(answer, again, language)) < len(faults)
        )
        last, update = state["messages"][-1], {}
        if stage.details["taken"]:
            update = {"messages": [message], "answer": answer, "verification": again}
        if _in_another_language(update.get("answer", state["answer"]), language):
            stage.fall_back("extractive answer", f"The model does not write {language_name(language)}.")
            update = self._quoted(state, settings, stage)
            update["verification"] = self._verified(update["answer"], state, stage)
        if update:
            update["messages"] = [update["messages"][0].model_copy(update={"id": last.id})]
        stage.details["verification"] = update.get("verification", checked)
        return update

    def cite(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Treat what is unsupported as the settings say, and resolve the markers."""
        if state["abstained"]:
            return {}
        checked = cast(Verification, state["verification"])
        stage.details["verification"] = checked
        return settled(state, checked, settings)

    def abstain(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return abstention(state["language"])

    def _quoted(self, state: CorrectiveState, settings: CorrectiveContext, stage: Stage) -> Update:
        """An answer of quotes; without the reranker, of the first one."""
        try:
            return extracted(state, settings, self.reranker)
        except _SETUP_ERRORS:
            raise
        except Exception as error:
            stage.fall_back("first sentence", error)
            return extracted(state, settings, None)

    def _ranked(
        self, state: CorrectiveState, reranker: BaseDocumentCompressor, min_score: float
    ) -> list[Document]:
        """The relevant passages, each scored for the question in its own language where there is one."""
        groups: dict[str, list[Document]] = {}
        for document in state["retrieved"]:
            query = state["translations"].get(_language(document), state["question"])
            groups.setdefault(query, []).append(document)
        ranked = [
            one for query, group in groups.items() for one in relevant(reranker, group, query, min_score)
        ]
        return sorted(ranked, key=lambda one: -(_score(one) or 0.0)) if len(groups) > 1 else ranked

    def _asked(self, model: BaseChatModel, state: CorrectiveState, stage: Stage) -> Grade | None:
        """The model's grade of the passages, or None when it gives none."""
        passages = QUESTION.format(passages=numbered(state["documents"]), question=state["question"])
        settings = {"thinking": False} if _can_think(model) else {}
        try:
            grader = model.with_structured_output(Grade, **settings).with_config(tags=[TAG_NOSTREAM])
            grade = grader.invoke([SystemMessage(GRADE), HumanMessage(passages)])
            return Grade.model_validate(grade)
        except _SETUP_ERRORS:
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

    def _line(self, instruction: str, request: str, stage: Stage) -> str:
        """One line of the model, or "" when it fails or talks."""
        model = cast(BaseChatModel, self.model)
        try:
            silent = _quick(model).with_config(tags=[TAG_NOSTREAM])
            said = silent.invoke([SystemMessage(instruction), HumanMessage(request)]).text.strip()
        except _SETUP_ERRORS:
            raise
        except Exception as error:
            stage.fall_back("the queries so far", error)
            return ""
        line = said.splitlines()[0].strip() if said else ""
        return line if len(line) <= _LONGEST_QUERY else ""

    def _verified(self, answer: str, state: CorrectiveState, stage: Stage) -> Verification:
        """The answer held against its passages, with support scores where the reranker gives them."""
        score = cast("Score | None", getattr(self.reranker, "score", None))
        documents, language = state["documents"], state["language"]
        try:
            return verify_citations(answer, documents, language=language, score=score)
        except _SETUP_ERRORS:
            raise
        except Exception as error:
            if score is None:
                raise
            stage.fall_back("no support scores", error)
            return verify_citations(answer, documents, language=language)


def _can_think(model: BaseChatModel) -> bool:
    """Whether thinking can be switched on and off for a call, as `ChatQwen` allows."""
    field = type(model).model_fields.get("thinking")
    return field is not None and field.annotation == (bool | None)


def _quick(model: BaseChatModel) -> Any:
    """The model without thinking, as far as it can be told so."""
    return model.bind(thinking=False) if _can_think(model) else model


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


def _language(document: Document) -> str:
    return str(document.metadata.get("language") or detect_language(document.page_content))


def _foreign(state: CorrectiveState, settings: CorrectiveContext) -> list[str]:
    """Languages of the documents that the question is not in, the most frequent first."""
    found = settings.languages or [_language(document) for document in state["retrieved"]]
    own = detect_language(state["question"])
    languages = sorted(set(found) - {own, own.split("-")[0]}, key=lambda code: (-found.count(code), code))
    return languages


def _faults(answer: str, checked: Verification, language: str) -> list[str]:
    """What is wrong with an answer, in words for the model."""
    faults = []
    for sentence in checked["sentences"]:
        if sentence["verdict"] == "uncited":
            faults.append(f"No passage is cited: {sentence['text']}")
        elif sentence["verdict"] == "unsupported":
            lacking = ", ".join(item["text"] for item in sentence["missing"]) or "the cited passage"
            faults.append(f"Not in the passages cited ({lacking}): {sentence['text']}")
    if _in_another_language(answer, language):
        faults.append(f"It is not in {language_name(language)}.")
    return faults


_QUOTATION = re.compile('“[^”]*”|"[^"]*"|«[^»]*»|「[^」]*」')
# Too near to each other to be told apart in a sentence.
_ALIKE = ({"no", "da"}, {"id", "ms"}, {"hr", "sr", "bs"}, {"cs", "sk"})
_ENOUGH_LETTERS = 12
"""Under this a name or a number says more about the passage than about the answer's language."""


def _in_another_language(answer: str, language: str) -> bool:
    own = MARKER.sub("", _QUOTATION.sub("", answer))
    if sum(char.isalpha() for char in own) < _ENOUGH_LETTERS:
        return False
    found, wanted = detect_language(own, language).split("-")[0], language.split("-")[0]
    return found != wanted and not any({found, wanted} <= alike for alike in _ALIKE)
