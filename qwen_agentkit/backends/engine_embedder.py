"""Vectors of Qwen's decoders by the packed engine. Knows token ids and tensors, no instructions.

The vector of a text is the last hidden state of a final end-of-text token, scaled to length one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qwen_agentkit.backends.choosing import longest_text, saved_prompts
from qwen_agentkit.backends.embed_tokens import embed_tokens
from qwen_agentkit.backends.interfaces import Progress, Reading
from qwen_agentkit.engine.checkpoint.identity import Identity, identify
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, forward, token_batches
from qwen_agentkit.errors import ModelError
from qwen_agentkit.prompts import query_prompt

__all__ = ["EngineEmbedder"]


class EngineEmbedder:
    """An `Embedder` of Qwen's decoder family.

    Args:
        model: Hub id, local folder, GGUF file, or the name of a bundled nano checkpoint.
        **settings: Those of `load` that all models have.
    """

    def __init__(self, model: str, **settings: Any) -> None:
        self._model, self._settings = model, settings
        self._prompts: dict[str, tuple[list[int], KVCache]] = {}

    @cached_property
    def identity(self) -> Identity:
        """What is known of the checkpoint before its weights are loaded."""
        return identify(self._model, **self._settings)

    @cached_property
    def loaded(self) -> Loaded:
        """The checkpoint, without its language model head."""
        return load(self._model, head=False, **self._settings)

    @property
    def name(self) -> str:
        """See `Embedder`."""
        return self.identity.name

    @property
    def revision(self) -> str:
        """See `Embedder`."""
        return self.identity.revision

    @property
    def dimensions(self) -> int:
        """See `Embedder`."""
        return int(self.identity.config.hidden_size)

    @cached_property
    def _saved_prompts(self) -> dict[str, str]:
        return saved_prompts(self.identity.folder)

    @property
    def document_prompt(self) -> str:
        """See `Embedder`."""
        return self._saved_prompts.get("document", "")

    def query_prompt(self, instruction: str | None) -> str:
        """See `Embedder`."""
        saved = self._saved_prompts.get("query")
        if saved is None and instruction is None and (self.identity.folder / "modules.json").is_file():
            return ""  # a folder in sentence-transformers' format that names no prompt has none
        return query_prompt(instruction, saved)

    def limit(self, max_length: int) -> int:
        """See `Embedder`."""
        saved = longest_text(self.identity.folder)
        return min(max_length, int(self.identity.config.max_position_embeddings), saved or max_length)

    def cache_key(self, reading: Reading) -> dict[str, str | int | bool]:
        """See `Embedder`."""
        return {
            "model": self.name,
            "revision": self.revision,
            "dtype": str(self.identity.dtype),
            "tokens": self.limit(reading.max_length) - 1,
            "deterministic": reading.deterministic,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`."""
        return [len(ids) for ids in self.loaded.encode_data(texts)]

    def embed(
        self, texts: Sequence[str], prompt: str, reading: Reading, progress: Progress
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """See `Embedder`."""
        loaded, limit = self.loaded, self.limit(reading.max_length)
        whole, cut = embed_tokens(loaded, texts, prompt, limit, reading)
        segments = [self._segment(tokens, prompt) for tokens in whole]
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        # A budget of one token gives every text a forward of its own.
        budget = 1 if reading.deterministic else loaded.token_budget
        for batch in token_batches([len(segment.tokens) for segment in segments], budget):
            some = [segments[i] for i in batch]
            vectors[batch] = loaded.joined.run((), some, _unit_rows, budget, alone=reading.deterministic)
            if not np.isfinite(vectors[batch]).all():
                raise ModelError(
                    f"{self.name!r} gave vectors that are not numbers in {loaded.dtype}; try "
                    "dtype='float32', and if that gives the same, download its weights again."
                )
            progress(len(batch))
        return vectors, cut

    def _segment(self, tokens: list[int], prompt: str) -> Segment:
        """Return the tokens that are still to be run; those of the prompt were run before."""
        if not prompt:
            return Segment(tokens)
        head, cache = self._prompt_states(prompt)
        if tokens[: len(head)] != head:
            return Segment(tokens)
        return Segment(tokens[len(head) :], cache, keep=False)

    def _prompt_states(self, prompt: str) -> tuple[list[int], KVCache]:
        """Return the tokens of a prompt with their keys and values, computed at its first use."""
        if prompt not in self._prompts:
            loaded = self.loaded
            # The last token of the prompt may be one token with what a text begins with.
            tokens = loaded.encode_data([prompt])[0][:-1]
            cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
            if tokens:
                loaded.compute(partial(forward, loaded.model, [Segment(tokens, cache)]))
            self._prompts[prompt] = tokens, cache
        return self._prompts[prompt]


def _unit_rows(hidden: Tensor) -> NDArray[np.float32]:
    """Return the hidden states, (texts, hidden), scaled to length one."""
    rows: NDArray[np.float32] = torch.nn.functional.normalize(hidden.float(), dim=-1).cpu().numpy()
    return rows
