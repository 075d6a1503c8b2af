"""Who we are measured against, and how each of them is set for its best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from qwen_agentkit.prompts import (
    DEFAULT_INSTRUCTION,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    rerank_document,
    rerank_head,
)
from tests.benchmarks.machine import computed, say

DTYPES = ("bfloat16", "float32")

# A batch size of a peer is its best when both its neighbors are this much slower.
WORSE = 1.1

Pairs = Sequence[tuple[str, str]]
Array = NDArray[np.float32]


@computed
def cross_encoder(place: str, device: str, dtype: str | None = None) -> CrossEncoder:
    """sentence-transformers' reranker, with our instruction; `dtype` None: as it comes."""
    return CrossEncoder(
        place,
        device=device,
        prompts={"task": DEFAULT_INSTRUCTION},
        default_prompt_name="task",
        model_kwargs={"dtype": dtype} if dtype else {},
    )


@computed
def sentence_transformer(place: str, device: str, dtype: str | None = None) -> SentenceTransformer:
    """sentence-transformers' embedder; `dtype` None: as it comes."""
    return SentenceTransformer(place, device=device, model_kwargs={"dtype": dtype} if dtype else {})


@computed
def langchain_huggingface(place: str, device: str) -> Embeddings | None:
    """LangChain's embedder as it comes, but for the query's prompt, which it would leave out; or None."""
    if find_spec("langchain_huggingface") is None:
        say("langchain-huggingface is not installed: left out")
        return None
    from langchain_huggingface import HuggingFaceEmbeddings

    found: Embeddings = HuggingFaceEmbeddings(
        model_name=place, model_kwargs={"device": device}, query_encode_kwargs={"prompt_name": "query"}
    )
    return found


@computed
def langchain_qwen3(place: str, device: str) -> Embeddings | None:
    """The embedder of the package langchain-qwen3 as it comes, or None."""
    if find_spec("langchain_qwen3") is None:
        say("langchain-qwen3 is not installed: left out")
        return None
    from langchain_qwen3 import Qwen3Embeddings

    found: Embeddings = Qwen3Embeddings(place, device=device)
    return found


class TutorialReranker:
    """How the model's card does it: a padded batch a query, and logits of every position and word.

    Args:
        place: folder of a reranker.
        device: such as "cpu".
        dtype: of the weights.
    """

    @computed
    def __init__(self, place: str, device: str, dtype: str) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(place, padding_side="left")
        self._model: Any = AutoModelForCausalLM.from_pretrained(place, dtype=dtype).eval().to(device)
        self._prefix, self._suffix = (
            self._tokenizer.encode(text, add_special_tokens=False) for text in (RERANK_PREFIX, RERANK_SUFFIX)
        )

    def ids(self, pairs: Pairs) -> list[list[int]]:
        """Token ids of each prompt."""
        prompts = [rerank_head(DEFAULT_INSTRUCTION, query) + rerank_document(text) for query, text in pairs]
        encoded = self._tokenizer(prompts, add_special_tokens=False)["input_ids"]
        return [self._prefix + ids + self._suffix for ids in encoded]

    @computed
    def score(self, pairs: Pairs) -> list[float]:
        """Probability of "yes" of each pair."""
        yes, no = (self._tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
        scores: list[float] = []
        for query in dict.fromkeys(query for query, _ in pairs):
            ids = self.ids([pair for pair in pairs if pair[0] == query])
            batch = self._tokenizer.pad({"input_ids": ids}, padding=True, return_tensors="pt")
            with torch.no_grad():
                logits = self._model(**batch.to(self._model.device)).logits[:, -1]
            both = torch.stack([logits[:, no], logits[:, yes]], dim=1).log_softmax(dim=1)
            scores += both[:, 1].exp().tolist()
        return scores


class TutorialEmbedder:
    """How the model's card does it: one padded batch, the last position of each row.

    Args:
        place: folder of an embedder.
        device: such as "cpu".
        dtype: of the weights.
    """

    @computed
    def __init__(self, place: str, device: str, dtype: str) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(place, padding_side="left")
        self._model: Any = AutoModel.from_pretrained(place, dtype=dtype).eval().to(device)

    @computed
    def embed(self, texts: Sequence[str]) -> Array:
        """Vectors, (len(texts), dimensions)."""
        batch = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=8192, return_tensors="pt"
        )
        with torch.no_grad():
            last = self._model(**batch.to(self._model.device)).last_hidden_state[:, -1]
        vectors: Array = torch.nn.functional.normalize(last.float(), dim=1).cpu().numpy()
        return vectors


def tuned(run: Callable[[str, int], Any], sizes: Sequence[int]) -> tuple[str, int, dict[str, float]]:
    """The number type and batch size that make a peer fastest, and the seconds of each that was tried.

    Both types are tried at the second smallest size, then the faster type at others, up and down from there
    for as long as that does not get worse.

    Args:
        run: does the work once in a type at a size.
        sizes: ascending.
    """
    seconds: dict[tuple[str, int], float] = {}

    def time_of(dtype: str, size: int) -> float:
        start = time.perf_counter()
        run(dtype, size)
        seconds[dtype, size] = time.perf_counter() - start
        say(f"    {dtype}, batches of {size}: {seconds[dtype, size]:.2f} s")
        return seconds[dtype, size]

    smallest, middle, *larger = sizes
    best = min(DTYPES, key=lambda dtype: time_of(dtype, middle))
    for direction in ([smallest], larger):
        for size in direction:
            if time_of(best, size) > WORSE * min(seconds.values()):
                break
    dtype, size = min(seconds, key=lambda tried: seconds[tried])
    return dtype, size, {f"{dtype}, {size}": round(spent, 3) for (dtype, size), spent in seconds.items()}
