"""The nodes of `rag`, on which the other graphs build: from a question to passages, an answer and citations.

Each node is a method of (state, settings, stage) that returns an update; `add_nodes` adds it to a graph.
Nodes are plain functions and run in threads, so they do not block a server's event loop. A step that fails is
replaced by another, and the stage announces both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from qwen_agentkit.graphs.shared.answers import (
    abstain,
    extract_answer,
    find_language_faults,
    finish_answer,
    is_other_language,
)
from qwen_agentkit.graphs.shared.checked_stream import CheckedStream
from qwen_agentkit.graphs.shared.conversation import History, find_question, read_history, rewrite_followup
from qwen_agentkit.graphs.shared.language_retriever import stored_languages
from qwen_agentkit.graphs.shared.models import (
    NO_THOUGHT,
    Retriever,
    Thought,
    can_think,
    plan_thought,
    stream_answer,
)
from qwen_agentkit.graphs.shared.passages import escape_markup, passage_prompt
from qwen_agentkit.graphs.shared.prompts import REPAIR
from qwen_agentkit.graphs.shared.retrieval import (
    describe_nearest,
    drop_irrelevant,
    relevance_threshold,
    search_documents,
)
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage, Update, count_thought
from qwen_agentkit.graphs.shared.state import RagContext, RagState
from qwen_agentkit.text.documents import document_key
from qwen_agentkit.text.languages import detect_language, language_name, phrase
from qwen_agentkit.text.verification import verify_citations

__all__ = ["RagNodes"]

FindFaults = Callable[[str], list[str]]


@dataclass(frozen=True)
class RagNodes:
    """The nodes of `rag` over one model, retriever and reranker."""

    model: BaseChatModel | None
    retriever: Retriever
    reranker: BaseDocumentCompressor | None

    def prepare(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Find the question and its language, and clear the last answer."""
        asked = find_question(state["messages"])
        thought = plan_thought("prepare", settings, 0)
        history = History()
        if settings.history_tokens:
            known = (state.get("summary", ""), state.get("summarized", ""))
            budget = settings.history_tokens
            history = read_history(state["messages"], known, budget, self.model, thought, stage)
        question = rewrite_followup(asked, history, self.model, thought, stage)
        if question != asked:
            stage.details["question"] = question
        language = settings.answer_language or self._detect_language(asked, state, settings)
        return {
            "asked": asked,
            "question": question,
            "language": language,
            "summary": history.summary,
            "summarized": history.summarized,
            "before": [document_key(document) for document in state.get("documents", [])],
            "retrieved": [],
            "documents": [],
            "answer": "",
            "reasoning": "",
            "citations": [],
            "verification": None,
            "abstained": False,
            "nearest": [],
            "thought": stage.usage.thought,
            "timings": {},
        }

    def _detect_language(self, asked: str, state: RagState, settings: RagContext) -> str:
        """A question too short to tell is in the language of the question before, or of the documents."""
        before = state.get("language")
        stored = stored_languages(self.retriever, settings.search_timeout)
        among = [before, *stored] if before else stored
        return detect_language(asked, before or "en", among)

    def retrieve(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Search for candidates."""
        found = search_documents(
            self.retriever, state["question"], settings.candidates, settings.search_timeout
        )
        return {"retrieved": found, "documents": found}

    def rerank(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Keep the best relevant candidates; when the reranker fails, the first ones."""
        documents, nearest = state["retrieved"], []
        if self.reranker is not None and documents:
            try:
                ranked = self.reranker.compress_documents(documents, state["question"])
                documents = drop_irrelevant(ranked, relevance_threshold(self.reranker, settings.min_score))
                nearest = [] if documents else describe_nearest(ranked)
            except ALWAYS_RAISED:
                raise
            except Exception as error:
                stage.announce_fallback("retrieved order", error)
        return {"documents": self.select_passages(documents, state, settings), "nearest": nearest}

    def generate(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Write an answer; without a model, quote one."""
        update = self.write_or_quote(state, settings, stage, hard=None)
        if self.model is None or update.get("citations") or update.get("abstained"):
            return {**update, "move": "cite"}
        language = state["language"]
        # The prompt gives the English phrase where the language has none of its own.
        if language != "en" and update["answer"].strip() == phrase("en", "abstain"):
            return {**update, **abstain(language, self.model, stage), "move": "cite"}
        wrong = is_other_language(update["answer"], language)
        return {**update, "move": "repair" if wrong else "cite"}

    def repair(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Ask once for the answer in the reader's language."""

        def find_faults(answer: str) -> list[str]:
            return find_language_faults(answer, state["language"])

        return self.repair_answer(state, settings, stage, find_faults)

    def cite(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Verify the answer, treat unsupported sentences as the settings say, and resolve the markers."""
        if state["abstained"]:
            return {}
        checked = verify_citations(state["answer"], state["documents"], language=state["language"])
        stage.details["verification"] = checked
        return finish_answer(state, checked, settings)

    def abstain(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return abstain(state["language"], self.model, stage)

    def select_passages(
        self, documents: Sequence[Document], state: RagState, settings: RagContext
    ) -> list[Document]:
        """Take as many documents as the settings say; those of the last answer first, in their old order.

        In this order a model reads only the new passages anew. Without a model the best passage stays first.
        """
        best = list(documents[: settings.passages])
        before = state.get("before", [])
        if self.model is None or not before:
            return best
        places = {key: place for place, key in enumerate(before)}
        return sorted(best, key=lambda document: places.get(document_key(document), len(places)))

    def write_or_quote(
        self, state: RagState, settings: RagContext, stage: Stage, *, hard: bool | None
    ) -> Update:
        """Let the model write an answer; when it fails, once more without thinking; then quote one."""
        if self.model is None:
            return self.quote(state, settings, stage)
        thought = plan_thought("generate", settings, state.get("thought", 0), hard)
        again = NO_THOUGHT
        if not can_think(self.model):
            if settings.thinking is not None:
                reason = f"{type(self.model).__name__} has no setting for thinking."
                stage.announce_fallback("thinking as the model does", reason)
            thought = again = Thought(None, None)
        stage.details["thinking"] = thought.thinking
        try:
            return self._write(self.model, thought, state, settings, stage)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            stage.announce_fallback("without thinking", error)
        try:
            return self._write(self.model, again, state, settings, stage)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            stage.announce_fallback("extractive answer", error)
        return self.quote(state, settings, stage)

    def _write(
        self, model: BaseChatModel, thought: Thought, state: RagState, settings: RagContext, stage: Stage
    ) -> Update:
        """The model's answer."""
        shown = _shown(state, settings)
        message = stream_answer(model, thought, passage_prompt(state), stage, shown=shown)
        return {
            "messages": [message],
            "answer": message.text,
            "reasoning": str(message.additional_kwargs.get("reasoning_content", "")),
            "thought": state.get("thought", 0) + count_thought(message),
        }

    def quote(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Answer with quotes; when the reranker fails, with the first sentence."""
        try:
            return self._quote(self.reranker, state, settings)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            stage.announce_fallback("first sentence", error)
            return self._quote(None, state, settings)

    def _quote(
        self, reranker: BaseDocumentCompressor | None, state: RagState, settings: RagContext
    ) -> Update:
        """The best sentences, whose citations are exact; an abstention if there is none."""
        answer, citations = extract_answer(
            state["question"],
            state["documents"],
            reranker,
            language=state["language"],
            sentences=settings.sentences,
        )
        if not citations:
            return abstain(state["language"])
        return {"messages": [AIMessage(answer)], "answer": answer, "citations": citations}

    def repair_answer(
        self, state: RagState, settings: RagContext, stage: Stage, find_faults: FindFaults
    ) -> Update:
        """Ask once for an answer without faults, and take it if it has fewer.

        An answer that is still in another language than the reader's is replaced by quotes.
        """
        faults, language = find_faults(state["answer"]), state["language"]
        message = self._ask_repair(state, settings, stage, faults)
        answer = message.text.strip() if message else ""
        abstained = answer == phrase(language, "abstain")
        stage.details["taken"] = bool(answer) and (abstained or len(find_faults(answer)) < len(faults))
        update: Update = {}
        if message and stage.details["taken"]:
            update = {"messages": [message], "answer": answer}
        if is_other_language(update.get("answer", state["answer"]), language):
            reason = f"The model does not write {language_name(language)}."
            stage.announce_fallback("extractive answer", reason)
            update = self.quote(state, settings, stage)
        if update:
            same_id = {"id": state["messages"][-1].id}  # replaces the first answer in the thread
            update["messages"] = [update["messages"][0].model_copy(update=same_id)]
        if message:
            update["thought"] = state.get("thought", 0) + count_thought(message)
        return update

    def _ask_repair(
        self, state: RagState, settings: RagContext, stage: Stage, faults: Sequence[str]
    ) -> AIMessage | None:
        """The model's second answer, or None when it fails."""
        language = state["language"]
        request = REPAIR.format(
            faults="\n".join(f"- {escape_markup(fault)}" for fault in faults),
            language=language_name(language),
            abstention=phrase(language, "abstain"),
        )
        prompt = [*passage_prompt(state), AIMessage(state["answer"]), HumanMessage(request)]
        thought = plan_thought("repair", settings, state.get("thought", 0))
        try:
            model = cast(BaseChatModel, self.model)
            return stream_answer(model, thought, prompt, stage, shown=_shown(state, settings))
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            stage.announce_fallback("the answer as it was", error)
            return None


def _shown(state: RagState, settings: RagContext) -> CheckedStream | None:
    """What shows an answer while it is written; None where it is shown as the model writes it."""
    if settings.unsupported == "keep":
        return None
    documents, language = state["documents"], state["language"]
    verify = partial(verify_citations, documents=documents, language=language)
    return CheckedStream(documents, language, settings.unsupported, verify)
