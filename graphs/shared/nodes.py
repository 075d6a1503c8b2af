"""The nodes that the graphs share: from the question to passages, an answer and its citations.

Each is a method of (state, settings, stage) that returns an update; `timed` makes a LangGraph node of it.
All are plain functions, which run in a thread: nothing blocks a server's event loop. What fails is replaced,
and the stage says by what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from qwen_agentkit.errors import QwenAgentKitError, RetrievalError, RetrievalTimeoutError
from qwen_agentkit.graphs.shared.answers import abstention, extracted, settled, written
from qwen_agentkit.graphs.shared.checks import in_another_language, language_faults
from qwen_agentkit.graphs.shared.memory import Memory, last_question, remember, stand_alone
from qwen_agentkit.graphs.shared.models import Thought, bound, can_think, said, thought_for
from qwen_agentkit.graphs.shared.passages import as_data, numbered, passage_prompt
from qwen_agentkit.graphs.shared.prompts import REPAIR
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Overdue, Stage, Update, timed, within
from qwen_agentkit.graphs.shared.state import RagContext, RagState
from qwen_agentkit.graphs.shared.usage import thought_in
from qwen_agentkit.text.citations import document_source
from qwen_agentkit.text.languages import detect_language, language_name, phrase
from qwen_agentkit.text.verification import verify_citations

__all__ = [
    "RagNodes",
    "Stage",
    "Update",
    "abstention",
    "extracted",
    "last_question",
    "numbered",
    "passage_prompt",
    "relevant",
    "settled",
    "timed",
    "written",
]


@dataclass(frozen=True)
class RagNodes:
    """The nodes of `rag` over one model, retriever and reranker."""

    model: BaseChatModel | None
    retriever: BaseRetriever | VectorStore
    reranker: BaseDocumentCompressor | None

    def prepare(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Find the question and its language, and forget the last one's answer."""
        asked = last_question(state["messages"])
        memory = self._memory(state, settings, stage)
        thought = thought_for("prepare", settings, 0)
        question = stand_alone(asked, memory, self.model, thought, stage)
        if question != asked:
            stage.details["question"] = question
        # With too little to tell by, a question is in the language of the one before.
        language = settings.answer_language or detect_language(asked, state.get("language") or "en")
        return {
            "asked": asked,
            "question": question,
            "language": language,
            "summary": memory.summary,
            "summarised": memory.summarised,
            "before": [_hash(document) for document in state.get("documents", [])],
            "retrieved": [],
            "documents": [],
            "answer": "",
            "reasoning": "",
            "citations": [],
            "verification": None,
            "abstained": False,
            "thought": stage.used.thought,
            "timings": {},
        }

    def retrieve(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Find candidates."""
        found = self.search(state["question"], settings.candidates, settings.search_timeout)
        return {"retrieved": found, "documents": found}

    def rerank(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Keep the best candidates that are relevant at all; when that fails, the first."""
        documents = state["retrieved"]
        if self.reranker is not None and documents:
            try:
                documents = relevant(self.reranker, documents, state["question"], settings.min_score)
            except NEVER_HIDDEN:
                raise
            except Exception as error:
                stage.fall_back("retrieved order", error)
        return {"documents": self.kept(documents, state, settings)}

    def generate(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Write an answer, or quote one when there is no model."""
        update = self.answer(state, settings, stage, hard=None)
        if self.model is None or update.get("citations") or update.get("abstained"):
            return {**update, "move": "cite"}
        language = state["language"]
        # As it was told to say, where the language has no phrase.
        if language != "en" and update["answer"].strip() == phrase("en", "abstain"):
            return {**update, **abstention(language, self.model, stage), "move": "cite"}
        wrong = in_another_language(update["answer"], language)
        return {**update, "move": "repair" if wrong else "cite"}

    def repair(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Ask once for the answer in the reader's language."""
        return self.mended(state, settings, stage, lambda answer: language_faults(answer, state["language"]))

    def cite(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Verify the answer, treat what is unsupported as the settings say, and resolve its markers."""
        if state["abstained"]:
            return {}
        checked = verify_citations(state["answer"], state["documents"], language=state["language"])
        stage.details["verification"] = checked
        return settled(state, checked, settings)

    def abstain(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return abstention(state["language"], self.model, stage)

    def search(self, query: str, limit: int, timeout: float | None = None) -> list[Document]:
        """The retriever's best `limit` documents for `query`.

        Args:
            query: what is searched for.
            limit: most documents.
            timeout: in seconds; None: never.

        Raises:
            RetrievalError: the retriever failed with an error that is not this package's.
            RetrievalTimeoutError: it gave no answer in time.
        """
        source = (
            self.retriever.as_retriever(search_kwargs={"k": limit})
            if isinstance(self.retriever, VectorStore)
            else self.retriever
        )
        name = type(self.retriever).__name__
        try:
            return within(timeout, partial(source.invoke, query))[:limit]
        except Overdue as error:
            raise RetrievalTimeoutError(
                f"The search of {name} for {query[:80]!r} gave {error}; expected documents. See whether the "
                "store answers, or give it longer with search_timeout=."
            ) from error
        except (QwenAgentKitError, *NEVER_HIDDEN):
            raise
        except Exception as error:
            raise RetrievalError(
                f"The search of {name} for {query[:80]!r} failed: {type(error).__name__}: {error}; expected "
                "documents. Try the retriever alone, with retriever.invoke(...)."
            ) from error

    def kept(self, documents: Sequence[Document], state: RagState, settings: RagContext) -> list[Document]:
        """As many documents as the settings say; those of the last answer first, in the order they had.

        A model that read them in this order reads what is new only. Without one the best stays first.
        """
        best = list(documents[: settings.passages])
        before = state.get("before", [])
        if self.model is None or not before:
            return best
        places = {key: place for place, key in enumerate(before)}
        return sorted(best, key=lambda document: places.get(_hash(document), len(places)))

    def answer(self, state: RagState, settings: RagContext, stage: Stage, *, hard: bool | None) -> Update:
        """An answer of the model; when it fails once without thinking, and when it fails again, quotes."""
        if self.model is None:
            return self.quoted(state, settings, stage)
        thought = thought_for("generate", settings, state.get("thought", 0), hard)
        if not can_think(self.model):
            if settings.thinking is not None:
                stage.fall_back("thinking as the model does", f"{type(self.model).__name__} has no switch")
            thought = Thought(None, None)
        stage.details["thinking"] = thought.thinking
        try:
            return written(self.model, state, thought.thinking, budget=thought.budget, stage=stage)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            stage.fall_back("without thinking", error)
        try:
            return written(self.model, state, False if can_think(self.model) else None, stage=stage)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            stage.fall_back("extractive answer", error)
        return self.quoted(state, settings, stage)

    def quoted(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """An answer of quotes; without the reranker, of the first one."""
        try:
            return extracted(state, settings, self.reranker)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            stage.fall_back("first sentence", error)
            return extracted(state, settings, None)

    def mended(
        self, state: RagState, settings: RagContext, stage: Stage, faults_of: Callable[[str], list[str]]
    ) -> Update:
        """Ask once for an answer without faults; what is no better is not taken.

        An answer that is still in another language than the reader's gives way to quotes.
        """
        faults, language = faults_of(state["answer"]), state["language"]
        message = self._again(state, settings, stage, faults)
        answer = message.text.strip() if message else ""
        gave_up = answer == phrase(language, "abstain")
        stage.details["taken"] = bool(answer) and (gave_up or len(faults_of(answer)) < len(faults))
        update: Update = {}
        if message and stage.details["taken"]:
            update = {"messages": [message], "answer": answer}
        if in_another_language(update.get("answer", state["answer"]), language):
            stage.fall_back("extractive answer", f"The model does not write {language_name(language)}.")
            update = self.quoted(state, settings, stage)
        if update:
            same = {"id": state["messages"][-1].id}
            update["messages"] = [update["messages"][0].model_copy(update=same)]
        if message:
            update["thought"] = state.get("thought", 0) + thought_in(message)
        return update

    def _again(
        self, state: RagState, settings: RagContext, stage: Stage, faults: Sequence[str]
    ) -> AIMessage | None:
        """The model's second answer, or None when it fails."""
        language = state["language"]
        request = REPAIR.format(
            faults="\n".join(f"- {as_data(fault)}" for fault in faults),
            language=language_name(language),
            abstention=phrase(language, "abstain"),
        )
        prompt = [*passage_prompt(state), AIMessage(state["answer"]), HumanMessage(request)]
        thought = thought_for("repair", settings, state.get("thought", 0))
        try:
            return said(bound(cast(BaseChatModel, self.model), thought), prompt, stage)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            stage.fall_back("the answer as it was", error)
            return None

    def _memory(self, state: RagState, settings: RagContext, stage: Stage) -> Memory:
        if not settings.history_tokens:
            return Memory("", "", [])
        known = (state.get("summary", ""), state.get("summarised", ""))
        thought = thought_for("prepare", settings, 0)
        return remember(state["messages"], known, settings.history_tokens, self.model, thought, stage)


def relevant(
    reranker: BaseDocumentCompressor, documents: Sequence[Document], query: str, min_score: float
) -> list[Document]:
    """The documents that the reranker scores at least `min_score`, best first."""
    ranked = reranker.compress_documents(documents, query)
    return [one for one in ranked if float(one.metadata.get("relevance_score", 1)) >= min_score]


def _hash(document: Document) -> str:
    return hashlib.sha256(
        f"{document_source(document)}\n{document.page_content}".encode(errors="replace")
    ).hexdigest()[:16]
