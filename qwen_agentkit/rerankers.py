"""`QwenReranker`: Qwen3-Reranker as a LangChain document compressor. Knows texts and scores."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Literal, TypedDict

import numpy as np
import torch
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from torch import Tensor

from qwen_agentkit.catalog import PRESETS, preset_checkpoint
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.checkpoint.tokens import encode
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, forward, is_one_row, token_batches
from qwen_agentkit.engine.forward.prefixes import SharedPrefixes
from qwen_agentkit.errors import InputError, InputTooLongError, ModelError, ModelUnsupportedError
from qwen_agentkit.prompts import (
    DEFAULT_INSTRUCTION,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    rerank_document,
    rerank_head,
)
from qwen_agentkit.server.address import shown_address
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.rerank import RerankServer
from qwen_agentkit.text.readable import named, readable, slices

__all__ = ["QwenReranker", "Ranking"]

# Queries and documents tokenised at once: bounds memory, and is enough to fill every batch.
_QUERIES, _SLICE = 256, 1024

# Most memory for the prompts of earlier queries, in bytes: about 30 of them at 0.6B in bf16.
_PROMPTS_BYTES = 256 << 20


class Ranking(TypedDict):
    """Place of one text: its index in the call, and its score in 0..1."""

    index: int
    relevance_score: float


class QwenReranker(BaseDocumentCompressor):
    """Qwen3-Reranker, in this process, or with `base_url` behind a server that ranks.

    The score of a document is the probability of "yes" against "no" as the next token of the
    checkpoint's prompt: sigmoid of the difference of the two logits. Documents of one query share the
    keys and values of the prompt up to the document, and no other row of the vocabulary is computed.

    Example:
        >>> reranker = QwenReranker(model="nano", top_n=3)
        >>> best = reranker.compress_documents(documents, "When does the library open?")
        >>> scores = [document.metadata["relevance_score"] for document in best]
    """

    # pydantic would show what was passed, and a key with it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: str = "Qwen/Qwen3-Reranker-0.6B"
    """Hub id, local folder, GGUF file, or a preset: "nano", "0.6b", "4b", "8b"."""

    instruction: str = DEFAULT_INSTRUCTION
    """What makes a document relevant, in English whatever the language of the texts."""

    top_n: int | None = Field(default=None, gt=0)
    """Documents to keep, best first. None: all."""

    min_score: float = Field(default=0.0, ge=0.0, le=1.0)
    """Documents that score less are dropped."""

    max_length: int = Field(default=8192, gt=64)
    """Tokens of a whole prompt, of which a document gets what the query leaves."""

    truncate: bool = True
    """Cut longer documents, with a warning that names them; False refuses them. Queries are never cut."""

    deterministic: bool = False
    """Give a pair the same bits whatever else is in the call, by reading one document at a time.

    Batches change the last bits of a sum (about 1e-7 in fp32, more in bf16). Costs speed where documents
    are short: nano-reranker in fp32 on a CPU took 1.8 times as long for 18 tokens, no longer for 215."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    device: str | None = None
    """Such as "cpu" or "cuda:0"; by default the best there is."""

    dtype: str | None = None
    """Such as "bfloat16"; by default the fastest that is accurate here."""

    adapter: str | None = None
    """LoRA adapter for this model: hub id, or a folder as peft saves it. Merged when the weights load, so it
    costs no speed; a model with one and the model without are loaded apart. Needs the extra `lora`."""

    quantize: Literal["int8", "fp8"] | None = None
    """Round the weights of the linear layers to 8 bits: half the memory, a little less exact, and faster on
    CPUs with VNNI whose bf16 products are slow. "int8", or "fp8" on NVIDIA GPUs that multiply it; GPUs need
    the extra `torchao`."""

    base_url: str | None = None
    """Address of a server, such as "http://localhost:8000/v1", that has the model under the name `model`:
    vLLM, SGLang, llama.cpp, Text Embeddings Inference, or another with one of their routes.

    Which route it has, and with vLLM whether it was started with the checkpoint's score template, is found
    out once, by asking. What does not fit its context is an error."""

    api_key: SecretStr | None = None
    """With `base_url`: sent as a bearer token."""

    timeout: float | None = Field(default=None, gt=0)
    """With `base_url`: seconds of silence after which a request is given up. None: 600."""

    max_retries: int | None = Field(default=None, ge=0)
    """With `base_url`: times a request is sent again to a server that is busy or down. None: 2."""

    @field_validator("model")
    @classmethod
    def _resolve_preset(cls, model: str) -> str:
        return preset_checkpoint(model, "reranker") if model in PRESETS else model

    @model_validator(mode="after")
    def _check_place(self) -> QwenReranker:
        if self.base_url is not None:
            for name in (
                *("revision", "device", "dtype", "adapter", "quantize"),
                *("max_length", "truncate", "deterministic"),
            ):
                if name in self.model_fields_set:
                    raise InputError(
                        f"{name}={getattr(self, name)!r} says how weights and texts are read, which the "
                        f"server at {shown_address(self.base_url)} does by itself. Leave it out, or leave "
                        "base_url out."
                    )
        return self

    @cached_property
    def _server(self) -> RerankServer | None:
        if self.base_url is None:
            return None
        api_key = self.api_key.get_secret_value() if self.api_key else None
        server = Server(self.base_url, api_key=api_key, timeout=self.timeout, max_retries=self.max_retries)
        return RerankServer(server, self.model, self.instruction)

    @cached_property
    def _loaded(self) -> Loaded:
        return load(
            self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            adapter=self.adapter,
            quantize=self.quantize,
        )

    @cached_property
    def _asked(self) -> SharedPrefixes:
        """Prompts of the latest queries, up to the document: the same question comes with other documents."""
        return SharedPrefixes(_PROMPTS_BYTES)

    @cached_property
    def _direction(self) -> Tensor:
        """What a hidden state is multiplied with for the logit of its score, fp32, (hidden,).

        The row of "yes" less the row of "no" of the language model head. Conversions to sequence
        classification hold that difference as the one row of their head.

        Raises:
            ModelUnsupportedError: a classification head of several labels.
        """
        model = self._loaded.model
        if hasattr(model, "score"):
            weight = model.get_parameter("score.weight")
            if len(weight) != 1:
                raise ModelUnsupportedError(
                    f"{self.model!r} classifies into {len(weight)} labels; a reranker's head has one, whose "
                    "logit is the score. Convert it with num_labels=1, or use what it was made from."
                )
            return weight[0].float()
        weight = model.get_parameter("lm_head.weight")
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

        Equal pairs are computed once. Beside the texts, memory does not grow with the number of pairs.

        Raises:
            InputError: a query or document is no string.
            InputTooLongError: a query leaves no room for a document, or a document is too long and
                `truncate` is False.
            ModelError: the checkpoint gave scores that are not numbers.
        """
        texts = readable([text for _, text in text_pairs])
        asked = list(dict.fromkeys(query for query, _ in text_pairs))
        mended = dict(zip(asked, readable(asked), strict=True))
        pairs = [(mended[query], text) for (query, _), text in zip(text_pairs, texts, strict=True)]
        documents: dict[str, dict[str, int]] = {}  # of each query, with their first index in `pairs`
        for index, (query, text) in enumerate(pairs):
            documents.setdefault(query, {}).setdefault(text, index)
        if self._server:
            found = self._server.score_all({query: list(some) for query, some in documents.items()})
            answers = {query: dict(zip(documents[query], found[query], strict=True)) for query in found}
            return [answers[query][text] for query, text in pairs]
        scores = np.empty(len(pairs), dtype=np.float32)
        long: list[int] = []
        for queries in slices(list(documents), _QUERIES):
            heads = self._heads(set(queries))
            for batch in self._batches([heads[query] for query in queries]):
                some = {queries[i]: heads[queries[i]] for i in batch}
                indices = [index for query in some for index in documents[query].values()]
                for rows, values, cut in self._scores(some, pairs, indices):
                    scores[rows] = values
                    long += cut
        if long:
            warnings.warn(
                f"{len(long)} of {len(pairs)} documents do not fit max_length={self._limit} tokens: the ends "
                f"are not read of {named(sorted(long), texts)}. Split them, or raise max_length.",
                stacklevel=3,
            )
        return [float(scores[documents[query][text]]) for query, text in pairs]

    def _scores(
        self, heads: dict[str, list[int]], pairs: Sequence[tuple[str, str]], indices: Sequence[int]
    ) -> Iterator[tuple[list[int], NDArray[np.float32], list[int]]]:
        """Scores of the pairs `indices`, which ask `heads`: indices, scores, and indices of documents cut."""
        loaded = self._loaded
        caches, unread = self._prefixes(heads)
        for part in slices(indices, _SLICE):
            tails, cut = self._tails([pairs[i] for i in part], heads)
            for batch in self._batches(tails):
                segments = [Segment(tails[i], caches[pairs[part[i]][0]], keep=False) for i in batch]
                values = loaded.compute(partial(self._read, list(unread.values()), segments))
                for query in () if self.deterministic else unread:
                    self._asked.put(heads[query], caches[query])
                unread = {}
                if not np.isfinite(values).all():
                    raise ModelError(
                        f"{self.model!r} gave scores that are not numbers in {loaded.dtype}; try "
                        "dtype='float32', and if that gives the same, download its weights again."
                    )
                yield [part[i] for i in batch], values, [part[i] for i in batch if i in cut]

    def _read(self, heads: Sequence[Segment], segments: Sequence[Segment]) -> NDArray[np.float32]:
        """Scores of whole prompts.

        Args:
            heads: what nobody has read yet of the beginnings that the segments go on from.
            segments: the rest of each prompt.
        """
        model, together = self._loaded.model, [*heads, *segments]
        few = sum(len(one.tokens) for one in together) <= self._loaded.token_budget
        if heads and (self.deterministic or not few or not is_one_row(model, together)):
            forward(model, heads)
            together = list(segments)
        hidden = forward(model, together)
        scores: NDArray[np.float32] = torch.sigmoid(hidden.float() @ self._direction).cpu().numpy()
        return scores

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """Tokens of what every prompt begins and ends with."""
        return self._loaded.encode_prompt(RERANK_PREFIX), self._loaded.encode_prompt(RERANK_SUFFIX)

    @property
    def _limit(self) -> int:
        """Tokens of a whole prompt."""
        return min(self.max_length, self._loaded.context)

    def _batches(self, sequences: Sequence[list[int]]) -> list[list[int]]:
        """Indices of the token sequences of each forward."""
        # A budget of one token gives every sequence a forward of its own.
        budget = 1 if self.deterministic else self._loaded.token_budget
        return token_batches([len(tokens) for tokens in sequences], budget)

    def _heads(self, queries: set[str]) -> dict[str, list[int]]:
        """Tokens of each query's prompt up to the document."""
        ordered, limit = list(queries), self._limit
        encoded = encode(self._loaded, [rerank_head(self.instruction, query) for query in ordered], limit)
        prefix, suffix = self._frame
        for query, ids in zip(ordered, encoded, strict=True):
            taken = len(prefix) + len(ids) + len(suffix)
            if taken >= limit:
                raise InputTooLongError(
                    f"The query {query[:60]!r} and the instruction take {taken} of {limit} tokens, "
                    "which leaves no room for a document. Shorten the query, or raise max_length."
                )
        return {query: prefix + ids for query, ids in zip(ordered, encoded, strict=True)}

    def _tails(
        self, pairs: Sequence[tuple[str, str]], heads: dict[str, list[int]]
    ) -> tuple[list[list[int]], set[int]]:
        """Tokens of each document and the suffix, and which were cut; only the document ever is."""
        _, suffix = self._frame
        encoded = encode(self._loaded, [rerank_document(text) for _, text in pairs], self._limit)
        tails, cut = [], set()
        for index, ((query, text), ids) in enumerate(zip(pairs, encoded, strict=True)):
            room = self._limit - len(heads[query]) - len(suffix)
            if len(ids) > room:
                if not self.truncate:
                    raise InputTooLongError(
                        f"The document {text[:60]!r}... is longer than the {room} tokens that fit. "
                        "Split it, raise max_length, or set truncate=True to leave its end out."
                    )
                cut.add(index)
            tails.append(ids[:room] + suffix)
        return tails, cut

    def _prefixes(self, heads: dict[str, list[int]]) -> tuple[dict[str, KVCache], dict[str, Segment]]:
        """Keys and values of what the documents of each query share, and what is still to be read of them."""
        loaded = self._loaded
        # Those of another call were computed beside other queries, which changes their last bits.
        held = {} if self.deterministic else {query: self._asked.get(ids) for query, ids in heads.items()}
        caches = {query: cache for query, cache in held.items() if cache}
        unread = {}
        for query in [query for query in heads if query not in caches]:
            caches[query] = KVCache(loaded.model.config, loaded.dtype, loaded.device)
            unread[query] = Segment(heads[query], caches[query], read=0)
        return caches, unread


def _scored(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
