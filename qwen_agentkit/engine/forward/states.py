"""States of layers that sum up all tokens so far, kept at several lengths. Knows tensors, no tokens.

Keys and values can be cut anywhere. A state that sums up the tokens cannot, so copies of it are kept where a
sequence may be continued or cut: at the boundaries of its messages, and before tokens that are only tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from torch import Tensor

__all__ = ["MOST_HELD", "State", "States", "StepStates"]

State: TypeAlias = tuple[Tensor, ...]
"""What one layer remembers of all tokens so far. A layer never changes one that is held."""

# Boundaries at which states are kept: the first, which other conversations share, and the latest.
_MOST_KEPT = 6

MOST_HELD = _MOST_KEPT + 3
"""Most lengths at which a sequence has states: where a step begins, ends, and may be taken back, too."""


class StepStates:
    """The states of one sequence in one step, for all layers.

    Attributes:
        ends: Numbers of tokens of the step after which each layer has to `put` its state, in order.
    """

    def __init__(
        self,
        before: Mapping[int, State],
        after: Mapping[int, dict[int, State]],
        spare: Mapping[int, State],
    ) -> None:
        self.ends = sorted(after)
        self._before = before
        self._after = after
        self._spare = spare

    def before(self, layer: int) -> State | None:
        """Return the state of a layer before the step; None if there were no tokens."""
        return self._before.get(layer)

    def spare(self, layer: int) -> State | None:
        """Return a state of a layer that nobody needs, to be written over; None if there is none."""
        return self._spare.get(layer)

    def put(self, layer: int, end: int, state: State) -> None:
        """Keep the state of a layer after the first `end` tokens of the step."""
        self._after[end][layer] = state


class States:
    """The states of one sequence at several lengths, in all layers that have one. Copies share them."""

    def __init__(self) -> None:
        self._held: dict[int, dict[int, State]] = {0: {}}  # by length, then by layer
        self._wanted: list[int] = []
        self._shared = 0  # length up to which other copies have the states, too
        self._spare: dict[int, State] = {}

    @property
    def bytes(self) -> int:
        """Memory of all states, in bytes."""
        layers = [layer for states in self._held.values() for layer in states.values()]
        return sum(tensor.nbytes for state in layers for tensor in state)

    def keep_at(self, lengths: Iterable[int]) -> None:
        """Keep states at these lengths, too, once they are reached: the first and the latest of all."""
        self._want(sorted({*self._wanted, *lengths}), _MOST_KEPT)

    def nearest(self, length: int) -> int:
        """Return the greatest length up to `length` whose states are held."""
        return max(held for held in self._held if held <= length)

    def coming(self, length: int) -> int:
        """Return the greatest length up to `length` whose states are held or will be kept."""
        return max([self.nearest(length), *(wanted for wanted in self._wanted if wanted <= length)])

    def begin(self, start: int, stop: int, tried: int) -> None:
        """Prepare a step from one length to another, whose last `tried` tokens may be taken back."""
        # Fresh memory costs more than the arithmetic of a step: the system has to clear each page.
        self._spare = next(iter(self._drop(start).values()), {})
        ends = {stop - tried, stop, *(wanted for wanted in self._wanted if start < wanted < stop)}
        for end in ends - {start}:
            self._held[end] = {}

    def step(self, start: int, stop: int) -> StepStates:
        """Return the states for the step that was prepared last, or for one that keeps nothing."""
        after = {end - start: states for end, states in self._held.items() if start < end <= stop}
        return StepStates(self._held[start], after, self._spare if after else {})

    def truncate(self, length: int) -> None:
        """Drop all states after a length."""
        self._held = {held: states for held, states in self._held.items() if held <= length}

    def copy(self, length: int) -> States:
        """Return the states up to a length, which are shared."""
        other = States()
        other._held = {held: states for held, states in self._held.items() if held <= length}
        other._wanted = [wanted for wanted in self._wanted if wanted <= length]
        self._shared, other._shared = max(self._shared, length), length
        return other

    def thin(self, length: int) -> None:
        """Drop all states but those at `length`, and at the first and the last that are to be kept."""
        self._want(self._wanted, 2)
        self._drop(length)
        self._spare = {}

    def _want(self, lengths: list[int], most: int) -> None:
        self._wanted = [*lengths[:1], *lengths[1:][1 - most :]]

    def _drop(self, length: int) -> dict[int, dict[int, State]]:
        """Drop what is not needed to go on from a length; returns what no copy has."""
        kept = {0, length, *self._wanted}
        dropped = {n: states for n, states in self._held.items() if n not in kept and n > self._shared}
        self._held = {held: states for held, states in self._held.items() if held in kept}
        return dropped
