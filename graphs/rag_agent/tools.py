"""The tools of an agent that answers from documents: search, read_section, list_sources, cite.

Knows retrievers and stores. The program decides what may be found, never an argument of a tool. Passages are
numbered by `PassagesMiddleware`, which sees all calls of a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.tools import BaseTool, tool
from langchain_core.vectorstores import VectorStore
from langgraph.prebuilt import ToolRuntime

from qwen_agentkit.errors import AccessError, InputError
from qwen_agentkit.graphs.rag_agent.state import AgentContext
from qwen_agentkit.graphs.shared.models import Retriever
from qwen_agentkit.graphs.shared.passages import escape_markup, source_line
from qwen_agentkit.graphs.shared.retrieval import keep_relevant, search_in_time
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage
from qwen_agentkit.text.citations import document_source, nearest_sentence
from qwen_agentkit.text.folding import normalize_text

__all__ = ["Access", "Library", "passage_tools"]

Access = Callable[[Any], Mapping[str, Any]]
"""Makes the filter of what may be found from the runtime of a tool call (its context, its server's user)."""

_MAX_SOURCES = 100
_MAX_NEIGHBORS = 5
"""Passages on each side. More would be reading the document, not a section."""


def passage_tools(
    retriever: Retriever,
    *,
    reranker: BaseDocumentCompressor | None = None,
    access: Access | None = None,
) -> list[BaseTool]:
    """Make the four tools over one retriever, for an agent with `PassagesMiddleware`.

    Args:
        retriever: Any retriever, or a vector store. If its store has ``scroll(filter)``, as `QwenVectorStore`
            has, sections and sources are read from the store; otherwise from the passages found so far.
        reranker: Any compressor that writes `metadata["relevance_score"]`.
        access: Makes the metadata filter of a call from its runtime, for documents of several owners. It is
            passed to the retriever as ``filter``; an error in it is an error of the call.

    Raises:
        InputError: `access` is given, and the retriever takes no filter.
    """
    if access is not None:
        _check_filter(retriever)
    library = Library(retriever, reranker, access)

    # A model reads these docstrings. They leave out the runtime, which is no argument of the model.
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
        return _check_quote(passage, quote, _passages(runtime))

    return [search, read_section, list_sources, cite]


@dataclass(frozen=True)
class Library:
    """What the tools do, over one retriever."""

    retriever: Retriever
    reranker: BaseDocumentCompressor | None = None
    access: Access | None = None

    def search(self, query: str, runtime: ToolRuntime[Any, Any]) -> tuple[str, list[Document]]:
        """Find the relevant passages, best first. The text is for the case that there is none."""
        settings = runtime.context if isinstance(runtime.context, AgentContext) else AgentContext()
        query = query.strip()
        if not query:
            return "The query is empty: expected what to look for.", []
        filtered = {"filter": self._filter(runtime)} if self.access else {}
        found = search_in_time(
            self.retriever, query, settings.candidates, settings.search_timeout, **filtered
        )
        found = self._rerank(found, query, settings.min_score, runtime)[: settings.passages]
        runtime.stream_writer({"stage": "search", "query": query, "found": len(found)})
        return f"No passage is relevant to: {escape_markup(query)}", found

    def section(self, number: int, around: int, runtime: ToolRuntime[Any, Any]) -> tuple[str, list[Document]]:
        """Read a passage with its neighbors, in the order of the document."""
        passages = _passages(runtime)
        if not 1 <= number <= len(passages):
            return _no_passage(number, len(passages)), []
        center = passages[number - 1]
        place = center.metadata.get("chunk")
        if place is None:
            return f"Passage [{number}] does not know its place in its document.", []
        reach = min(max(1, around), _MAX_NEIGHBORS)
        source = document_source(center)
        near = {
            other.metadata["chunk"]: other
            for other in self._scroll_source(source, runtime)
            if abs(other.metadata.get("chunk", -reach - 1) - place) <= reach
            and document_source(other) == source
        }
        runtime.stream_writer({"stage": "read_section", "passage": number, "found": len(near)})
        return f"Nothing else of {source_line(center)} can be read.", [near[place] for place in sorted(near)]

    def sources(self, runtime: ToolRuntime[Any, Any]) -> str:
        """List the sources, one per line, with their titles."""
        store = self._store()
        known: dict[str, str] = {}
        documents = _passages(runtime) if store is None else store.scroll(self._filter(runtime))
        for document in documents:
            title = escape_markup(" ".join(str(document.metadata.get("title") or "").split()))
            known.setdefault(source_line(document), title)
        lines = [f"{source}: {title}" if title else source for source, title in sorted(known.items())]
        if len(lines) > _MAX_SOURCES:
            lines[_MAX_SOURCES:] = [f"[{len(lines) - _MAX_SOURCES} more sources]"]
        head = "Sources of the passages found so far:" if store is None else "Sources:"
        return "\n".join([head, *lines]) if lines else "No source is known yet: search first."

    def _rerank(
        self, found: list[Document], query: str, min_score: float | None, runtime: ToolRuntime[Any, Any]
    ) -> list[Document]:
        """Keep the relevant passages, best first; when the reranker fails, all in the retrieved order."""
        if self.reranker is None or not found:
            return found
        try:
            return keep_relevant(self.reranker, found, query, min_score)
        except ALWAYS_RAISED:
            raise
        except Exception as error:
            Stage("search", runtime.stream_writer).announce_fallback("retrieved order", error)
            return found

    def _scroll_source(self, source: str, runtime: ToolRuntime[Any, Any]) -> Iterator[Document]:
        """The chunks of a source that this run may read."""
        store = self._store()
        if store is None:
            return iter(_passages(runtime))
        # The access filter last: it may restrict sources itself, and must not be overwritten.
        found: Iterator[Document] = store.scroll({"source": source, **self._filter(runtime)})
        return (document for document in found if "chunk" in document.metadata)

    def _filter(self, runtime: ToolRuntime[Any, Any]) -> dict[str, Any]:
        """The retriever's own filter, and that of this run."""
        own = getattr(self.retriever, "search_kwargs", {}).get("filter") or {}
        if self.access is None:
            return dict(own)
        allowed = self.access(runtime)
        if not allowed:
            raise AccessError(
                f"access returned {allowed!r}, which would find everything; expected a filter such as "
                "{'group': ['crew']}. Raise AccessError for those who may read nothing."
            )
        return {**own, **allowed}

    def _store(self) -> Any:
        """The retriever's store, or None if it cannot list its documents."""
        store = getattr(self.retriever, "vectorstore", self.retriever)
        return store if hasattr(store, "scroll") else None


def _check_filter(retriever: Retriever) -> None:
    """Refuse a retriever that LangChain would call without the filter, and so without access control."""
    if isinstance(retriever, VectorStore):
        return
    parameters = signature(retriever._get_relevant_documents).parameters.values()
    if not any(one.name == "filter" or one.kind is one.VAR_KEYWORD for one in parameters):
        raise InputError(
            f"{type(retriever).__name__} takes no filter, which access= needs; expected a retriever whose "
            "_get_relevant_documents has an argument filter. Pass a vector store or its retriever."
        )


def _passages(runtime: ToolRuntime[Any, Any]) -> list[Document]:
    """The passages found in this conversation. Marker [n] is the n-th."""
    return list(runtime.state.get("passages", []))


def _no_passage(number: int, known: int) -> str:
    expected = f"expected 1 to {known}" if known else "nothing was found yet: search first"
    return f"There is no passage [{number}]: {expected}."


def _check_quote(number: int, quote: str, passages: list[Document]) -> str:
    if not 1 <= number <= len(passages):
        return _no_passage(number, len(passages))
    passage, wanted = passages[number - 1], normalize_text(quote).strip()
    if wanted and wanted in normalize_text(passage.page_content):
        return f"Passage [{number}] ({source_line(passage)}) holds this word for word."
    nearest = nearest_sentence(quote, passage)
    return (
        f"Passage [{number}] does not hold this word for word. Its nearest sentence: {escape_markup(nearest)}"
    )
