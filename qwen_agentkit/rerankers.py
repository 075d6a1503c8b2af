"""`QwenReranker`: rerankers as a LangChain document compressor. Knows texts and scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Literal, TypedDict

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field

from qwen_agentkit.backends.choosing import SENTENCE_TRANSFORMERS, reranker_backend
from qwen_agentkit.backends.engine_reranker import EngineReranker
from qwen_agentkit.backends.interfaces import Reading, Reranker
from qwen_agentkit.backends.settings import ModelSettings
from qwen_agentkit.catalog import Role
from qwen_agentkit.engine.checkpoint.finding import find
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION
from qwen_agentkit.text.readable import named, readable

__all__ = ["QwenReranker", "Ranking"]


class Ranking(TypedDict):
    """Place of one text: its index in the call, and its score in 0..1."""

    index: int
    relevance_score: float


class QwenReranker(ModelSettings, BaseDocumentCompressor):
    """A reranker, in this process, or with `base_url` behind a server that ranks.

    Qwen3-Reranker and its fine-tunes run on this package's packed engine: the score of a document is the
    probability of "yes" against "no" as the next token of the checkpoint's prompt, and documents of one query
    share the keys and values of the prompt up to the document. Cross-encoders of other families, and folders
    in sentence-transformers' own format, run through sentence-transformers: the score is the sigmoid of their
    one logit.

    Example:
        >>> reranker = QwenReranker(model="nano", top_n=3)
        >>> best = reranker.compress_documents(documents, "When does the library open?")
        >>> best[0].page_content, best[0].metadata["relevance_score"] > 0.5
        ('The library opens at nine.', True)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: ClassVar[Role] = "reranker"
    local_settings: ClassVar[tuple[str, ...]] = (
        *("revision", "device", "dtype", "engine", "adapter", "quantize"),
        *("max_length", "truncate", "deterministic"),
    )

    model: str = "Qwen/Qwen3-Reranker-0.6B"
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    instruction: str = DEFAULT_INSTRUCTION
    """What makes a document relevant, in English whatever the language of the texts. Cross-encoders of other
    families read none."""

    top_n: int | None = Field(default=None, gt=0)
    """Documents to keep, best first. None: all."""

    min_score: float = Field(default=0.0, ge=0.0, le=1.0)
    """Documents that score less are dropped."""

    threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    """Score from which a passage answers, for the graphs; nothing is dropped here. None: what was measured of
    the checkpoint (`qwen_agentkit.catalog.THRESHOLDS`), else 0.3."""

    max_length: int = Field(default=8192, gt=64)
    """Most tokens of a whole prompt, of which a document gets what the query leaves; no more than the
    checkpoint reads."""

    truncate: bool = True
    """Cut longer documents, with a warning that names them; False refuses them. Queries are never cut."""

    deterministic: bool = False
    """Give a pair the same bits whatever else is in the call, by computing one document at a time.

    Batches change the last bits of a sum (about 1e-7 in fp32, more in bf16). Costs speed where documents
    are short: nano-reranker in fp32 on a CPU took 1.8 times as long for 18 tokens, no longer for 215."""

    quantize: Literal["int8", "fp8"] | None = None
    """Round the weights of the linear layers to 8 bits: half the memory, a little less exact, and faster on
    CPUs with VNNI whose bf16 products are slow. "int8", or "fp8" on NVIDIA GPUs that multiply it; GPUs need
    the extra `torchao`."""

    base_url: str | None = None
    """Address of a server, such as "http://localhost:8000/v1", that has the model under the name `model`:
    vLLM, SGLang, llama.cpp, Text Embeddings Inference, or another with one of their routes.

    Which route it has, and with vLLM whether it was started with the checkpoint's score template, is found
    out once, by asking. What does not fit its context is an error."""

    @cached_property
    def _backend(self) -> Reranker:
        """What computes the scores."""
        if self.base_url is not None:
            from qwen_agentkit.backends.server_models import ServerReranker  # needs an HTTP client

            return ServerReranker(self._server(), self.model)
        if self._runs_in_llama:
            from qwen_agentkit.backends.llama_reranker import LlamaReranker  # needs an extra

            return LlamaReranker(self.model, self.device)
        if reranker_backend(find(self.model, revision=self.revision)) == SENTENCE_TRANSFORMERS:
            from qwen_agentkit.backends.sentence_models import CrossEncoderReranker  # slow to import

            return CrossEncoderReranker(self.model, **self._weights())
        return EngineReranker(self.model, **self._weights())

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the relevant documents, best first, as copies with `metadata["relevance_score"]`."""
        ranked = self.rerank(query, [document.page_content for document in documents])
        kept = [place for place in ranked if place["relevance_score"] >= self.min_score][: self.top_n]
        return [_scored(documents[place["index"]], place["relevance_score"]) for place in kept]

    def rerank(self, query: str, texts: Sequence[str]) -> list[Ranking]:
        """Return every text of `texts` with its score, best first; equal scores keep their order."""
        scores = self.score([(query, text) for text in texts])
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [{"index": i, "relevance_score": scores[i]} for i in order]

    def score(self, text_pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the score in 0..1 of each (query, document), in the order given, as `BaseCrossEncoder` does.

        Equal pairs are computed once. Beside the texts, memory does not grow with the number of pairs.

        Raises:
            InputError: A query or document is no string, or the checkpoint reads no instruction and one was
                given.
            InputTooLongError: A query leaves no room for a document, or a document is too long and
                `truncate` is False.
            ModelError: The checkpoint gave scores that are not numbers.
        """
        texts = readable([text for _, text in text_pairs])
        asked = list(dict.fromkeys(query for query, _ in text_pairs))
        queries = dict(zip(asked, readable(asked), strict=True))
        first: dict[tuple[str, str], int] = {}
        pairs = [(queries[query], text) for (query, _), text in zip(text_pairs, texts, strict=True)]
        for index, pair in enumerate(pairs):
            first.setdefault(pair, index)
        if not first:
            return []
        instruction = self.instruction if "instruction" in self.model_fields_set else None
        reading = Reading(self.max_length, self.truncate, self.deterministic)
        with self._use():
            computed, cut = self._backend.score(list(first), instruction, reading)
        if cut:
            places = list(first.values())
            warnings.warn(
                f"{len(cut)} of {len(pairs)} documents do not fit "
                f"max_length={self._backend.limit(self.max_length)} tokens: the ends are not read of "
                f"{named(sorted(places[index] for index in cut), texts)}. Split them, or raise max_length if "
                "the model reads more.",
                stacklevel=3,
            )
        scores = dict(zip(first, computed, strict=True))
        return [scores[pair] for pair in pairs]


def _scored(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
