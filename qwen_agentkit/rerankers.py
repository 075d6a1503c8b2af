"""`QwenReranker`: Qwen3-Reranker as a LangChain document compressor. Knows texts and scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TypedDict

import torch
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, field_validator
from torch import Tensor

from qwen_agentkit.catalog import PRESETS, preset_checkpoint
from qwen_agentkit.engine.kv import KVCache
from qwen_agentkit.engine.loading import Loaded, load
from qwen_agentkit.engine.packed import Segment, forward, token_batches
from qwen_agentkit.errors import InputTooLongError
from qwen_agentkit.prompts import (
    DEFAULT_INSTRUCTION,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    rerank_document,
    rerank_head,
)

__all__ = ["QwenReranker", "Ranking"]


class Ranking(TypedDict):
    """Place of one text: its index in the call, and its score in 0..1."""

    index: int
    relevance_score: float


class QwenReranker(BaseDocumentCompressor):
    """Qwen3-Reranker, in this process.

    The score of a document is the probability of "yes" against "no" as the next token of the
    checkpoint's prompt: sigmoid of the difference of the two logits. Documents of one query share the
    keys and values of the prompt up to the document, and no other row of the vocabulary is computed.

    Example:
        >>> reranker = QwenReranker(model="nano", top_n=3)
        >>> best = reranker.compress_documents(documents, "When does the library open?")
        >>> scores = [document.metadata["relevance_score"] for document in best]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "Qwen/Qwen3-Reranker-0.6B"
    """Hub id, local folder, or a preset: "nano", "0.6b", "4b", "8b"."""

    instruction: str = DEFAULT_INSTRUCTION
    """What makes a document relevant, in English whatever the language of the texts."""

    top_n: int | None = Field(default=None, gt=0)
    """Documents to keep, best first. None: all."""

    min_score: float = Field(default=0.0, ge=0.0, le=1.0)
    """Documents that score less are dropped."""

    max_length: int = Field(default=8192, gt=64)
    """Tokens of a whole prompt. The end of a longer document is not read, with a warning."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    device: str | None = None
    """Such as "cpu" or "cuda:0"; by default the best there is."""

    dtype: str | None = None
    """Such as "bfloat16"; by default the fastest that is accurate here."""

    @field_validator("model")
    @classmethod
    def _resolve_preset(cls, model: str) -> str:
        return preset_checkpoint(model, "reranker") if model in PRESETS else model

    @cached_property
    def _loaded(self) -> Loaded:
        return load(self.model, revision=self.revision, device=self.device, dtype=self.dtype)

    @cached_property
    def _direction(self) -> Tensor:
        """The row of "yes" less the row of "no" of the language model head, fp32, (hidden,)."""
        weight = self._loaded.model.get_parameter("lm_head.weight")
        yes, no = (self._loaded.token_id(word) for word in ("yes", "no"))
        return weight[yes].float() - weight[no].float()

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The relevant documents, best first, as copies with `metadata["relevance_score"]`."""
        ranked = self.rerank(query, [document.page_content for document in documents])
        kept = [place for place in ranked if place["relevance_score"] >= self.min_score][: self.top_n]
        return [_scored(documents[place["index"]], place["relevance_score"]) for place in kept]

    def rerank(self, query: str, texts: Sequence[str]) -> list[Ranking]:
        """Every text of `texts` with its score, best first; equal scores keep their order."""
        scores = self.score([(query, text) for text in texts])
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [{"index": i, "relevance_score": scores[i]} for i in order]

    def score(self, text_pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Score in 0..1 of each (query, document), in the order given, as `BaseCrossEncoder` does.

        Raises:
            InputTooLongError: a query leaves no room for a document.
        """
        if not text_pairs:
            return []
        heads = self._heads({query for query, _ in text_pairs})
        tails = self._tails(text_pairs, heads)
        loaded = self._loaded
        caches = self._prefixes(text_pairs, heads)
        scores = torch.empty(len(text_pairs))
        for batch in token_batches([len(tail) for tail in tails], loaded.token_budget):
            with loaded.lock:
                segments = [Segment(tails[i], caches[text_pairs[i][0]], keep=False) for i in batch]
                hidden = forward(loaded.model, segments)
                scores[batch] = torch.sigmoid(hidden.float() @ self._direction).cpu()
        values: list[float] = scores.tolist()
        return values

    def _heads(self, queries: set[str]) -> dict[str, list[int]]:
        """Tokens of each query's prompt up to the document."""
        ordered = list(queries)
        encoded = self._loaded.encode_data([rerank_head(self.instruction, query) for query in ordered])
        prefix = self._loaded.encode_prompt(RERANK_PREFIX)
        return {query: prefix + ids for query, ids in zip(ordered, encoded, strict=True)}

    def _tails(self, pairs: Sequence[tuple[str, str]], heads: dict[str, list[int]]) -> list[list[int]]:
        """Tokens of each document and the suffix; only the document is ever cut."""
        suffix = self._loaded.encode_prompt(RERANK_SUFFIX)
        limit = min(self.max_length, self._loaded.context)
        encoded = self._loaded.encode_data([rerank_document(text) for _, text in pairs])
        tails, cut = [], 0
        for (query, _), ids in zip(pairs, encoded, strict=True):
            room = limit - len(heads[query]) - len(suffix)
            if room < 1:
                raise InputTooLongError(
                    f"The query {query[:60]!r} and the instruction take {limit - room} of {limit} tokens, "
                    "which leaves no room for a document. Shorten the query, or raise max_length."
                )
            cut += len(ids) > room
            tails.append(ids[:room] + suffix)
        if cut:
            warnings.warn(
                f"{cut} of {len(pairs)} documents do not fit max_length={limit} tokens: their ends are not "
                "read. Split them, or raise max_length.",
                stacklevel=4,
            )
        return tails

    def _prefixes(self, pairs: Sequence[tuple[str, str]], heads: dict[str, list[int]]) -> dict[str, KVCache]:
        """Keys and values of what the documents of each query share."""
        loaded = self._loaded
        queries = list(dict.fromkeys(query for query, _ in pairs))
        caches = {query: KVCache(loaded.model.config, loaded.dtype, loaded.device) for query in queries}
        for batch in token_batches([len(heads[query]) for query in queries], loaded.token_budget):
            with loaded.lock:
                forward(loaded.model, [Segment(heads[queries[i]], caches[queries[i]]) for i in batch])
        return caches


def _scored(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
