"""Streams of calls whose pieces are out of order, numbered otherwise or written twice: no tool gets `{}`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.test_streamed_calls import ARGUMENTS, LOOK, WIPE, A, B, Piece, join

ODD: dict[str, tuple[list[Piece], list[Any]]] = {
    "an empty object first": ([(0, "i", "wipe", "{}"), (0, "", "", A), (0, "", "", B)], [WIPE]),
    "an empty object first, as an object": ([(0, "i", "wipe", {}), (0, "", "", ARGUMENTS)], [WIPE]),
    "an empty object last": ([(0, "i", "wipe", A), (0, "", "", B), (0, "", "", "{}")], [WIPE]),
    "an empty object inside": (
        [(0, "i", "wipe", '{"a": '), (0, "", "", "{}"), (0, "", "", "}")],
        [("wipe", {"a": {}})],
    ),
    "the name in the middle": ([(0, "i", "", A), (0, "i", "wipe", ""), (0, "", "", B)], [WIPE]),
    "the name with the second piece": ([(0, "i", "", A), (0, "i", "wipe", B)], [WIPE]),
    "the name last": ([(0, "i", "", A), (0, "i", "", B), (0, "i", "wipe", "")], [WIPE]),
    "the name last, no index": ([(None, "i", "", ARGUMENTS), (None, "i", "wipe", "")], [WIPE]),
    "indexes as text": ([(0, "i", "wipe", A), ("0", "", "", B)], [WIPE]),
    "no index in the first piece": ([(None, "i", "wipe", A), (0, "", "", B)], [WIPE]),
    "no index in the first pieces of two": (
        [(None, "i", "wipe", A), (0, "", "", B), (None, "j", "look", A), (1, "", "", B)],
        [WIPE, LOOK],
    ),
    "another index in every piece": ([(0, "i", "wipe", A), (1, "i", "", B)], [WIPE]),
    "arguments all at the first index": (
        [(0, "i", "wipe", ARGUMENTS), (1, "j", "look", ""), (0, "", "", ARGUMENTS)],
        [WIPE, LOOK],
    ),
    "the whole call again at the end": (
        [(0, "i", "wipe", A), (0, "", "", B), (0, "i", "wipe", ARGUMENTS)],
        [WIPE],
    ),
    "the name again, then more arguments": (
        [(0, "", "wipe", ""), (0, "", "", ARGUMENTS), (0, "", "wipe", ""), (0, "", "", ARGUMENTS)],
        [WIPE, WIPE],
    ),
    "blanks around a name": ([(0, "i", " wipe ", ARGUMENTS)], [WIPE]),
    "encoded twice and cut": (
        [(0, "i", "wipe", json.dumps(ARGUMENTS)[:9]), (0, "", "", json.dumps(ARGUMENTS)[9:])],
        [WIPE],
    ),
}


@pytest.mark.parametrize(("pieces", "expected"), ODD.values(), ids=ODD)
def test_odd_pieces_are_joined(pieces: list[Piece], expected: list[Any]) -> None:
    assert join(pieces) == (expected, 0)


@pytest.mark.parametrize("fragment", ["[]", "7", "null null", ARGUMENTS + "x", A])
def test_a_call_without_arguments_is_incomplete_beside_one_that_cannot_be_read(fragment: str) -> None:
    assert join([(0, "i", "look", fragment), (1, "j", "wipe", "")]) == ([], 2)


def test_arguments_without_a_name_are_no_call() -> None:
    assert join([(0, "i", "  ", ARGUMENTS)]) == ([], 1)
