"""One preset, one set of real objects: the place where this package's own classes are joined."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from qwen_agentkit.calibration import Calibration, SearchOrder, load_calibration
from qwen_agentkit.catalog import preset_checkpoint
from qwen_agentkit.embeddings import QwenEmbeddings
from qwen_agentkit.errors import StoreMismatchError, StoreNotFoundError
from qwen_agentkit.makers import made_by_preset
from qwen_agentkit.rerankers import QwenReranker
from qwen_agentkit.vectorstores.points import Quantization
from qwen_agentkit.vectorstores.store import QwenVectorStore

# A search needs neither the chat model nor a graph, and importing them takes over a second: each is imported
# by what makes it.
if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from qwen_agentkit.chat_models import ChatQwen
    from qwen_agentkit.graphs.compare.graph import CompareGraph
    from qwen_agentkit.graphs.corrective_rag.graph import CorrectiveGraph
    from qwen_agentkit.graphs.ingest.graph import IngestGraph
    from qwen_agentkit.graphs.rag.graph import RagGraph
    from qwen_agentkit.graphs.research.graph import ResearchGraph

__all__ = ["NANO_NOTICE", "Stack", "StoreRetriever"]

NANO_NOTICE = (
    "nano models: a few million parameters, trained for this package so that everything runs without a "
    "download. They find and rank simple things; they do not know or reason. For real work: --preset 0.6b."
)


class Stack:
    """Embeddings, reranker, chat model and store of one preset. Constructing it loads no weights.

    Attributes:
        preset: its name.
        folder: of the vector store.
        groups: whether documents belong to groups, and a server's user finds those of his groups only.
        quantization: how the vectors of a store that it makes stay in memory; see `QwenVectorStore`.
    """

    def __init__(
        self,
        preset: str,
        folder: Path,
        *,
        groups: bool = False,
        quantization: Quantization | None = None,
    ) -> None:
        self.preset = preset
        self.folder = folder
        self.groups = groups
        self.quantization = quantization
        self.embeddings = QwenEmbeddings(model=preset_checkpoint(preset, "embedding"))
        self.reranking_model = QwenReranker(model=preset_checkpoint(preset, "reranker"))

    @cached_property
    def calibration(self) -> Calibration:
        """What was measured of the embedder and the reranker: on this store, else in the catalog."""
        return load_calibration(self.folder, self.embeddings.model, self.reranking_model.model)

    @property
    def reranker(self) -> QwenReranker | SearchOrder:
        """What orders passages and scores their relevance: the reranker, the search, or a mean of both."""
        measured = self.calibration
        if measured.share == 1:
            return self.reranking_model.model_copy(update={"threshold": measured.threshold})
        return SearchOrder(reranker=self.reranking_model, threshold=measured.threshold, share=measured.share)

    @cached_property
    def chat(self) -> ChatQwen:
        """The chat model."""
        from qwen_agentkit.chat_models import ChatQwen

        return ChatQwen(model=preset_checkpoint(self.preset, "chat"))

    @property
    def answering(self) -> BaseChatModel | None:
        """The model that writes answers; None for nano, whose answers are quoted sentences.

        nano-chat shows thinking and tool calls, but it picks and copies sentences too poorly to be quoted.
        """
        return None if self.preset == "nano" else self.chat

    def checkpoints(self) -> list[str]:
        """Names of its models: embedder, reranker, chat."""
        return [self.embeddings.model, self.reranking_model.model, preset_checkpoint(self.preset, "chat")]

    def store(self, *, create: bool = False) -> QwenVectorStore:
        """Open the store; it has to exist unless `create`.

        Raises:
            StoreNotFoundError: It does not.
            StoreMismatchError: Another preset made it. That is said before any model is loaded or downloaded.
        """
        self.check_maker()
        if not create and (not self.folder.exists() or _is_empty(self.folder)):
            raise StoreNotFoundError(
                f"{str(self.folder)!r} holds no store; expected one. Create it with: qwen-agentkit ingest "
                f"DOCS --store {shlex.quote(str(self.folder))} --preset {self.preset}"
            )
        return QwenVectorStore(
            self.embeddings,
            path=str(self.folder),
            create=create,
            fusion=self.calibration.fusion,
            quantization=self.quantization,
        )

    def check_maker(self) -> None:
        """Check that no other preset made the store.

        Raises:
            StoreMismatchError: One did.
        """
        made = made_by_preset(self.folder.expanduser())
        if made not in (None, self.preset):
            raise StoreMismatchError(
                f"The store {str(self.folder)!r} was made with the preset {made}; expected {self.preset}, "
                "whose vectors cannot be compared with those in it. Leave --preset out to use the store as "
                "it is, or ingest the documents into another folder with --store."
            )

    def rag_graph(self, store: QwenVectorStore | None = None) -> RagGraph:
        """The `rag` graph over an open store; without one it is opened at the first question."""
        from qwen_agentkit.graphs.rag.graph import build_rag_graph

        retriever = store or StoreRetriever(stack=self)
        return build_rag_graph(self.answering, retriever, reranker=self.reranker)

    def corrective_rag_graph(self, store: QwenVectorStore | None = None) -> CorrectiveGraph:
        """The `corrective_rag` graph over a store, as `rag_graph` has it."""
        from qwen_agentkit.graphs.corrective_rag.graph import build_corrective_rag_graph

        retriever = store or StoreRetriever(stack=self)
        return build_corrective_rag_graph(self.answering, retriever, reranker=self.reranker)

    def research_graph(self, store: QwenVectorStore | None = None) -> ResearchGraph:
        """The `research` graph over a store, as `rag_graph` has it."""
        from qwen_agentkit.graphs.research.graph import build_research_graph

        retriever = store or StoreRetriever(stack=self)
        return build_research_graph(self.answering, retriever, reranker=self.reranker)

    def compare_graph(self, store: QwenVectorStore | None = None) -> CompareGraph:
        """The `compare` graph over a store, as `rag_graph` has it."""
        from qwen_agentkit.graphs.compare.graph import build_compare_graph

        retriever = store or StoreRetriever(stack=self)
        return build_compare_graph(self.answering, retriever, reranker=self.reranker)

    def ingest_graph(self, documents: Path) -> IngestGraph:
        """The `ingest` graph from a folder into the store, which each run opens, and makes if need be."""
        from qwen_agentkit.graphs.ingest.graph import build_ingest_graph

        return build_ingest_graph(lambda: self.store(create=True), [documents], groups=self.groups)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as the embedder counts them."""
        return self.embeddings.count_tokens(texts)


class StoreRetriever(BaseRetriever):
    """The store of a stack as a retriever that opens it when first asked."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    stack: Stack
    limit: int = 200
    """Passages found at most; the graph keeps as many as its settings say."""

    @cached_property
    def vectorstore(self) -> QwenVectorStore:
        """The store."""
        return self.stack.store()

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        filter: dict[str, Any] | None = None,
        language: str | None = None,
    ) -> list[Document]:
        wanted = {**(filter or {}), **({"language": language} if language else {})}
        if self.stack.groups:
            from qwen_agentkit.graphs.shared.access import GroupRetriever

            return GroupRetriever(store=self.vectorstore, limit=self.limit).invoke(query, filter=wanted)
        search = {"k": self.limit, **({"filter": wanted} if wanted else {})}
        return self.vectorstore.as_retriever(search_kwargs=search).invoke(query)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
