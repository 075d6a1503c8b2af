"""Scores of documents for a query from a server. Knows the routes, and which side writes the prompt.

Routes: `/v1/rerank` of Jina and Cohere, which vLLM, SGLang and llama.cpp have; vLLM's `/score`; `/rerank` of
Text Embeddings Inference. Prompt: vLLM writes none for Qwen3-Reranker unless it was started with a score
template, https://docs.vllm.ai/en/latest/models/pooling_models/scoring/; without a prompt the scores are
meaningless. A server of unknown kind may be a proxy of vLLM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from qwen_agentkit.errors import ServerAnswerError, ServerRouteError, ServerUnsupportedError
from qwen_agentkit.prompts import (
    DEFAULT_INSTRUCTION,
    RERANK_PREFIX,
    RERANK_SUFFIX,
    rerank_document,
    rerank_head,
)
from qwen_agentkit.server.flavors import check_model, detect_server
from qwen_agentkit.server.http import Server
from qwen_agentkit.text.readable import spell_out

__all__ = ["RerankServer"]

# Documents in a request, the default limit of Text Embeddings Inference; requests of a query, and queries, at
# the same time.
_BATCH, _PARALLEL = 32, 4

# A question whose answer every reranker finds if it gets the prompt that it was trained with.
_QUESTION = "What is the capital of France?"
_PROBES = ("Paris is the capital of France.", "Bananas ripen faster in a paper bag.")

# How much more the right answer has to score than the wrong one; without its head a model gives all the same.
_LEAST = 0.01

# How far rounding takes a score out of 0..1.
_ROUNDING = 1e-6

Route = Callable[[str, Sequence[str]], list[float]]


class RerankServer:
    """Score with one model of a server.

    Args:
        server: Where it is.
        model: As the server names it.
        instruction: What makes a document relevant.

    Raises:
        ServerError: The server does not answer, or does not have the model.
    """

    def __init__(self, server: Server, model: str, instruction: str) -> None:
        models = server.models()
        flavor = detect_server(server, None, models)
        check_model(server, flavor, model, models)
        self._flavor = flavor.name
        self._server, self._model, self._instruction = server, model, instruction

    def score(self, query: str, documents: Sequence[str]) -> list[float]:
        """Return the score in 0..1 of each document, in their order.

        The first document is sent alone: after it the server has cached the part of the prompt that all
        documents share.

        Raises:
            InputTooLongError: A query and a document do not fit the context of the model.
            ServerUnsupportedError: The server has no such route, or no place for the instruction.
            ServerError: There was no whole answer.
        """
        ask = self._ask
        query, *plain = spell_out([query, *documents])
        first, rest = plain[:1], plain[1:]
        scores = ask(query, first) if first else []
        batches = [rest[start : start + _BATCH] for start in range(0, len(rest), _BATCH)]
        if batches:
            with ThreadPoolExecutor(min(_PARALLEL, len(batches)), "qwen-agentkit-rerank") as pool:
                for part in pool.map(lambda batch: ask(query, batch), batches):
                    scores += part
        return scores

    def score_all(self, asked: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
        """Return the scores of each query's documents, in their order; a few queries run at the same time.

        Raises:
            InputTooLongError: A query and a document do not fit the context of the model.
            ServerError: As `score` does.
        """
        if not asked:
            return {}
        _ = self._ask  # found once here, not in each thread
        with ThreadPoolExecutor(min(_PARALLEL, len(asked)), "qwen-agentkit-queries") as pool:
            scores = pool.map(lambda query: self.score(query, asked[query]), asked)
            return dict(zip(asked, scores, strict=True))

    @cached_property
    def _ask(self) -> Route:
        """The route that the server has, with the prompt that it needs; found by trying."""
        route, scores = self._route()
        if self._flavor in ("vllm", "openai"):
            prompted = route(*_prompt(DEFAULT_INSTRUCTION, _QUESTION, _PROBES))
            # This package has to write the prompt where the right answer then stands out more.
            if _difference(prompted) > _difference(scores):
                self._check(prompted)
                return lambda query, texts: route(*_prompt(self._instruction, query, texts))
        self._check(scores)
        if self._instruction != DEFAULT_INSTRUCTION and self._flavor != "sglang":
            raise ServerUnsupportedError(
                f"instruction={self._instruction!r}, but {self._server.root} writes the prompt of its "
                "reranker itself and has no place for one. Leave it out, or serve the model with vLLM and no "
                "score template."
            )
        return route

    def _route(self) -> tuple[Route, list[float]]:
        """Return the route, and its scores of a right and of a wrong answer."""
        for route in (self._rerank, self._score, self._tei):
            try:
                return route, route(_QUESTION, _PROBES)
            except ServerRouteError:
                continue
        raise ServerUnsupportedError(
            f"{self._server.root} has none of the routes {self._server.path('/v1/rerank')}, /score and "
            "/rerank: it serves no reranker. Start one, such as `vllm serve Qwen/Qwen3-Reranker-0.6B`, or "
            "leave base_url out."
        )

    def _check(self, scores: Sequence[float]) -> None:
        """Refuse scores that do not tell right from wrong."""
        if _difference(scores) < _LEAST:
            raise ServerUnsupportedError(
                f"{self._server.root} scores a right answer {scores[0]:.3g} and a wrong one {scores[1]:.3g}: "
                f"{self._model!r} tells nothing apart there. Expected a reranker with its yes/no head; "
                "llama.cpp's converter keeps the head only if the folder's name or its README's heading "
                "contains Qwen3-Reranker. Convert it so, or serve the model with vLLM."
            )

    def _rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        body: dict[str, Any] = {"model": self._model, "query": query, "documents": list(texts)}
        if self._flavor == "sglang":
            body["instruct"] = self._instruction
        answer = self._server.post("/v1/rerank", body)
        rows = answer.get("results") if isinstance(answer, dict) else answer  # SGLang gives the list alone
        return self._sorted(rows, len(texts))

    def _score(self, query: str, texts: Sequence[str]) -> list[float]:
        # The names of the fields of all versions of vLLM; newer ones also know "queries" and "documents".
        body = {"model": self._model, "text_1": query, "text_2": list(texts)}
        answer = self._server.post("/score", body)
        return self._sorted(answer.get("data") if isinstance(answer, dict) else None, len(texts))

    def _tei(self, query: str, texts: Sequence[str]) -> list[float]:
        body = {"query": query, "texts": list(texts), "raw_scores": False}
        return self._sorted(self._server.post("/rerank", body), len(texts))

    def _sorted(self, rows: Any, count: int) -> list[float]:
        """Bring scores into the order of the documents, and check them."""
        try:
            scored = [
                (int(str(row["index"])), float(row.get("relevance_score", row.get("score")))) for row in rows
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise self._malformed("no list of scores") from error
        scored.sort()
        if (numbers := [index for index, _ in scored]) != list(range(count)):
            raise self._malformed(f"scores number {numbers[:8]} for {count} documents")
        if not all(-_ROUNDING <= score <= 1 + _ROUNDING for _, score in scored):
            raise self._malformed("scores outside of 0..1, such as raw logits")
        return [min(max(score, 0.0), 1.0) for _, score in scored]

    def _malformed(self, what: str) -> ServerAnswerError:
        return ServerAnswerError(
            f"{self._server.root} gave {what}; expected one numbered score in 0..1 for each document. Check "
            f"that {self._model!r} is a reranker there."
        )


def _difference(scores: Sequence[float]) -> float:
    return scores[0] - scores[1]


def _prompt(instruction: str, query: str, texts: Sequence[str]) -> tuple[str, list[str]]:
    """Write the trained prompt in two parts, which vLLM joins."""
    head = RERANK_PREFIX + rerank_head(instruction, query)
    return head, [rerank_document(text) + RERANK_SUFFIX for text in texts]
