"""States of hybrid models at several lengths stay right, whatever is done to a sequence and its copies."""

from __future__ import annotations

import random

import pytest
import torch

from qwen_agentkit.engine.forward.states import States


def state_at(length: int) -> float:
    """What a layer would remember of a text of this length."""
    return 7.0 * length + 3


def read(states: States, start: int, stop: int, tried: int) -> int:
    """Run a step of one layer, which writes over spare memory as linear attention does; returns how often."""
    states.begin(start, stop, tried)
    step = states.step(start, stop)
    before = step.before(0)
    assert (before is None) == (start == 0)
    assert before is None or before[0].item() == state_at(start)
    reused = 0
    for end in step.ends:
        spare = step.spare(0) if len(step.ends) == 1 else None
        reused += spare is not None
        tensor = spare[0] if spare else torch.empty(1)
        step.put(0, end, (tensor.fill_(state_at(start + end)),))
    return reused


def check(states: States, length: int) -> None:
    assert states.nearest(length) == length
    for held, layers in states._held.items():
        assert all(state[0].item() == state_at(held) for state in layers.values())


@pytest.mark.parametrize("seed", range(40))
def test_steps_cuts_and_copies_leave_every_state_right(seed: int) -> None:
    dice = random.Random(seed)
    sequences = [(States(), 0)]
    reused = 0
    for _ in range(60):
        place = dice.randrange(len(sequences))
        states, length = sequences[place]
        what = dice.choice(["step", "step", "step", "tries", "fail", "keep", "copy", "thin"])
        if what == "step":
            new = dice.choice([1, 1, 1, 5])
            reused += read(states, length, length + new, 0)
            length += new
        elif what == "tries":
            read(states, length, length + 4, 3)
            length = states.nearest(length + dice.randrange(1, 5))
            states.truncate(length)
        elif what == "fail":
            states.begin(length, length + 3, 0)
            states.truncate(length)
        elif what == "keep":
            states.keep_at([length + dice.randrange(1, 9)])
        elif what == "copy" and len(sequences) < 5:
            cut = states.nearest(dice.randrange(length + 1))
            sequences.append((states.copy(cut), cut))
        elif what == "thin":
            states.thin(length)
        sequences[place] = (states, length)
        for one in sequences:
            check(*one)
    assert reused or seed


def test_a_sequence_goes_back_to_what_it_knew_before_its_guesses() -> None:
    states = States()
    read(states, 0, 10, 0)
    read(states, 10, 15, 4)  # one token that is known, four that are guessed
    assert [states.nearest(length) for length in (15, 14, 11, 10)] == [15, 11, 11, 10]


def test_states_are_kept_where_messages_end() -> None:
    states = States()
    states.keep_at([3, 8, 20])
    assert states.coming(12) == 8
    read(states, 0, 10, 0)
    read(states, 10, 30, 0)
    assert [states.nearest(length) for length in (2, 7, 9, 29, 30)] == [0, 3, 8, 20, 30]
