"""`QwenEmbeddings`: Qwen3-Embedding as LangChain embeddings. Knows texts and vectors, no store."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from tqdm.auto import tqdm

from qwen_agentkit.catalog import PRESETS, preset_checkpoint
from qwen_agentkit.engine.loading import Loaded, load
from qwen_agentkit.engine.packed import Segment, forward, token_batches
from qwen_agentkit.errors import InputError, InputTooLongError, ModelError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION, END_OF_TEXT, embedding_query

__all__ = ["QwenEmbeddings"]


class QwenEmbeddings(BaseModel, Embeddings):
    """Qwen3-Embedding, in this process.

    Documents are read as they are and queries with the instruction, byte for byte as the checkpoints
    were trained; the vector is the last hidden state of a final ``<|endoftext|>``, of length one.
    Weights load at the first call and are shared by everything in the process that uses them.

    Example:
        >>> embeddings = QwenEmbeddings(model="nano")
        >>> len(embeddings.embed_query("When does the library open?"))
        512
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "Qwen/Qwen3-Embedding-0.6B"
    """Hub id, local folder, or a preset: "nano", "0.6b", "4b", "8b"."""

    instruction: str = DEFAULT_INSTRUCTION
    """What a query is for, in English whatever the language of the texts; "" for none."""

    dimensions: int | None = Field(default=None, gt=0)
    """Length of the vectors: the first so many numbers, scaled to length one (MRL). None: all."""

    max_length: int = Field(default=8192, gt=1)
    """Tokens read of a text, with the final one. Longer texts are cut, with a warning."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    device: str | None = None
    """Such as "cpu" or "cuda:0"; by default the best there is."""

    dtype: str | None = None
    """Such as "bfloat16"; by default the fastest that is accurate here."""

    show_progress: bool = False
    """Draw a progress bar while embedding documents."""

    @field_validator("model")
    @classmethod
    def _resolve_preset(cls, model: str) -> str:
        return preset_checkpoint(model, "embedding") if model in PRESETS else model

    @cached_property
    def _loaded(self) -> Loaded:
        return load(self.model, revision=self.revision, device=self.device, dtype=self.dtype, head=False)

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """What a store has to remember of the maker of its vectors."""
        return {
            "model": self._loaded.name,
            "revision": self._loaded.revision,
            "dimensions": self._dimensions(),
        }

    def with_instruction(self, instruction: str) -> QwenEmbeddings:
        """A copy with another instruction for queries, sharing the weights."""
        return self.model_copy(update={"instruction": instruction})

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the final one."""
        return [len(ids) for ids in self._loaded.encode_data(texts)]

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of documents as one array, (len(texts), dimensions), each row of length one.

        Equal texts are computed once.

        Raises:
            InputError: a text is no string, or the checkpoint has fewer dimensions than asked for.
        """
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"Text {index} is {text!r}, a {type(text).__name__}; expected a string.")
        unique = list(dict.fromkeys(texts))
        rows = {text: row for row, text in enumerate(unique)}
        return self._embed(unique)[[rows[text] for text in texts]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents, as LangChain's interface wants them."""
        vectors: list[list[float]] = self.embed_array(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Vector of a query, read with the instruction.

        Raises:
            InputTooLongError: the query does not fit: half a question has another answer.
        """
        query = embedding_query(self.instruction, text)
        [tokens] = self.count_tokens([query])
        if tokens > self._limit:
            raise InputTooLongError(
                f"The query {text[:60]!r}... has {tokens} tokens with its instruction; at most {self._limit} "
                "fit. Ask a shorter question, or raise max_length."
            )
        return self.embed_documents([query])[0]

    @property
    def _limit(self) -> int:
        """Tokens read of a text, without the final one."""
        return min(self.max_length, self._loaded.context) - 1

    def _dimensions(self) -> int:
        full = int(self._loaded.model.config.hidden_size)
        if self.dimensions and self.dimensions > full:
            raise InputError(
                f"dimensions={self.dimensions} is more than the {full} of {self.model!r}; "
                f"choose {full} or fewer."
            )
        return self.dimensions or full

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        dimensions = self._dimensions()
        ids = self._tokens(texts)
        vectors = np.empty((len(ids), dimensions), dtype=np.float32)
        loaded = self._loaded
        with tqdm(total=len(ids), unit="text", disable=not self.show_progress) as bar:
            for batch in token_batches([len(i) for i in ids], loaded.token_budget):
                with loaded.lock:
                    hidden = forward(loaded.model, [Segment(ids[i]) for i in batch])
                    cut = hidden[:, :dimensions].float()
                    vectors[batch] = torch.nn.functional.normalize(cut, dim=-1).cpu().numpy()
                bar.update(len(batch))
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"{self.model!r} gave vectors that are not numbers in {loaded.dtype}; try dtype='float32'."
            )
        return vectors

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        end = self._loaded.token_id(END_OF_TEXT)
        encoded = self._loaded.encode_data(texts)
        limit = self._limit
        long = sum(len(ids) > limit for ids in encoded)
        if long:
            warnings.warn(
                f"{long} of {len(texts)} texts are longer than max_length={limit + 1} tokens: their ends "
                "are not embedded. Split them, or raise max_length.",
                stacklevel=4,
            )
        return [[*ids[:limit], end] for ids in encoded]
