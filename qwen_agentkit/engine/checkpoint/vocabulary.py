"""The side of a checkpoint that reads and writes text, whatever computes its weights. Knows no tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer as Backend

from qwen_agentkit.engine.checkpoint.tokenizer import Tokenizer
from qwen_agentkit.errors import InputTooLongError, ModelUnsupportedError

__all__ = ["Vocabulary"]


class Vocabulary(ABC):
    """A checkpoint that can be asked for token ids.

    Attributes:
        tokenizer: The checkpoint's tokenizer.
        name: Hub id, or name of its folder or file.
        generation: Settings of generation_config.json, such as "temperature" and "eos_token_id".
    """

    tokenizer: Tokenizer
    name: str
    generation: Mapping[str, Any]

    @property
    @abstractmethod
    def context(self) -> int:
        """Longest sequence, in tokens."""

    @property
    @abstractmethod
    def model_type(self) -> str:
        """Its architecture, as config.json has it, such as "qwen3"."""

    def token_id(self, token: str) -> int:
        """Return the id of `token`.

        Raises:
            ModelUnsupportedError: The vocabulary has no such token.
        """
        number: int | None = self.tokenizer.backend_tokenizer.token_to_id(token)
        if number is None:
            raise ModelUnsupportedError(
                f"The vocabulary of {self.name!r} has no token {token!r}, so it is not a Qwen3 checkpoint "
                "of the expected kind. Use one of the names in qwen_agentkit.catalog.CHECKPOINTS."
            )
        return number

    def encode_prompt(self, text: str) -> list[int]:
        """Return the token ids of a prompt of our own, in which special tokens count."""
        return self.tokenizer.encode(text)

    def encode_data(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of texts of users, in which special tokens are plain text."""
        encoded = self._reader.encode_batch_fast(list(texts), add_special_tokens=False)
        return [one.ids for one in encoded]

    def room_after(self, prompt: Sequence[int]) -> int:
        """Return how many tokens an answer can have.

        Raises:
            InputTooLongError: It can have none.
        """
        room = self.context - len(prompt)
        if room < 1:
            raise InputTooLongError(
                f"The prompt has {len(prompt)} tokens; {self.name!r} has a context of {self.context} tokens, "
                "answer included. Send fewer messages or documents, or choose a model with a longer context."
            )
        return room

    @cached_property
    def _reader(self) -> Backend:
        """The tokenizer for texts of users; chats do without it, and it takes 50 MB."""
        return self.tokenizer.as_plain_reader()
