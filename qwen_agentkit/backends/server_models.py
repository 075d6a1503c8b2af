"""Vectors and scores from a server, as `QwenEmbeddings` and `QwenReranker` ask for them. Knows no routes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.backends.interfaces import Progress, Reading
from qwen_agentkit.catalog import family_of
from qwen_agentkit.errors import ServerUnsupportedError
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION, query_prompt
from qwen_agentkit.server.embeddings import LOST_END, EmbeddingServer
from qwen_agentkit.server.http import Server
from qwen_agentkit.server.rerank import RerankServer

__all__ = ["ServerEmbedder", "ServerReranker"]


class ServerEmbedder:
    """An `Embedder` that asks a server, which decides how texts are cut and in which number type.

    Args:
        server: Where it is.
        base_url: Its address as the caller wrote it.
        model: As the server names it.
        revision: Label of the vectors; None for what the server says that it serves.
    """

    def __init__(self, server: Server, base_url: str, model: str, revision: str | None) -> None:
        self._server, self._base_url, self.name, self._revision = server, base_url, model, revision

    @cached_property
    def _asked(self) -> EmbeddingServer:
        asked = EmbeddingServer(self._server, self.name)
        if asked.loses_end:
            warnings.warn(
                f"{self.name!r} at {self._server.root} gives other vectors: {LOST_END}.", stacklevel=2
            )
        return asked

    @property
    def revision(self) -> str:
        """See `Embedder`."""
        return self._revision or f"server: {self._asked.served}, {self.dimensions}"

    @property
    def dimensions(self) -> int:
        """See `Embedder`."""
        return self._asked.dimensions

    @property
    def document_prompt(self) -> str:
        """See `Embedder`."""
        return ""

    def query_prompt(self, instruction: str | None) -> str:
        """See `Embedder`."""
        family = family_of(self.name)
        return query_prompt(instruction, family.query_prompt if family else None)

    def limit(self, max_length: int) -> int:
        """See `Embedder`."""
        return max_length

    def cache_key(self, reading: Reading) -> dict[str, str | int | bool]:
        """See `Embedder`."""
        # Two servers may compute in two number types, and one may serve another model under this name.
        return {
            "model": self.name,
            "revision": self._revision or "",
            "server": self._base_url,
            "served": self._asked.served,
        }

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Embedder`.

        Raises:
            ServerUnsupportedError: Always, since there is no tokenizer in this process.
        """
        raise ServerUnsupportedError(
            f"The server at {self._server.root} is not asked for tokens. Count them with the checkpoint, "
            f"QwenEmbeddings(model={self.name!r}).count_tokens(texts), or by characters."
        )

    def embed(
        self, texts: Sequence[str], prompt: str, reading: Reading, progress: Progress
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """See `Embedder`."""
        vectors = self._asked.embed([prompt + text for text in texts])
        progress(len(texts))
        return vectors, [False] * len(texts)


class ServerReranker:
    """A `Reranker` that asks a server, which cuts nothing.

    Args:
        server: Where it is.
        model: As the server names it.
    """

    def __init__(self, server: Server, model: str) -> None:
        self._server, self._model = server, model
        self._asked: dict[str, RerankServer] = {}

    def limit(self, max_length: int) -> int:
        """See `Reranker`."""
        return max_length

    def score(
        self, pairs: Sequence[tuple[str, str]], instruction: str | None, reading: Reading
    ) -> tuple[list[float], list[int]]:
        """See `Reranker`."""
        texts: dict[str, list[str]] = {}
        for query, text in pairs:
            texts.setdefault(query, []).append(text)
        wanted = DEFAULT_INSTRUCTION if instruction is None else instruction
        if wanted not in self._asked:
            self._asked[wanted] = RerankServer(self._server, self._model, wanted)
        scores = self._asked[wanted].score_all(texts)
        found = {query: dict(zip(texts[query], scores[query], strict=True)) for query in texts}
        return [found[query][text] for query, text in pairs], []
