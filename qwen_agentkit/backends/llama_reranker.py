"""Scores of GGUF files by llama.cpp: of "yes" against "no" after the trained prompt. Knows token ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from qwen_agentkit.backends.interfaces import Reading
from qwen_agentkit.backends.rerank_tokens import prompt_heads, prompt_tails
from qwen_agentkit.engine.llama.model import LlamaModel, load_llama
from qwen_agentkit.engine.llama.next_token import next_token_probabilities
from qwen_agentkit.errors import ModelUnsupportedError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION

__all__ = ["LlamaReranker"]

# Documents of one call of llama.cpp.
_BATCH = 32


class LlamaReranker:
    """A `Reranker` of a GGUF file.

    Args:
        model: Path of the file.
        device: "cpu"; None for a GPU, too, where the binding was built for it.
    """

    def __init__(self, model: str, device: str | None) -> None:
        self._model, self._device = model, device

    @cached_property
    def loaded(self) -> LlamaModel:
        """The file in llama.cpp.

        Raises:
            ModelUnsupportedError: The file lacks the language model head.
        """
        loaded = load_llama(self._model, "rank", device=self._device)
        if loaded.file.ranks:
            raise ModelUnsupportedError(
                f"{loaded.name!r} was converted for the ranking of llama.cpp and lacks the language model "
                "head that scores come from. Serve it with `llama-server --reranking` and pass base_url, or "
                "take the safetensors checkpoint."
            )
        return loaded

    def limit(self, max_length: int) -> int:
        """See `Reranker`."""
        return min(max_length, self.loaded.context - 1)  # a token is chosen after the prompt

    def score(
        self, pairs: Sequence[tuple[str, str]], instruction: str | None, reading: Reading
    ) -> tuple[list[float], list[int]]:
        """See `Reranker`."""
        loaded, limit = self.loaded, self.limit(reading.max_length)
        wanted = DEFAULT_INSTRUCTION if instruction is None else instruction
        heads = prompt_heads(loaded, list(dict.fromkeys(query for query, _ in pairs)), wanted, limit)
        tails, cut = prompt_tails(loaded, pairs, heads, limit, may_cut=reading.may_cut)
        # Documents of one query follow each other, so that what their prompts share is read once.
        places = {query: place for place, query in enumerate(heads)}
        order = sorted(range(len(pairs)), key=lambda index: places[pairs[index][0]])
        yes, no = (loaded.token_id(word) for word in ("yes", "no"))
        scores = [0.0] * len(pairs)
        size = 1 if reading.deterministic else _BATCH
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            prompts = [heads[pairs[index][0]] + tails[index] for index in batch]
            found = next_token_probabilities(loaded, prompts, [yes, no], reuse=not reading.deterministic)
            for index, (score, _) in zip(batch, found, strict=True):
                scores[index] = score
        return scores, sorted(cut)
