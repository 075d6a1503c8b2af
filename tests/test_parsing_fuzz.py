"""Outputs cut and damaged at random: no exception, nothing lost, and no difference between cuts."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_agentkit.chat.parsing import (
    CallEvent,
    ContentEvent,
    Dialect,
    Event,
    Parsed,
    ReasoningEvent,
    StreamParser,
    parse,
)
from tests.parser_table import CASES, READ, SEARCH, call, tool, xml_call

EXAMPLES, DAMAGES = 1000, 20

TOOLS = [tool(s={"type": "string"}, n={"type": "integer"}, o={"type": "object"})]

SCRAPS = [
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<function=f>", "</function>"),
    *(
        "<parameter=p>",
        "</parameter>",
        "\n",
        "\r\n",
        " ",
        '"',
        "'",
        "{",
        "}",
        "[",
        "]",
        "\\",
        "\\u",
        "<",
        ">",
    ),
    *('{"name": "f", "arguments": {', '"s": "', "null", "7", "a", "北京", "مرحبا", "🌟", "\ud83c", "\x00"),
    *(SEARCH, READ, call("f", s="</tool_call>"), xml_call("f", s="<tool_call>", n="x", o='{"a": 1}')),
    *(case.text for case in CASES.values() if len(case.text) < 300),
]


def damage(text: str, random: Random) -> str:
    """Cut an output off, or drop, double or replace a part of it."""
    start, end = sorted((random.randint(0, len(text)), random.randint(0, len(text))))
    return random.choice(
        [
            text[:end],
            text[start:],
            text[:start] + text[min(end, start + 12) :],
            text[:end] + text[start:],
            text[:start] + random.choice(SCRAPS) + text[start:],
        ]
    )


def cut(text: str, random: Random) -> list[str]:
    places = sorted(random.randint(0, len(text)) for _ in range(random.choice([0, 1, 2, 8, 20])))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def written(event: Event) -> str:
    """The text of the output that an event stands for."""
    if isinstance(event, ReasoningEvent | ContentEvent):
        return event.text
    return event.raw if isinstance(event, CallEvent) else event.call["args"]


def without_frame(text: str, *, thinking: bool) -> str:
    """The output without line breaks and the tags of its think block, which are all that may go missing."""
    if text.lstrip().startswith("<think>"):
        thinking, text = True, text.lstrip().removeprefix("<think>")
    return (text.replace("</think>", "", 1) if thinking else text).replace("\n", "")


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(
    scraps=st.lists(st.sampled_from(SCRAPS), max_size=5),
    thinking=st.booleans(),
    dialect=st.sampled_from(["auto", "json", "xml"]),
    seed=st.integers(0, 2**32),
)
def test_cut_and_damaged_outputs(scraps: list[str], thinking: bool, dialect: Dialect, seed: int) -> None:
    random = Random(seed)
    whole = "".join(scraps)
    for _ in range(DAMAGES):
        text = damage(whole, random)
        parser = StreamParser(thinking=thinking, tools=TOOLS, dialect=dialect)
        events = [event for piece in cut(text, random) for event in parser.feed(piece)] + parser.close()
        parsed = parse(text, thinking=thinking, tools=TOOLS, dialect=dialect)
        assert Parsed.from_events(events) == parsed
        kept = "".join(written(event) for event in events)
        # Several objects in one tag are calls of their own, and `written` gives each a tag.
        if kept.count("<tool_call>") <= text.count("<tool_call>"):
            assert kept.replace("\n", "") == without_frame(text, thinking=thinking)
        for made in parsed.tool_calls:
            assert made["name"]
            json.dumps(made, ensure_ascii=False, allow_nan=False).encode()
