"""Pieces of streamed tool calls, as servers number and name them, joined to whole calls or to none."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_agentkit.chat.parsing import CallEvent
from qwen_agentkit.server.calls import StreamedCalls

ARGUMENTS = '{"pattern": "tmp-*"}'
A, B = ARGUMENTS[:7], ARGUMENTS[7:]

Piece = tuple[Any, str, str, Any]


def join(pieces: list[Piece]) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """Return the calls, and the number of invalid ones."""
    calls = StreamedCalls()
    for piece in pieces:
        calls.add(*piece)
    events = list(calls.read())
    valid = [(event.call["name"], event.call["args"]) for event in events if isinstance(event, CallEvent)]
    return valid, len(events) - len(valid)


WIPE = ("wipe", {"pattern": "tmp-*"})
LOOK = ("look", {"pattern": "tmp-*"})

WHOLE: dict[str, tuple[list[Piece], list[Any]]] = {
    "id in the first piece only": ([(0, "i", "wipe", ""), (0, "", "", A), (0, "", "", B)], [WIPE]),
    "another id in the second piece": ([(0, "i", "wipe", ""), (0, "j", "", ARGUMENTS)], [WIPE]),
    "a new id in every piece": ([(0, "i", "wipe", ""), (0, "j", "", A), (0, "k", "", B)], [WIPE]),
    "the first id differs": ([(0, "i", "wipe", A), (0, "j", "", B), (0, "j", "", "")], [WIPE]),
    "two calls, new ids, interleaved": (
        [(0, "i", "wipe", ""), (1, "j", "look", ""), (0, "k", "", ARGUMENTS), (1, "l", "", ARGUMENTS)],
        [WIPE, LOOK],
    ),
    "one index, told apart by ids": (
        [(0, "i", "wipe", A), (0, "j", "look", A), (0, "i", "", B), (0, "j", "", B)],
        [WIPE, LOOK],
    ),
    "one index, whole calls, other ids": (
        [(0, "i", "wipe", ARGUMENTS), (0, "j", "wipe", ARGUMENTS)],
        [WIPE, WIPE],
    ),
    "one index, whole calls, no ids": (
        [(0, "", "wipe", ARGUMENTS), (0, "", "wipe", ARGUMENTS), (0, "", "look", ARGUMENTS)],
        [WIPE, WIPE, LOOK],
    ),
    "no index, id and name in every piece": (
        [(None, "i", "wipe", ""), (None, "i", "wipe", A), (None, "i", "wipe", B), (None, "i", "wipe", "")],
        [WIPE],
    ),
    "no index, name in every piece": ([(None, "", "wipe", A), (None, "", "wipe", B)], [WIPE]),
    "name in every piece": ([(0, "", "wipe", A), (0, "", "wipe", B), (0, "", "wipe", "")], [WIPE]),
    "no index after the first piece": ([(0, "i", "wipe", A), (None, "", "", B)], [WIPE]),
    "an empty piece at the end": ([(0, "i", "wipe", ARGUMENTS), (None, "", "", "")], [WIPE]),
    "an empty piece alone": ([(None, "", "", ""), (0, "", "", None)], []),
    "the name comes later": ([(0, "i", "", None), (0, "i", "wipe", ARGUMENTS)], [WIPE]),
    "arguments as an object": (
        [(None, "", "wipe", {"pattern": "tmp-*"}), (None, "", "wipe", "")],
        [WIPE, ("wipe", {})],
    ),
    "arguments encoded twice": ([(0, "i", "wipe", json.dumps(ARGUMENTS))], [WIPE]),
    "arguments encoded three times": ([(0, "i", "wipe", json.dumps(json.dumps(ARGUMENTS)))], [WIPE]),
    "no arguments": ([(0, "i", "wipe", "")], [("wipe", {})]),
}


@pytest.mark.parametrize(("pieces", "expected"), WHOLE.values(), ids=WHOLE)
def test_pieces_are_joined(pieces: list[Piece], expected: list[Any]) -> None:
    assert join(pieces) == (expected, 0)


BROKEN: dict[str, tuple[list[Piece], list[Any], int]] = {
    "arguments at another index": ([(0, "i", "wipe", ""), (1, "j", "", ARGUMENTS)], [], 2),
    "a fragment after explicitly empty arguments": ([(0, "i", "wipe", "{}"), (1, "j", "", ARGUMENTS)], [], 2),
    "arguments before any name": ([(0, "i", "", ARGUMENTS)], [], 1),
    "only the call before the fragment": (
        [(0, "i", "look", ARGUMENTS), (1, "j", "wipe", ""), (2, "k", "", ARGUMENTS)],
        [LOOK],
        2,
    ),
    "arguments that end early": ([(0, "i", "wipe", A)], [], 1),
}


@pytest.mark.parametrize(("pieces", "expected", "invalid"), BROKEN.values(), ids=BROKEN)
def test_no_tool_gets_arguments_that_are_not_whole(
    pieces: list[Piece], expected: list[Any], invalid: int
) -> None:
    assert join(pieces) == (expected, invalid)


@given(
    st.lists(st.sampled_from(["wipe", "look"]), min_size=1, max_size=3),
    st.lists(st.integers(0, len(ARGUMENTS)), max_size=4),
    st.sampled_from(["same", "first", "fresh"]),
    st.randoms(use_true_random=False),
)
def test_numbered_calls_are_whole_in_any_interleaving(
    names: list[str], cuts: list[int], ids: str, random: Any
) -> None:
    streams = []
    for index, name in enumerate(names):
        places = [0, *sorted(cuts), len(ARGUMENTS)]
        parts = [ARGUMENTS[start:end] for start, end in pairwise(places)]
        following = [
            {"same": f"c{index}", "first": "", "fresh": f"{index}-{n}"}[ids] for n in range(len(parts))
        ]
        pieces_of_one = [(index, name_id, "", part) for name_id, part in zip(following, parts, strict=True)]
        streams.append([(index, f"c{index}", name, ""), *pieces_of_one])
    pieces: list[Piece] = []
    while any(streams):
        pieces.append(random.choice([stream for stream in streams if stream]).pop(0))
    valid, invalid = join(pieces)
    assert sorted(name for name, _ in valid) == sorted(names)
    assert all(arguments == {"pattern": "tmp-*"} for _, arguments in valid)
    assert not invalid


def test_the_name_in_each_of_many_pieces_costs_no_square() -> None:
    text = json.dumps({"pattern": "{}" * 100_000})
    calls = StreamedCalls()
    for start in range(0, len(text), 50):
        calls.add(0, "i", "wipe", text[start : start + 50])
    [event] = calls.read()
    assert isinstance(event, CallEvent)
    assert event.call["args"] == json.loads(text)
