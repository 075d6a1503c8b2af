"""Vectors and scores of models that sentence-transformers runs. Knows texts, no files.

Slow to import: import it only for such a model.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, SentenceTransformer

from qwen_agentkit.backends.choosing import saved_prompts
from qwen_agentkit.backends.interfaces import Progress, Reading, refuse_cut_texts
from qwen_agentkit.backends.sentence_loading import LoadedModel, Source, load_model, saved_dimensions
from qwen_agentkit.errors import InputError, InputTooLongError, ModelError, ModelUnsupportedError
from qwen_agentkit.prompts import query_prompt

__all__ = ["CrossEncoderReranker", "SentenceEmbedder"]


class SentenceEmbedder:
    """An `Embedder` that sentence-transformers runs, with the prompts, pooling and layers of its folder.

    Args:
        model: Hub id or local folder.
        **settings: Those of `ModelSettings`; `adapter` and `quantize` are refused.

    Raises:
        InputError: A setting cannot be used with such a model.
    """

    def __init__(self, model: str, **settings: Any) -> None:
        self._source = Source(model, **settings)
        if not (self._source.folder / "modules.json").is_file():
            warnings.warn(
                f"{model!r} has no modules.json, which says how vectors are pooled. Then "
                "sentence-transformers takes the mean of all tokens, or the last token of a causal language "
                "model. Save the model with sentence-transformers to choose.",
                stacklevel=4,
            )

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model in memory."""
        return load_model(SentenceTransformer, self._source)

    @property
    def name(self) -> str:
        """See `Embedder`."""
        return self._source.name

    @property
    def revision(self) -> str:
        """See `Embedder`."""
        return self._source.revision

    @cached_property
    def dimensions(self) -> int:
        """See `Embedder`."""
        return saved_dimensions(self._source.folder) or int(self.loaded.model.get_embedding_dimension() or 0)

    @cached_property
    def _prompts(self) -> dict[str, str]:
        return saved_prompts(self._source.folder)

    @property
    def document_prompt(self) -> str:
        """See `Embedder`."""
        return self._prompts.get("document", "")

    def query_prompt(self, instruction: str | None) -> str:
        """See `Embedder`."""
        return query_prompt(instruction, self._prompts.get("query", ""))

    def limit(self, max_length: int) -> int:
        """See `Embedder`."""
        return self.loaded.limit(max_length)

    def cache_key(self, reading: Reading) -> dict[str, str | int | bool]:
        """See `Embedder`."""
        return {
            "model": self.name,
            "revision": self.revision,
            "dtype": self._source.dtype or "saved",
            "tokens": reading.max_length,
            "deterministic": reading.deterministic,
            "query": reading.query,  # some models have other layers for queries
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`."""
        return [len(ids) for ids in self.loaded.encode(texts, special=False)]

    def embed(
        self, texts: Sequence[str], prompt: str, reading: Reading, progress: Progress
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """See `Embedder`."""
        loaded, limit = self.loaded, self.limit(reading.max_length)
        lengths = [len(ids) for ids in loaded.encode([prompt + text for text in texts])]
        cut = [length > limit for length in lengths]
        if not reading.may_cut:
            refuse_cut_texts(texts, cut, limit)
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for batch in loaded.batches([min(length, limit) for length in lengths], reading):
            encode = loaded.model.encode_query if reading.query else loaded.model.encode_document
            run = partial(self._encode, encode, [texts[i] for i in batch], prompt, limit)
            vectors[batch] = loaded.compute(run)
            if not np.isfinite(vectors[batch]).all():
                raise _not_numbers("vectors", self.name)
            progress(len(batch))
        lengths_of_rows = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths_of_rows, np.float32(1e-12)), cut

    def _encode(
        self, encode: Callable[..., Any], texts: list[str], prompt: str, limit: int
    ) -> NDArray[np.float32]:
        self.loaded.set_limit(limit)
        vectors = encode(texts, prompt=prompt, batch_size=len(texts), show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


class CrossEncoderReranker:
    """A `Reranker` that sentence-transformers runs: a cross-encoder with one logit.

    Args:
        model: Hub id or local folder.
        **settings: Those of `ModelSettings`; `adapter` and `quantize` are refused.

    Raises:
        InputError: A setting cannot be used with such a model.
    """

    def __init__(self, model: str, **settings: Any) -> None:
        self._source = Source(model, **settings)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model in memory.

        Raises:
            ModelUnsupportedError: It has several labels.
        """
        loaded = load_model(CrossEncoder, self._source)
        if (labels := loaded.model.num_labels) != 1:
            raise ModelUnsupportedError(
                f"{self._source.name!r} classifies into {labels} labels; a reranker has one, whose logit is "
                "the score. Choose a cross-encoder that was trained to rank."
            )
        return loaded

    def limit(self, max_length: int) -> int:
        """See `Reranker`."""
        return self.loaded.limit(max_length)

    def score(
        self, pairs: Sequence[tuple[str, str]], instruction: str | None, reading: Reading
    ) -> tuple[list[float], list[int]]:
        """See `Reranker`.

        Raises:
            InputError: There is an instruction, which cross-encoders do not read.
        """
        if instruction:
            raise InputError(
                f"instruction={instruction!r} is not read by {self._source.name!r}, a cross-encoder that was "
                "trained without one. Leave it out."
            )
        loaded, limit = self.loaded, self.limit(reading.max_length)
        fitting, lengths, cut = self._fit(pairs, limit, may_cut=reading.may_cut)
        scores = np.empty(len(pairs), dtype=np.float32)
        for batch in loaded.batches(lengths, reading):
            scores[batch] = loaded.compute(partial(self._predict, [fitting[i] for i in batch], limit))
            if not np.isfinite(scores[batch]).all():
                raise _not_numbers("scores", self._source.name)
        return scores.tolist(), cut

    def _fit(
        self, pairs: Sequence[tuple[str, str]], limit: int, *, may_cut: bool
    ) -> tuple[list[tuple[str, str]], list[int], list[int]]:
        """Cut documents to what fits beside their queries; pairs, their lengths, and indices of cut ones."""
        loaded = self.loaded
        queries = dict.fromkeys(query for query, _ in pairs)
        taken = dict(zip(queries, map(len, loaded.encode(list(queries), special=False)), strict=True))
        documents = loaded.tokenizer.encode_batch([text for _, text in pairs], add_special_tokens=False)
        special = loaded.tokenizer.num_special_tokens_to_add(is_pair=True)
        fitting, lengths, cut = [], [], []
        for index, ((query, text), document) in enumerate(zip(pairs, documents, strict=True)):
            room = limit - taken[query] - special
            if room < 1:
                raise InputTooLongError(
                    f"The query {query[:60]!r} takes {taken[query]} of {limit} tokens, which leaves no room "
                    "for a document. Shorten the query, or raise max_length if the model reads more."
                )
            if len(document.ids) > room:
                if not may_cut:
                    refuse_cut_texts([text], [True], room)
                cut.append(index)
                text = text[: document.offsets[room - 1][1]]
            fitting.append((query, text))
            lengths.append(min(len(document.ids), room) + taken[query] + special)
        return fitting, lengths, cut

    def _predict(self, pairs: list[tuple[str, str]], limit: int) -> NDArray[np.float32]:
        self.loaded.set_limit(limit)
        model = self.loaded.model
        own = model.activation_fn
        # Some are saved to give bare logits, which are no scores in 0..1.
        activation = torch.nn.Sigmoid() if isinstance(own, torch.nn.Identity) else own
        scores = np.asarray(
            model.predict(pairs, batch_size=len(pairs), activation_fn=activation, show_progress_bar=False)
        )
        if (scores < 0).any() or (scores > 1).any():
            raise ModelUnsupportedError(
                f"{self._source.name!r} gives scores outside of 0..1 by its activation {own!r}; expected a "
                "sigmoid or none. Choose another cross-encoder."
            )
        return scores


def _not_numbers(what: str, name: str) -> ModelError:
    return ModelError(
        f"{name!r} gave {what} that are not numbers. Try dtype='float32', and if that gives the same, "
        "download its weights again."
    )
