"""The nodes that the graphs share: from the question to passages, an answer and its citations.

Each is a method of (state, settings, stage) that returns an update; `timed` makes a LangGraph node of it.
All are plain functions, which LangGraph runs in a thread: nothing blocks a server's event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langgraph.runtime import Runtime

from qwen_agentkit.citations import document_source, resolve_citations
from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs.extract import extract_answer
from qwen_agentkit.graphs.prompts import ANSWER, PASSAGE, QUESTION
from qwen_agentkit.graphs.state import RagContext, RagState
from qwen_agentkit.languages import detect_language, language_name, phrase
from qwen_agentkit.verification import Verification, treat_unsupported, verify_citations

__all__ = [
    "RagNodes",
    "Stage",
    "Update",
    "abstention",
    "extracted",
    "numbered",
    "passage_prompt",
    "relevant",
    "settled",
    "timed",
    "written",
]

Update = dict[str, Any]
ContextT = TypeVar("ContextT", bound=RagContext)


class Stage:
    """What a node tells the custom stream about itself."""

    def __init__(self, name: str, write: Callable[[Any], None]) -> None:
        self.name = name
        self.details: dict[str, Any] = {}
        """Joined to the event that ends the stage."""
        self._write = write

    def fall_back(self, to: str, error: Exception | str) -> None:
        """Announce at once that something failed and what is done instead."""
        what = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self._write({"stage": self.name, "fallback": to, "error": what})

    def end(self, seconds: float) -> None:
        """Announce that the stage is over."""
        self._write({"stage": self.name, "seconds": seconds, **self.details})


def timed(name: str, node: Callable[[Any, ContextT, Stage], Update], defaults: type[ContextT]) -> Any:
    """A node that runs `node` with the run's settings, notes its seconds and announces them.

    A stage that runs several times notes their sum. The result is what `add_node` takes; its overloads
    cannot be named, hence Any.
    """

    # A typed state would show the node the keys of that type only.
    def run(state: Any, runtime: Runtime[ContextT]) -> Update:
        start = time.perf_counter()
        stage = Stage(name, runtime.stream_writer)
        # Outside a server a graph invoked without context has none.
        update = node(state, runtime.context or defaults(), stage)
        seconds = time.perf_counter() - start
        timings = update.get("timings", state.get("timings", {}))
        stage.end(seconds)
        return {**update, "timings": {**timings, name: timings.get(name, 0.0) + seconds}}

    return run


@dataclass(frozen=True)
class RagNodes:
    """The nodes of `rag` over one model, retriever and reranker."""

    model: BaseChatModel | None
    retriever: BaseRetriever | VectorStore
    reranker: BaseDocumentCompressor | None

    def prepare(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Find the question and its language, and forget the last one's answer."""
        question = last_question(state["messages"])
        return {
            "question": question,
            "language": settings.answer_language or detect_language(question),
            "retrieved": [],
            "documents": [],
            "answer": "",
            "reasoning": "",
            "citations": [],
            "verification": None,
            "abstained": False,
            "timings": {},
        }

    def retrieve(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Find candidates."""
        found = self.search(state["question"], settings.candidates)
        return {"retrieved": found, "documents": found}

    def rerank(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Keep the best candidates that are relevant at all."""
        documents = state["retrieved"]
        if self.reranker is not None and documents:
            documents = relevant(self.reranker, documents, state["question"], settings.min_score)
        return {"documents": documents[: settings.passages]}

    def generate(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Write an answer, or quote one when there is no model."""
        if self.model is None:
            return extracted(state, settings, self.reranker)
        return written(self.model, state, settings.thinking)

    def cite(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Verify the answer, treat what is unsupported as the settings say, and resolve its markers."""
        if state["abstained"]:
            return {}
        checked = verify_citations(state["answer"], state["documents"], language=state["language"])
        stage.details["verification"] = checked
        return settled(state, checked, settings)

    def abstain(self, state: RagState, settings: RagContext, stage: Stage) -> Update:
        """Say in the reader's language that the documents hold no answer."""
        return abstention(state["language"])

    def search(self, query: str, limit: int) -> list[Document]:
        """The retriever's best `limit` documents for `query`."""
        source = (
            self.retriever.as_retriever(search_kwargs={"k": limit})
            if isinstance(self.retriever, VectorStore)
            else self.retriever
        )
        return source.invoke(query)[:limit]


def last_question(messages: Sequence[AnyMessage]) -> str:
    """The text of the last human message that has one."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage) and message.text.strip():
            return message.text.strip()
    raise InputError(
        f"None of the {len(messages)} messages is a question; expected a human message with text, as in "
        '{"messages": [("user", "When does the library open?")]}.'
    )


def passage_prompt(state: RagState) -> list[AnyMessage]:
    """What the chat model reads: the instruction, the numbered passages and the question."""
    return [
        SystemMessage(ANSWER.format(language=language_name(state["language"]))),
        HumanMessage(QUESTION.format(passages=numbered(state["documents"]), question=state["question"])),
    ]


def numbered(documents: Sequence[Document]) -> str:
    """The documents as a model reads them, counted from one."""
    return "\n\n".join(
        PASSAGE.format(number=number, source=document_source(document), text=document.page_content)
        for number, document in enumerate(documents, 1)
    )


def abstention(language: str) -> Update:
    """An answer that says that there is none."""
    answer = phrase(language, "abstain")
    return {"messages": [AIMessage(answer)], "answer": answer, "abstained": True}


def relevant(
    reranker: BaseDocumentCompressor, documents: Sequence[Document], query: str, min_score: float
) -> list[Document]:
    """The documents that the reranker scores at least `min_score`, best first."""
    ranked = reranker.compress_documents(documents, query)
    return [one for one in ranked if float(one.metadata.get("relevance_score", 1)) >= min_score]


def extracted(state: RagState, settings: RagContext, reranker: BaseDocumentCompressor | None) -> Update:
    """An answer of quoted sentences; its citations are exact."""
    answer, citations = extract_answer(
        state["question"],
        state["documents"],
        reranker,
        language=state["language"],
        sentences=settings.sentences,
    )
    if not citations:
        return abstention(state["language"])
    return {"messages": [AIMessage(answer)], "answer": answer, "citations": citations}


def written(model: BaseChatModel, state: RagState, thinking: bool | None) -> Update:
    """An answer of the model, as it wrote it."""
    thinker = model if thinking is None else model.bind(thinking=thinking)
    message = thinker.invoke(passage_prompt(state))
    reasoning = str(message.additional_kwargs.get("reasoning_content", ""))
    return {"messages": [message], "answer": message.text, "reasoning": reasoning}


def settled(state: RagState, checked: Verification, settings: RagContext) -> Update:
    """The answer treated as the settings say, with its citations; an abstention if nothing is left."""
    if state["citations"]:
        return {"verification": checked}  # extracted: quotes with exact citations
    nothing = phrase(state["language"], "abstain")
    text = treat_unsupported(state["answer"], checked, settings.unsupported)
    answer, citations = resolve_citations(text, state["documents"])
    last = state["messages"][-1]
    if state["answer"].strip() == nothing or (state["answer"].strip() and not answer):
        update = abstention(state["language"])
        message = last.model_copy(update={"content": update["answer"]})
        return {**update, "messages": [message], "verification": checked}
    message = last.model_copy(update={"content": answer})
    return {"messages": [message], "answer": answer, "citations": citations, "verification": checked}
