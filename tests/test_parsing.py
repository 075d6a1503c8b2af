"""Text in, values out: the table of outputs, each whole and in every cut."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_agentkit.chat.parsing import CallEvent, Dialect, Parsed, StreamParser, parse
from qwen_agentkit.chat.stops import StopStrings
from tests.parser_table import CASES, READ, SEARCH, Case, tool, xml_call


def in_pieces(pieces: list[str], **options: Any) -> Parsed:
    parser = StreamParser(**options)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return Parsed.from_events([*events, *parser.close()])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_table(case: Case) -> None:
    parsed = parse(case.text, thinking=case.thinking, tools=case.tools)
    assert parsed.reasoning == case.reasoning
    assert parsed.content == case.content
    assert [(c["name"], c["args"]) for c in parsed.tool_calls] == list(case.calls)
    assert [c["args"] for c in parsed.invalid_tool_calls] == list(case.invalid)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_table_in_every_cut(case: Case) -> None:
    text = case.text[:1000]
    options: dict[str, Any] = {"thinking": case.thinking, "tools": case.tools}
    whole = parse(text, **options)
    assert in_pieces(list(text), **options) == whole
    for cut in range(1, len(text), 1 + len(text) // 200):
        assert in_pieces([text[:cut], text[cut:]], **options) == whole


def test_the_table_is_large_enough() -> None:
    assert len(CASES) >= 80


def test_stream_comes_at_once() -> None:
    parser = StreamParser()
    shown = [
        len(parser.feed(piece))
        for piece in ("<think>", "\n", "so", " it", "</think>", "\n\n", "Yes", ".", "\n")
    ]
    assert shown == [0, 0, 1, 1, 0, 0, 1, 1, 0]


def test_in_thought_follows_the_text() -> None:
    parser = StreamParser(thinking=True)
    assert parser.in_thought
    parser.feed("so <tool_call>")
    assert parser.in_thought
    parser.feed("</think>")
    assert not parser.in_thought


def test_calls_are_numbered_and_invalid_ones_explained() -> None:
    parsed = parse(f'{SEARCH}<tool_call>{{\'name\': 1}}</tool_call><tool_call>{{"name": "f", </tool_call>')
    assert [c["id"] for c in (*parsed.tool_calls, *parsed.invalid_tool_calls)] == [
        "call_0",
        "call_1",
        "call_2",
    ]
    assert [c["name"] for c in parsed.invalid_tool_calls] == [None, "f"]
    assert all(c["error"] for c in parsed.invalid_tool_calls)


TYPED = [
    ({"type": "integer"}, "42", 42),
    ({"type": "integer"}, "007", 7),
    ({"type": "integer"}, "many", "many"),
    ({"type": "number"}, "3.5", 3.5),
    ({"type": "integer"}, "3.0", 3),
    ({"type": "integer"}, "3.5", "3.5"),
    ({"type": "integer"}, "9007199254740993", 9007199254740993),
    ({"type": "integer"}, "NULL", None),
    ({"type": "integer"}, "None", None),
    ({"type": "number"}, "100.0", 100.0),
    ({"type": "number"}, "1.5e-3", 0.0015),
    ({"type": "number"}, "7", 7),
    ({"type": "number"}, "nan", "nan"),
    ({"type": "number"}, "inf", "inf"),
    ({"type": "boolean"}, "True", True),
    ({"type": "boolean"}, "yes", "yes"),
    ({"type": "array"}, '["a", 1]', ["a", 1]),
    ({"type": "object"}, '{"a": {}}', {"a": {}}),
    ({"type": "object"}, "[broken", "[broken"),
    ({"type": "object"}, "[1]", "[1]"),
    ({"type": "object"}, "{'a': 1}", "{'a': 1}"),
    ({"type": "object"}, '{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
    ({"type": "array"}, "[" * 10_000, "[" * 10_000),
    ({"type": "boolean"}, "FALSE", False),
    ({"type": "string"}, "null", None),
    ({"type": "string"}, "None", "None"),
    ({"type": "string"}, '"a"', '"a"'),
    ({"type": "string"}, "12345", "12345"),
    ({"type": "string"}, "  7 ", "  7 "),
    ({"type": "string"}, "", ""),
    ({"type": ["integer", "null"]}, "null", None),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "5", 5),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "five", "five"),
    ({"anyOf": [{"type": "string"}, {"type": "array"}]}, '["a"]', ["a"]),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null", None),
    ({"oneOf": [{"type": "boolean"}, {"type": "number"}]}, "true", True),
    ({"allOf": [{"$ref": "#/$defs/Level"}]}, "2", 2),
    ({"type": "integer", "nullable": True}, "null", None),
    ({"type": "string", "nullable": True}, "null", None),
    ({"$ref": "#/$defs/Level"}, "2", 2),
    ({"$ref": "#/$defs/Circle"}, "2", 2),
    ({"$ref": "#/$defs/Missing"}, "2", "2"),
    ({"$ref": "https://json-schema.org/schema"}, "2", "2"),
    ({"enum": [1, 2]}, "2", 2),
    ({"const": True}, "true", True),
    ({}, "5", "5"),
    ({}, "null", "null"),
    (True, "5", "5"),
]

DEFINITIONS = {
    "Level": {"type": "integer"},
    "Circle": {"anyOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Level"}]},
}


@pytest.mark.parametrize(("schema", "value", "expected"), TYPED)
def test_xml_values_take_the_types_of_the_schema(schema: Any, value: str, expected: Any) -> None:
    offered = tool(p=schema)
    offered["function"]["parameters"]["$defs"] = DEFINITIONS
    got = parse(xml_call("f", p=value), tools=[offered]).tool_calls[0]["args"]["p"]
    assert got == expected
    assert type(got) is type(expected)


def test_drafts_are_not_numbered() -> None:
    parsed = parse(f"<tool_call>oops</tool_call>{SEARCH}{READ}", thinking=True)
    assert [c["id"] for c in parsed.tool_calls] == ["call_0", "call_1"]


def test_a_call_keeps_the_text_it_was_read_from() -> None:
    events = StreamParser().feed(f"Look. {SEARCH}\n{READ}")
    assert [event.raw for event in events if isinstance(event, CallEvent)] == [SEARCH, READ]


def test_bare_functions_are_text_to_the_json_dialect() -> None:
    bare = READ.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
    assert parse(bare, dialect="json").content == bare
    assert parse(bare, dialect="xml").tool_calls


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "f", "arguments": {"s": "' + "</tool_call>" * 4000,
        "<tool_call><function=f><parameter=p>" * 1500,
        "<think>" + "<tool_call><function=f><parameter=p>" * 1500,
        "<tool_call><function=f>" + "<parameter=p>" * 4000 + "</function></tool_call>",
        "<function=f>\n" * 4000,
    ],
    ids=["tags in a string", "open parameters", "drafts", "parameters", "bare functions"],
)
def test_a_model_that_repeats_itself_costs_little(text: str) -> None:
    start = time.process_time()
    whole = parse(text)
    assert in_pieces([text[at : at + 50] for at in range(0, len(text), 50)]) == whole
    assert time.process_time() - start < 2  # seconds; a scan that begins anew at each tag takes minutes


@pytest.mark.parametrize(("dialect", "text"), [("json", READ), ("xml", SEARCH)])
def test_a_fixed_dialect_reads_no_other(dialect: Dialect, text: str) -> None:
    parsed = parse(text, dialect=dialect)
    assert not parsed.tool_calls
    assert [c["args"] for c in parsed.invalid_tool_calls] == [text]


@settings(deadline=None)
@given(
    text=st.text("abc", max_size=12),
    stops=st.lists(st.text("abc", min_size=1, max_size=3), max_size=3),
    data=st.data(),
)
def test_stop_strings_across_cuts(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    reader = StopStrings(stops)
    shown = ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown += reader.feed(text[start:end])
        if reader.reached:
            break
    shown += reader.release()
    places = [text.find(stop) for stop in stops if stop in text]
    assert reader.reached == bool(places)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if not places:
        assert shown == text
