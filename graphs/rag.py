"""`rag`: prepare -> retrieve -> rerank -> generate -> cite, or abstain. One pass, no loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore

from qwen_agentkit.citations import document_source, resolve_citations
from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs.extract import extract_answer
from qwen_agentkit.graphs.prompts import ANSWER, PASSAGE, QUESTION
from qwen_agentkit.graphs.state import RagContext, RagInput, RagState
from qwen_agentkit.languages import detect_language, language_name, phrase

__all__ = ["build_rag_graph", "create_rag_graph", "passage_prompt"]

Update = dict[str, Any]
RagGraph = StateGraph[RagState, RagContext, RagInput, RagState]


def create_rag_graph(
    model: BaseChatModel | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "rag",
) -> CompiledStateGraph[RagState, RagContext, RagInput, RagState]:
    """A graph that answers from documents, with numbered citations, in the language of the question.

    Example:
        >>> graph = create_rag_graph(ChatQwen(), store, reranker=QwenReranker())
        >>> state = graph.invoke({"messages": [("user", "متى تفتح المكتبة؟")]})
        >>> state["answer"], state["citations"]

    Args:
        model: any chat model. None: the best sentences are quoted as they are and nothing is generated.
        retriever: any retriever, or a vector store.
        reranker: any compressor that writes `metadata["relevance_score"]`. Passages under the
            context's `min_score` are dropped; when none is left the answer is an abstention.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    Settings of one run are a `RagContext`: ``graph.invoke(..., context={"passages": 5})``.
    """
    graph = build_rag_graph(model, retriever, reranker=reranker)
    return graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name)


def build_rag_graph(
    model: BaseChatModel | None,
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | None = None,
) -> RagGraph:
    """The builder behind `create_rag_graph`, to add nodes to; arguments as there."""

    def prepare(state: RagState, settings: RagContext) -> Update:
        question = _question(state["messages"])
        language = settings.answer_language or detect_language(question)
        return {
            "question": question,
            "language": language,
            "retrieved": [],
            "documents": [],
            "answer": "",
            "reasoning": "",
            "citations": [],
            "abstained": False,
            "timings": {},
        }

    def retrieve(state: RagState, settings: RagContext) -> Update:
        limit = settings.candidates
        source = (
            retriever.as_retriever(search_kwargs={"k": limit})
            if isinstance(retriever, VectorStore)
            else retriever
        )
        found = source.invoke(state["question"])[:limit]
        return {"retrieved": found, "documents": found}

    def rerank(state: RagState, settings: RagContext) -> Update:
        documents = state["retrieved"]
        if reranker is not None and documents:
            ranked = reranker.compress_documents(documents, state["question"])
            documents = [
                document
                for document in ranked
                if float(document.metadata.get("relevance_score", 1)) >= settings.min_score
            ]
        return {"documents": documents[: settings.passages]}

    def generate(state: RagState, settings: RagContext) -> Update:
        if model is None:
            return _extract(state, settings, reranker)
        thinker = model if settings.thinking is None else model.bind(thinking=settings.thinking)
        message = thinker.invoke(passage_prompt(state))
        reasoning = str(message.additional_kwargs.get("reasoning_content", ""))
        return {"messages": [message], "answer": message.text, "reasoning": reasoning}

    def cite(state: RagState, settings: RagContext) -> Update:
        if model is None:
            return {}
        answer, citations = resolve_citations(state["answer"], state["documents"])
        last = state["messages"][-1]
        return {
            "messages": [last.model_copy(update={"content": answer})],
            "answer": answer,
            "citations": citations,
        }

    def abstain(state: RagState, settings: RagContext) -> Update:
        return _abstention(state["language"])

    def relevant(state: RagState) -> Literal["generate", "abstain"]:
        return "generate" if state["documents"] else "abstain"

    graph = StateGraph(RagState, context_schema=RagContext, input_schema=RagInput)
    for node in (prepare, retrieve, rerank, generate, cite, abstain):
        graph.add_node(node.__name__, _timed(node))
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "retrieve")
    graph.add_edge("retrieve", "rerank")
    graph.add_conditional_edges("rerank", relevant)
    graph.add_edge("generate", "cite")
    graph.add_edge("cite", END)
    graph.add_edge("abstain", END)
    return graph


def _timed(node: Callable[[RagState, RagContext], Update]) -> Any:
    """A node that runs `node` with the run's settings, notes its seconds and announces them.

    The result is what `add_node` takes; its overloads cannot be named, hence Any.
    """

    def timed(state: RagState, runtime: Runtime[RagContext]) -> Update:
        start = time.perf_counter()
        # Outside a server a graph invoked without context has none.
        update = node(state, runtime.context or RagContext())
        seconds = time.perf_counter() - start
        timings = update.get("timings", state.get("timings", {}))
        runtime.stream_writer({"stage": node.__name__, "seconds": seconds})
        return {**update, "timings": {**timings, node.__name__: seconds}}

    return timed


def _question(messages: Sequence[AnyMessage]) -> str:
    for message in reversed(messages):
        if isinstance(message, HumanMessage) and message.text.strip():
            return message.text.strip()
    raise InputError(
        f"None of the {len(messages)} messages is a question; expected a human message with text, as in "
        '{"messages": [("user", "When does the library open?")]}.'
    )


def passage_prompt(state: RagState) -> list[AnyMessage]:
    """What the chat model reads: the instruction, the numbered passages and the question."""
    passages = "\n\n".join(
        PASSAGE.format(number=number, source=document_source(document), text=document.page_content)
        for number, document in enumerate(state["documents"], 1)
    )
    return [
        SystemMessage(ANSWER.format(language=language_name(state["language"]))),
        HumanMessage(QUESTION.format(passages=passages, question=state["question"])),
    ]


def _extract(state: RagState, settings: RagContext, reranker: BaseDocumentCompressor | None) -> Update:
    answer, citations = extract_answer(
        state["question"],
        state["documents"],
        reranker,
        language=state["language"],
        sentences=settings.sentences,
    )
    if not citations:
        return _abstention(state["language"])
    return {"messages": [AIMessage(answer)], "answer": answer, "citations": citations}


def _abstention(language: str) -> Update:
    answer = phrase(language, "abstain")
    return {"messages": [AIMessage(answer)], "answer": answer, "abstained": True}
