"""Scores of Qwen's rerankers by the packed engine. Knows token ids and tensors.

A score is the probability of "yes" against "no" as the next token of the checkpoint's prompt: sigmoid of the
difference of the two logits. No other row of the vocabulary is computed. Documents of one query share the
keys and values of the prompt up to the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qwen_agentkit.backends.interfaces import Reading
from qwen_agentkit.backends.rerank_tokens import prompt_heads, prompt_tails
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, token_batches
from qwen_agentkit.engine.forward.prefixes import SharedPrefixes
from qwen_agentkit.errors import ModelError, ModelUnsupportedError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION
from qwen_agentkit.text.readable import slices

__all__ = ["EngineReranker"]

# Queries and documents tokenized at once: bounds memory, and is enough to fill every batch.
_QUERIES, _SLICE = 256, 1024

# Most memory for the prompts of earlier queries, in bytes: about 30 of them at 0.6B in bf16.
_PROMPTS_BYTES = 256 << 20


class EngineReranker:
    """A `Reranker` of Qwen's decoder family.

    Args:
        model: Hub id, local folder, GGUF file, or the name of a bundled nano checkpoint.
        **settings: Those of `load` that all models have.
    """

    def __init__(self, model: str, **settings: Any) -> None:
        self._model, self._settings = model, settings
        # Prompts of the latest queries, up to the document: the same question comes with other documents.
        self.prompts = SharedPrefixes(_PROMPTS_BYTES)

    @cached_property
    def loaded(self) -> Loaded:
        """The checkpoint."""
        return load(self._model, **self._settings)

    def limit(self, max_length: int) -> int:
        """See `Reranker`."""
        return min(max_length, self.loaded.context)

    def score(
        self, pairs: Sequence[tuple[str, str]], instruction: str | None, reading: Reading
    ) -> tuple[list[float], list[int]]:
        """See `Reranker`."""
        indices: dict[str, list[int]] = {}  # of the pairs of each query
        for index, (query, _) in enumerate(pairs):
            indices.setdefault(query, []).append(index)
        scores = np.empty(len(pairs), dtype=np.float32)
        cut: list[int] = []
        for queries in slices(list(indices), _QUERIES):
            heads = self.heads(queries, instruction, reading)
            for batch in self._batches([heads[query] for query in queries], reading):
                some = {queries[i]: heads[queries[i]] for i in batch}
                wanted = [index for query in some for index in indices[query]]
                for rows, values, long in self._score_pairs(some, pairs, wanted, reading):
                    scores[rows] = values
                    cut += long
        return scores.tolist(), cut

    def heads(
        self, queries: Sequence[str], instruction: str | None, reading: Reading
    ) -> dict[str, list[int]]:
        """Return the tokens of each query's prompt up to the document."""
        wanted = DEFAULT_INSTRUCTION if instruction is None else instruction
        return prompt_heads(self.loaded, queries, wanted, self.limit(reading.max_length))

    def tails(
        self, pairs: Sequence[tuple[str, str]], heads: dict[str, list[int]], reading: Reading
    ) -> tuple[list[list[int]], set[int]]:
        """Return the tokens of each document with the suffix, and the indices of documents that were cut."""
        limit = self.limit(reading.max_length)
        return prompt_tails(self.loaded, pairs, heads, limit, may_cut=reading.may_cut)

    def _score_pairs(
        self,
        heads: dict[str, list[int]],
        pairs: Sequence[tuple[str, str]],
        indices: Sequence[int],
        reading: Reading,
    ) -> Iterator[tuple[list[int], NDArray[np.float32], list[int]]]:
        """Score the pairs `indices`, whose queries have `heads`; indices, scores, and indices of cut ones."""
        loaded = self.loaded
        caches, unread = self._prefixes(heads, reading)
        budget = self._budget(reading)
        for part in slices(indices, _SLICE):
            tails, cut = self.tails([pairs[i] for i in part], heads, reading)
            for batch in self._batches(tails, reading):
                segments = [Segment(tails[i], caches[pairs[part[i]][0]], keep=False) for i in batch]
                values = loaded.joined.run(
                    list(unread.values()), segments, self._finish, budget, alone=reading.deterministic
                )
                for query in () if reading.deterministic else unread:
                    self.prompts.put(heads[query], caches[query])
                unread = {}
                if not np.isfinite(values).all():
                    raise ModelError(
                        f"{self._model!r} gave scores that are not numbers in {loaded.dtype}; try "
                        "dtype='float32', and if that gives the same, download its weights again."
                    )
                yield [part[i] for i in batch], values, [part[i] for i in batch if i in cut]

    def _finish(self, hidden: Tensor) -> NDArray[np.float32]:
        """Return the scores of hidden states, (pairs, hidden)."""
        scores: NDArray[np.float32] = torch.sigmoid(hidden.float() @ self._direction).cpu().numpy()
        return scores

    @cached_property
    def _direction(self) -> Tensor:
        """What a hidden state is multiplied with for the logit of its score, fp32, (hidden,).

        The row of "yes" minus the row of "no" of the language model head. Conversions to sequence
        classification hold that difference as the one row of their head.

        Raises:
            ModelUnsupportedError: The classification head has several labels.
        """
        model = self.loaded.model
        if hasattr(model, "score"):
            weight: Tensor = model.get_parameter("score.weight")
            if len(weight) != 1:
                raise ModelUnsupportedError(
                    f"{self._model!r} classifies into {len(weight)} labels; a reranker's head has one, whose "
                    "logit is the score. Convert it with num_labels=1, or use what it was made from."
                )
            return weight[0].float()
        weight = model.get_parameter("lm_head.weight")
        yes, no = (self.loaded.token_id(word) for word in ("yes", "no"))
        return weight[yes].float() - weight[no].float()

    def _batches(self, sequences: Sequence[list[int]], reading: Reading) -> list[list[int]]:
        """Return the indices of the token sequences of each forward."""
        return token_batches([len(tokens) for tokens in sequences], self._budget(reading))

    def _budget(self, reading: Reading) -> int:
        """Return the most tokens of a forward; one token gives every sequence a forward of its own."""
        return 1 if reading.deterministic else self.loaded.token_budget

    def _prefixes(
        self, heads: dict[str, list[int]], reading: Reading
    ) -> tuple[dict[str, KVCache], dict[str, Segment]]:
        """Return the keys and values of each query's prompt, and the segments still to be run for them."""
        loaded = self.loaded
        # Those of another call were computed beside other queries, which changes their last bits.
        held = {} if reading.deterministic else {query: self.prompts.get(ids) for query, ids in heads.items()}
        caches = {query: cache for query, cache in held.items() if cache}
        unread = {}
        for query in [query for query in heads if query not in caches]:
            caches[query] = KVCache(loaded.model.config, loaded.dtype, loaded.device)
            unread[query] = Segment(heads[query], caches[query], read=0)
        return caches, unread
