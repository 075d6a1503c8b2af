"""Reranking: `QwenReranker` against sentence-transformers' CrossEncoder and the model card's own way."""

from __future__ import annotations

from functools import cache
from typing import Any

from sentence_transformers import CrossEncoder

from qwen_agentkit import QwenReranker
from qwen_agentkit.backends.interfaces import Reading
from qwen_agentkit.prompts import DEFAULT_INSTRUCTION
from tests.benchmarks import peers, shape
from tests.benchmarks.machine import OURS, Limits, Run, add_shares, computed, interleaved, machine, say
from tests.benchmarks.peers import Pairs
from tests.benchmarks.work import QUERIES, Effort, gigaflop, passages, texts

SIZES = (2, 4, 8, 16, 32)  # batches of the peer; 32 is its default

# Number types and batches change the last bits: random bf16 weights moved a score by 0.02 at most.
TOLERANCE = 0.05


class Rerankers:
    """Ours and the peers on one checkpoint; `prepare` before the first comparison.

    Args:
        place: folder of a reranker.
        device: such as "cpu".
    """

    def __init__(self, place: str, device: str = "cpu") -> None:
        self.ours = QwenReranker(model=place, device=device)
        self.tuning: dict[str, float] = {}
        self._place, self._device = place, device
        self._best = ("bfloat16", 32)
        self.encoder = cache(self._encoder)
        self.tutorial = cache(self._tutorial)

    def _encoder(self, dtype: str | None) -> CrossEncoder:
        return peers.cross_encoder(self._place, self._device, dtype)

    def _tutorial(self, dtype: str) -> peers.TutorialReranker:
        return peers.TutorialReranker(self._place, self._device, dtype)

    def prepare(self, pairs: Pairs, sizes: tuple[int, ...] = SIZES) -> None:
        """Check that all read the same token ids, warm everyone up, and find the peer's best settings.

        Raises:
            RuntimeError: they do not; their times could not be compared.
        """
        ids = self.ids(pairs)
        encoder = self.encoder(None)
        batch = encoder.preprocess(list(pairs), prompt=DEFAULT_INSTRUCTION)
        theirs = [
            row[mask.bool()].tolist()
            for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
        if not ids == theirs == self.tutorial("bfloat16").ids(pairs):
            raise RuntimeError("The rerankers read different token ids; their times cannot be compared.")
        few = pairs[:2]
        self.score(few)
        for dtype in (None, *peers.DTYPES):
            self.predict(few, dtype)
        dtype, size, self.tuning = peers.tuned(lambda dtype, size: self.predict(pairs, dtype, size), sizes)
        self._best = dtype, size
        self.tutorial(dtype).score(few)

    def ids(self, pairs: Pairs) -> list[list[int]]:
        """What ours reads, token ids of each whole prompt."""
        heads, tails = self._tokens(pairs)
        return [heads[query] + tail for (query, _), tail in zip(pairs, tails, strict=True)]

    def _tokens(self, pairs: Pairs) -> tuple[dict[str, list[int]], list[list[int]]]:
        """What ours reads of each query, up to the document, and of each document."""
        ours, reading = self.ours._backend, Reading(self.ours.max_length, may_cut=True, deterministic=False)
        heads = ours.heads(list({query for query, _ in pairs}), None, reading)
        return heads, ours.tails(pairs, heads, reading)[0]

    def score(self, pairs: Pairs, *, held: bool = False) -> list[float]:
        """Scores of ours; `held`: with what it holds of a query that was asked before."""
        if not held:
            self.ours._backend.prompts.clear()
        return self.ours.score(pairs)

    @computed
    def predict(self, pairs: Pairs, dtype: str | None, size: int = 32) -> list[float]:
        """Scores of sentence-transformers."""
        scores = self.encoder(dtype).predict(list(pairs), batch_size=size, show_progress_bar=False)
        return [float(score) for score in scores]

    def runs(self, pairs: Pairs) -> dict[str, Run]:
        """Everyone, by name."""
        dtype, size = self._best
        return {
            OURS: lambda: self.score(pairs),
            "cross_encoder_as_it_comes": lambda: self.predict(pairs, None),
            f"cross_encoder_{dtype}_batch_{size}": lambda: self.predict(pairs, dtype, size),
            f"tutorial_{dtype}": lambda: self.tutorial(dtype).score(pairs),
        }

    def work(self, pairs: Pairs, *, held: bool = False) -> dict[str, float]:
        """Tokens and arithmetic, with a query's part counted once, or not at all if it is held."""
        heads, tails = self._tokens(pairs)
        sequences = [(len(heads[query]), len(tail)) for (query, _), tail in zip(pairs, tails, strict=True)]
        if not held:
            sequences += [(0, len(head)) for head in heads.values()]
        return {
            "documents": len(pairs),
            "tokens": sum(map(len, self.ids(pairs))),
            "tokens_to_compute": sum(new for _, new in sequences),
            "gigaflop": gigaflop(self.ours._backend.loaded.model, sequences),
        }


def compared(rerankers: Rerankers, pairs: Pairs, effort: Effort, share: float) -> dict[str, Any]:
    """Everyone on some pairs, in rounds."""
    deadline = effort.deadline(share)
    found = interleaved(
        rerankers.runs(pairs),
        effort.rounds,
        apart=apart,
        tolerance=TOLERANCE,
        warm_up=False,
        deadline=deadline,
    )
    return {**rerankers.work(pairs), **found}


def again(rerankers: Rerankers, effort: Effort) -> dict[str, Any]:
    """A question asked before, with four new documents."""
    pairs = [(QUERIES[0], text) for text in passages(4, seed=4)]
    rerankers.score([(QUERIES[0], "seen before")])
    runs = {f"{OURS}_new_question": lambda: rerankers.score(pairs), **rerankers.runs(pairs)}
    runs[OURS] = lambda: rerankers.score(pairs, held=True)
    deadline = effort.deadline(1)
    found = interleaved(runs, effort.rounds, apart=apart, tolerance=TOLERANCE, deadline=deadline)
    return {**rerankers.work(pairs, held=True), **found}


def apart(left: list[float], right: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of this module, with what the machine can do before and after."""
    limits = Limits(quick=effort.quick)
    rerankers = Rerankers(str(shape.folder(effort.size)))
    rag = [(query, text) for n, query in enumerate(QUERIES) for text in passages(effort.few(12), seed=n)]
    short = [(QUERIES[0], text) for text in texts([45] * effort.few(24))]  # 60 tokens
    long = [(QUERIES[0], text) for text in texts([680] * effort.few(4))]  # 900 tokens
    say("  settings of the peer:")
    rerankers.prepare(rag)
    cases = {}
    for name, pairs, share in (("rag", rag, 0.7), ("short", short, 0.82), ("long", long, 0.97)):
        cases[name] = compared(rerankers, pairs, effort, share)
        say(f"  {name}: {cases[name]['times_slower_than_ours']}")
    cases["again"] = again(rerankers, effort)
    say(f"  again: {cases['again']['times_slower_than_ours']}")
    found = limits.after()
    add_shares(cases, found["limit_gigaflops"])
    return {
        **machine(),
        **found,
        "dtype": str(rerankers.ours._backend.loaded.dtype),
        "seconds_of_settings": rerankers.tuning,
        "cases": cases,
    }
