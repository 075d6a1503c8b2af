"""What there is to do: texts from a seed, their arithmetic, and how much time may be spent."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedModel

WORDS = """
the library harbour boat kiln morning price visitor member opens closes every Tuesday garden which water level
is kept under twelve degrees because fish and plants rest مكتبة الميناء 图书馆 窑炉
""".split()  # noqa: SIM905  # prose is easier to read as prose
QUERIES = (
    "At what time does the boat to the island leave on weekdays?",
    "Which days is the library closed, and who may borrow maps?",
)


@dataclass(frozen=True)
class Effort:
    """How much to do.

    Attributes:
        rounds: at most, of each comparison.
        minutes: after which no new round begins.
        quick: a tiny model and little work: whether a benchmark runs, not how fast anything is.
    """

    rounds: int = 3
    minutes: float = 9.0
    quick: bool = False
    start: float = field(default_factory=time.perf_counter)

    @property
    def size(self) -> str:
        """The checkpoint, of `shape.SIZES`."""
        return "tiny" if self.quick else "0.6b"

    def deadline(self, share: float) -> float:
        """When that share of the minutes is over, in the time of `time.perf_counter`."""
        return self.start + 60 * self.minutes * share

    def few(self, count: int) -> int:
        """That many, or a few if quick."""
        return max(2, count // 10) if self.quick else count


def texts(words: Sequence[int], seed: int = 0) -> list[str]:
    """One text of so many words each."""
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=count)) for count in words]


def passages(count: int, shortest: int = 40, longest: int = 200, seed: int = 0) -> list[str]:
    """Texts of any length between, as a retriever gives them."""
    dice = random.Random(seed)
    return texts([dice.randint(shortest, longest) for _ in range(count)], seed)


def log_normal(count: int, median: int, seed: int = 0) -> list[str]:
    """Texts whose lengths in words are spread as those of a corpus: most are short, some are long."""
    words = np.random.default_rng(seed).lognormal(np.log(median), 0.7, count)
    return texts(np.clip(words, 4, 12 * median).astype(int).tolist(), seed)


def gigaflop(model: PreTrainedModel, sequences: Sequence[tuple[int, int]]) -> float:
    """The arithmetic of token sequences, which is the same whoever does it.

    Args:
        model: a dense transformers model.
        sequences: of each the tokens already read, whose keys and values are there, and the new ones.
    """
    config = model.config
    heads, own = (config.head_dim * n for n in (config.num_attention_heads, config.num_key_value_heads))
    layer = config.hidden_size * (2 * heads + 2 * own + 3 * config.intermediate_size)
    weights = config.num_hidden_layers * layer
    tokens = sum(new for _, new in sequences)
    pairs = sum(past * new + new * (new + 1) // 2 for past, new in sequences)
    per_pair = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    return float(2 * weights * tokens + per_pair * pairs) / 1e9
