"""The tools of an agent that answers from documents: search, read_section, list_sources, cite.

Knows retrievers and stores. What may be found is the program's to say, never a tool argument's; passages
are numbered by `PassagesMiddleware`, which sees all calls of a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, tool
from langchain_core.vectorstores import VectorStore
from langgraph.prebuilt import ToolRuntime

from qwen_agentkit.errors import InputError, RetrievalTimeoutError
from qwen_agentkit.graphs.rag_agent.state import AgentContext
from qwen_agentkit.graphs.shared.nodes import relevant
from qwen_agentkit.graphs.shared.passages import as_data, source_line
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Overdue, Stage, within
from qwen_agentkit.text.citations import document_source, nearest_sentence
from qwen_agentkit.text.folding import normalize_text

__all__ = ["Access", "Library", "passage_tools"]

Access = Callable[[Any], Mapping[str, Any]]
"""From the runtime of a tool call (its context, its server's user) to the filter of what may be found."""

_MOST_SOURCES = 100
_MOST_NEIGHBOURS = 5
"""On each side: more is reading the document, not a section."""


def passage_tools(
    retriever: BaseRetriever | VectorStore,
    *,
    reranker: BaseDocumentCompressor | None = None,
    access: Access | None = None,
) -> list[BaseTool]:
    """The four tools over one retriever, for an agent with `PassagesMiddleware`.

    Args:
        retriever: any retriever, or a vector store. With a store behind it that has ``scroll(filter)``, as
            `QwenVectorStore` has, sections and sources are read from it; else from the passages found.
        reranker: any compressor that writes `metadata["relevance_score"]`.
        access: gives the metadata filter of a call from its runtime, for documents of several owners. It is
            passed to the retriever as ``filter``; an error in it is an error of the call.

    Raises:
        InputError: `access` with a retriever that takes no filter.
    """
    if access is not None:
        _check_filter(retriever)
    library = Library(retriever, reranker, access)

    # Their docstrings are what a model reads: the runtime, which it does not give, stands in none of them.
    @tool(response_format="content_and_artifact")
    def search(query: str, runtime: ToolRuntime[Any, Any]) -> tuple[str, list[Document]]:  # noqa: D417
        """Search the documents. Returns numbered passages to answer from and to cite.

        Args:
            query: what to look for, as a full question or as key words.
        """
        return library.search(query, runtime)

    @tool(response_format="content_and_artifact")
    def read_section(  # noqa: D417
        passage: int, runtime: ToolRuntime[Any, Any], around: int = 1
    ) -> tuple[str, list[Document]]:
        """Read a passage together with what stands before and after it in its document.

        Args:
            passage: number of a passage that was found.
            around: how many passages to read on each side, 1 to 5.
        """
        return library.section(passage, around, runtime)

    @tool
    def list_sources(runtime: ToolRuntime[Any, Any]) -> str:
        """List the documents that can be searched."""
        return library.sources(runtime)

    @tool
    def cite(passage: int, quote: str, runtime: ToolRuntime[Any, Any]) -> str:  # noqa: D417
        """Check that a quote stands word for word in a passage, before quoting it.

        Args:
            passage: number of a passage that was found.
            quote: the words to quote, without quotation marks.
        """
        return _checked_quote(passage, quote, _passages(runtime))

    return [search, read_section, list_sources, cite]


@dataclass(frozen=True)
class Library:
    """What the tools do, over one retriever."""

    retriever: BaseRetriever | VectorStore
    reranker: BaseDocumentCompressor | None = None
    access: Access | None = None

    def search(self, query: str, runtime: ToolRuntime[Any, Any]) -> tuple[str, list[Document]]:
        """The relevant passages for a query, best first, and what to say when there is none."""
        settings = runtime.context if isinstance(runtime.context, AgentContext) else AgentContext()
        query = query.strip()
        if not query:
            return "The query is empty: expected what to look for.", []
        found = self._ranked(self._found(query, settings, runtime), query, settings.min_score, runtime)
        found = found[: settings.passages]
        runtime.stream_writer({"stage": "search", "query": query, "found": len(found)})
        return f"No passage is relevant to: {as_data(query)}", found

    def section(self, number: int, around: int, runtime: ToolRuntime[Any, Any]) -> tuple[str, list[Document]]:
        """A passage with its neighbours, in the order of the document."""
        passages = _passages(runtime)
        if not 1 <= number <= len(passages):
            return _no_passage(number, len(passages)), []
        centre = passages[number - 1]
        place = centre.metadata.get("chunk")
        if place is None:
            return f"Passage [{number}] does not know its place in its document.", []
        reach = min(max(1, around), _MOST_NEIGHBOURS)
        source = document_source(centre)
        named = source_line(centre)
        near = {
            other.metadata["chunk"]: other
            for other in self._of_source(source, runtime)
            if abs(other.metadata.get("chunk", -reach - 1) - place) <= reach
            and document_source(other) == source
        }
        runtime.stream_writer({"stage": "read_section", "passage": number, "found": len(near)})
        return f"Nothing else of {named} can be read.", [near[place] for place in sorted(near)]

    def sources(self, runtime: ToolRuntime[Any, Any]) -> str:
        """The sources, one a line, with their titles."""
        store = self._store()
        known: dict[str, str] = {}
        documents = _passages(runtime) if store is None else store.scroll(self._filter(runtime))
        for document in documents:
            title = as_data(" ".join(str(document.metadata.get("title") or "").split()))
            known.setdefault(source_line(document), title)
        lines = [f"{source}: {title}" if title else source for source, title in sorted(known.items())]
        if len(lines) > _MOST_SOURCES:
            lines[_MOST_SOURCES:] = [f"[{len(lines) - _MOST_SOURCES} more sources]"]
        head = "Sources of the passages found so far:" if store is None else "Sources:"
        return "\n".join([head, *lines]) if lines else "No source is known yet: search first."

    def _ranked(
        self, found: list[Document], query: str, min_score: float, runtime: ToolRuntime[Any, Any]
    ) -> list[Document]:
        """The relevant ones, best first; all as they were retrieved when the reranker fails."""
        if self.reranker is None or not found:
            return found
        try:
            return relevant(self.reranker, found, query, min_score)
        except NEVER_HIDDEN:
            raise
        except Exception as error:
            Stage("search", runtime.stream_writer).fall_back("retrieved order", error)
            return found

    def _found(self, query: str, settings: AgentContext, runtime: ToolRuntime[Any, Any]) -> list[Document]:
        retriever, limit = self.retriever, settings.candidates
        if isinstance(retriever, VectorStore):
            retriever = retriever.as_retriever(search_kwargs={"k": limit})
        filtered: dict[str, Any] = {} if self.access is None else {"filter": self._filter(runtime)}
        try:
            return within(settings.search_timeout, partial(retriever.invoke, query, **filtered))[:limit]
        except Overdue as error:
            raise RetrievalTimeoutError(
                f"The search for {query[:80]!r} gave {error}; expected documents. See whether the store "
                "answers, or give it longer with search_timeout=."
            ) from error

    def _of_source(self, source: str, runtime: ToolRuntime[Any, Any]) -> Iterator[Document]:
        """The chunks of a source that may be read."""
        store = self._store()
        if store is None:
            return iter(_passages(runtime))
        # The access filter last: when it speaks of sources itself, it must not be overwritten.
        found: Iterator[Document] = store.scroll({"source": source, **self._filter(runtime)})
        return (document for document in found if "chunk" in document.metadata)

    def _filter(self, runtime: ToolRuntime[Any, Any]) -> dict[str, Any]:
        """The retriever's own filter, and the one of this run."""
        own = getattr(self.retriever, "search_kwargs", {}).get("filter") or {}
        return {**own, **(self.access(runtime) if self.access else {})}

    def _store(self) -> Any:
        """The store behind the retriever, if its documents can be listed."""
        store = getattr(self.retriever, "vectorstore", self.retriever)
        return store if hasattr(store, "scroll") else None


def _check_filter(retriever: BaseRetriever | VectorStore) -> None:
    """Refuse a retriever that LangChain would call without its filter, and so without access control."""
    if isinstance(retriever, VectorStore):
        return
    parameters = signature(retriever._get_relevant_documents).parameters.values()
    if not any(one.name == "filter" or one.kind is one.VAR_KEYWORD for one in parameters):
        raise InputError(
            f"{type(retriever).__name__} takes no filter, which access= needs; expected a vector store, its "
            "retriever, or one whose _get_relevant_documents has an argument filter."
        )


def _passages(runtime: ToolRuntime[Any, Any]) -> list[Document]:
    """The passages found in this conversation; [n] is the n-th."""
    return list(runtime.state.get("passages", []))


def _no_passage(number: int, known: int) -> str:
    expected = f"expected 1 to {known}" if known else "nothing was found yet: search first"
    return f"There is no passage [{number}]: {expected}."


def _checked_quote(number: int, quote: str, passages: list[Document]) -> str:
    if not 1 <= number <= len(passages):
        return _no_passage(number, len(passages))
    passage, wanted = passages[number - 1], normalize_text(quote).strip()
    if wanted and wanted in normalize_text(passage.page_content):
        return f"Passage [{number}] ({source_line(passage)}) holds this word for word."
    nearest = nearest_sentence(quote, passage.page_content)
    return f"Passage [{number}] does not hold this word for word. Its nearest sentence: {as_data(nearest)}"
