"""Numbers in earlier tool calls: a model behind llama.cpp sees six digits of each, unless it is text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_agentkit.chat.request import Request
from qwen_agentkit.server.body import write_body
from qwen_agentkit.server.flavors import FLAVORS


def sent(arguments: dict[str, Any], flavor: str) -> dict[str, Any]:
    """The arguments of an earlier call, as the server gets them."""
    call = {"id": "1", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    turn = {"role": "assistant", "content": "", "tool_calls": [call]}
    body = write_body("qwen", FLAVORS[flavor], Request([{"role": "user", "content": "Pay."}, turn]))
    [written] = body["messages"][1]["tool_calls"]
    return dict(json.loads(written["function"]["arguments"]))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1234567.89, "1234567.89"),
        (-24.7135517, "-24.7135517"),
        (0.30000000000000004, "0.30000000000000004"),
        (1234567.0, "1234567.0"),
    ],
)
def test_what_six_digits_do_not_hold_is_text(number: float, text: str) -> None:
    assert sent({"a": [{"b": number}], "c": number}, "llama.cpp") == {"a": [{"b": text}], "c": text}


@pytest.mark.parametrize("value", [0.5, -0.1, 1.0, 1e20, 1e-7, 123.456, 2**60, True, None, "1234567.89"])
def test_everything_else_stays_what_it_is(value: Any) -> None:
    [found] = sent({"a": value}, "llama.cpp").values()
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("flavor", sorted(FLAVORS.keys() - {"llama.cpp"}))
def test_other_servers_get_numbers(flavor: str) -> None:
    assert sent({"a": 1234567.89}, flavor) == {"a": 1234567.89}
