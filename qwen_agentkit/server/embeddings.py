"""Vectors of texts from a server. Knows the route, writes no instructions.

Body and answer: https://platform.openai.com/docs/api-reference/embeddings.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.errors import ServerAnswerError, ServerError, ServerRefusedError
from qwen_agentkit.prompts import END_OF_TEXT
from qwen_agentkit.server.flavors import check_model, detect_server
from qwen_agentkit.server.http import Server
from qwen_agentkit.text.readable import spell_out

__all__ = ["LOST_END", "EmbeddingServer"]

# Texts in a request, the default limit of Text Embeddings Inference; requests at the same time.
_BATCH, _PARALLEL = 32, 4

# What servers with the route /tokenize call the text, and the switch for special tokens.
_TOKENIZERS = {
    "vllm": ("prompt", "add_special_tokens"),
    "llama.cpp": ("content", "add_special"),
}


LOST_END = (
    f"its tokenizer does not end texts with {END_OF_TEXT}, where Qwen3-Embedding and its fine-tunes read the "
    "vector; convert such a checkpoint again, with a tokenizer.json whose post-processor appends it"
)
"""What is wrong with an embedder whose tokenizer lost the final token."""


class EmbeddingServer:
    """Embed with one model of a server.

    Servers differ with a text that is longer than the context: vLLM refuses it, and llama-cpp-python cuts it
    without an error.

    Args:
        server: Where it is.
        model: As the server names it.

    Attributes:
        served: The checkpoint behind the name, such as the hub id behind an alias, if the server tells it.

    Raises:
        ServerError: The server does not answer, or does not have the model.
    """

    def __init__(self, server: Server, model: str) -> None:
        models = server.models()
        flavor = detect_server(server, None, models)
        check_model(server, flavor, model, models)
        roots = {row["id"]: row.get("root") for row in models}  # vLLM and SGLang name the checkpoint there
        self.served = str(roots.get(model) or model)
        self._server, self._model, self._flavor = server, model, flavor.name
        self._format = "base64" if flavor.base64 else "float"

    @cached_property
    def dimensions(self) -> int:
        """Length of the vectors; the server is asked once."""
        return int(self._batch(["dimensions"]).shape[1])

    @cached_property
    def loses_end(self) -> bool:
        """Whether the server's tokenizer knows Qwen's end-of-text token, but ends no text with it.

        Qwen3-Embedding reads its vector there. Only vLLM and llama.cpp are asked; they have a route for it.
        """
        if self._flavor not in _TOKENIZERS:
            return False
        try:
            alone, ended = self._tokens(END_OF_TEXT, special=False), self._tokens("a", special=True)
        except (ServerError, KeyError, TypeError):
            return False  # it does not say
        return len(alone) == 1 and alone[0] not in ended

    def _tokens(self, text: str, *, special: bool) -> list[Any]:
        name, switch = _TOKENIZERS[self._flavor]
        answer = self._server.post("/tokenize", {"model": self._model, name: text, switch: special})
        return list(answer["tokens"])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vector of each text, (len(texts), dimensions), each row of length one.

        Raises:
            InputTooLongError: A text does not fit the context of the model, and the server says so.
            ServerRefusedError: The server refuses a text, such as an empty one.
            ServerAnswerError: The answer is malformed, such as zeros for an empty text.
            ServerError: There was no whole answer.
        """
        plain = spell_out(texts)
        batches = [plain[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        if not batches:
            return np.empty((0, self.dimensions), dtype=np.float32)
        try:
            with ThreadPoolExecutor(min(_PARALLEL, len(batches)), "qwen-agentkit-embed") as pool:
                parts = list(pool.map(self._batch, batches))
            if len(lengths := {part.shape[1] for part in parts}) > 1:
                raise self._malformed(f"vectors of {' and '.join(map(str, sorted(lengths)))} numbers")
            return np.concatenate(parts)
        except (ServerRefusedError, ServerAnswerError) as error:
            if "" not in texts:
                raise
            raise type(error)(
                f"{error} One of the texts is empty, and perhaps the server embeds no empty text. Leave "
                "it out."
            ) from error

    def _batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        body = {"model": self._model, "input": list(texts), "encoding_format": self._format}
        answer = self._server.post("/v1/embeddings", body)
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            numbers = [row["index"] for row in rows]
            vectors = np.stack([_vector(row["embedding"]) for row in rows])
        except (KeyError, TypeError, ValueError) as error:
            raise self._malformed("no list of vectors of one length") from error
        if vectors.ndim != 2:
            raise self._malformed("other than one vector for a text, such as one for each token")
        if numbers != list(range(len(texts))):
            raise self._malformed(f"vectors number {numbers[:8]} for {len(texts)} texts")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self._malformed("vectors that are zero, infinite or not numbers")
        unit: NDArray[np.float32] = vectors / lengths
        return unit

    def _malformed(self, what: str) -> ServerAnswerError:
        return ServerAnswerError(
            f"{self._server.root}{self._server.path('/v1/embeddings')} gave {what}; expected one numbered "
            f"vector for each text. Check that {self._model!r} is an embedding model there."
        )


def _vector(value: Any) -> NDArray[np.float32]:
    """Read numbers, or the base64 of little-endian fp32."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(value, dtype=np.float32)
