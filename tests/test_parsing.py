"""Text in, values out: a table of outputs as Qwen models write them, and every way of cutting them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_agentkit.parsing import Dialect, Parsed, StreamParser, parse
from qwen_agentkit.stops import StopStrings


class Case(NamedTuple):
    text: str
    reasoning: str = ""
    content: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    invalid: tuple[str, ...] = ()
    thinking: bool = False


def call(name: str, **args: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': args}, ensure_ascii=False)}\n</tool_call>"


SEARCH = call("search", q="cats")
FOUND = ("search", {"q": "cats"})
READ = "<tool_call>\n<function=read>\n<parameter=path>\n/a.txt\n</parameter>\n</function>\n</tool_call>"

CASES = {
    # Answers and thoughts
    "empty": Case(""),
    "plain": Case("Hello.", content="Hello."),
    "leading space is the model's": Case("  Hello.", content="  Hello."),
    "newlines at the end are the model's": Case("a\n\nb\n", content="a\n\nb\n"),
    "think, then answer": Case("<think>\nEasy.\n</think>\n\nFour.", "Easy.", "Four."),
    "think without newlines": Case("<think>Easy.</think>Four.", "Easy.", "Four."),
    "newlines before the think block": Case("\n\n<think>\nEasy.\n</think>\n\nFour.", "Easy.", "Four."),
    "empty think block": Case("<think>\n\n</think>\n\nFour.", content="Four."),
    "paragraphs in a thought": Case("<think>\na\n\n b\n</think>\n\n c\nd", "a\n\n b", " c\nd"),
    "prompt opened the thought": Case("Easy.\n</think>\n\nFour.", "Easy.", "Four.", thinking=True),
    "opened twice": Case("<think>\nEasy.\n</think>\n\nFour.", "Easy.", "Four.", thinking=True),
    "thought cut off": Case("<think>\nHm, wel", "Hm, wel"),
    "thought cut off, opened by the prompt": Case("Hm, wel", "Hm, wel", thinking=True),
    "thought cut off inside its closing tag": Case("<think>\nHm</thi", "Hm</thi"),
    "thought and nothing after": Case("Hm\n</think>", "Hm", thinking=True),
    "no closing tag at all": Case("</think fakeout", "</think fakeout", thinking=True),
    "nested opening tag is text": Case("a<think>b</think>c", "a<think>b", "c", thinking=True),
    "second closing tag is text": Case("a</think></think>", "a", "</think>", thinking=True),
    "think tag after text is text": Case("Use <think> here.", content="Use <think> here."),
    "lone closing tag is text": Case("Done.</think>", content="Done.</think>"),
    "Chinese": Case("<think>\n想一想。\n</think>\n\n北京。", "想一想。", "北京。"),
    "Arabic": Case("<think>\nسؤال سهل.\n</think>\n\nالقاهرة.", "سؤال سهل.", "القاهرة."),
    "half a tag at the end is text": Case("a <tool_", content="a <tool_"),
    "something like a tag is text": Case("<tool_calls> <", content="<tool_calls> <"),
    # Hermes JSON
    "call": Case(SEARCH, calls=(FOUND,)),
    "call in one line": Case(SEARCH.replace("\n", ""), calls=(FOUND,)),
    "text, then call": Case(f"Let me look.\n{SEARCH}", content="Let me look.", calls=(FOUND,)),
    "call, then text": Case(f"{SEARCH}\nThere.", content="There.", calls=(FOUND,)),
    "text around a call": Case(f"One.\n{SEARCH}\nTwo.", content="One.\nTwo.", calls=(FOUND,)),
    "newline after the last call is the template's": Case(f"{SEARCH}\n", calls=(FOUND,)),
    "two calls": Case(f"{SEARCH}\n{call('now')}", calls=(FOUND, ("now", {}))),
    "two calls without a newline": Case(f"{SEARCH}{call('now')}", calls=(FOUND, ("now", {}))),
    "think, then call": Case(f"<think>\nLook.\n</think>\n\n{SEARCH}", "Look.", calls=(FOUND,)),
    "think, text, call": Case(f"<think>a</think>\n\nb\n\n{SEARCH}", "a", "b", (FOUND,)),
    "unknown tool is passed on": Case(call("nonesuch", a=1), calls=(("nonesuch", {"a": 1}),)),
    "types are kept": Case(
        call("f", i=3, x=0.5, b=True, n=None, l=[1, "1"], d={"k": {}}),
        calls=(("f", {"i": 3, "x": 0.5, "b": True, "n": None, "l": [1, "1"], "d": {"k": {}}}),),
    ),
    "strings are kept to the byte": Case(
        call("f", code="  def f():\n\treturn '7 '\n\n", q='a "b" \\ c'),
        calls=(("f", {"code": "  def f():\n\treturn '7 '\n\n", "q": 'a "b" \\ c'}),),
    ),
    "raw newline in a string": Case(
        '<tool_call>{"name": "f", "arguments": {"s": "a\nb"}}</tool_call>', calls=(("f", {"s": "a\nb"}),)
    ),
    "tags inside a string": Case(
        call("write", text="</tool_call> <tool_call> </think>"),
        calls=(("write", {"text": "</tool_call> <tool_call> </think>"}),),
    ),
    "other scripts": Case(call("获取天气", 城市="北京 🌟"), calls=(("获取天气", {"城市": "北京 🌟"}),)),
    "no arguments": Case('<tool_call>{"name": "now"}</tool_call>', calls=(("now", {}),)),
    "arguments encoded twice": Case(
        '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', calls=(("f", {"a": 1}),)
    ),
    "closing tag missing": Case(SEARCH.removesuffix("\n</tool_call>"), calls=(FOUND,)),
    "closing tag cut off": Case(SEARCH.removesuffix("_call>"), calls=(FOUND,)),
    "closing tag forgotten before the next call": Case(
        SEARCH.removesuffix("</tool_call>") + call("now"), calls=(FOUND, ("now", {}))
    ),
    # Damaged calls
    "JSON cut off": Case(SEARCH[:-16], invalid=(SEARCH[:-16],)),
    "nothing but the tag": Case("<tool_call>", invalid=("<tool_call>",)),
    "prose in the tags": Case("<tool_call>search</tool_call>", invalid=("<tool_call>search</tool_call>",)),
    "single quotes": Case(
        "<tool_call>{'name': 'f'}</tool_call>", invalid=("<tool_call>{'name': 'f'}</tool_call>",)
    ),
    "a list": Case("<tool_call>[1]</tool_call>", invalid=("<tool_call>[1]</tool_call>",)),
    "no name": Case('<tool_call>{"a": 1}</tool_call>', invalid=('<tool_call>{"a": 1}</tool_call>',)),
    "arguments are no object": Case(
        '<tool_call>{"name": "f", "arguments": "hello"}</tool_call>',
        invalid=('<tool_call>{"name": "f", "arguments": "hello"}</tool_call>',),
    ),
    "one brace too many": Case(
        '<tool_call>{"name": "f", "arguments": {}}}</tool_call>',
        invalid=('<tool_call>{"name": "f", "arguments": {}}}</tool_call>',),
    ),
    "good calls beside a bad one": Case(
        f"{SEARCH}\n<tool_call>oops</tool_call>\n{call('now')}",
        calls=(FOUND, ("now", {})),
        invalid=("<tool_call>oops</tool_call>",),
    ),
    "string never closed, good call after it": Case(
        f'<tool_call>{{"name": "f", "arguments": {{"s": "a}}}}</tool_call>\n{SEARCH}',
        calls=(FOUND,),
        invalid=('<tool_call>{"name": "f", "arguments": {"s": "a}}</tool_call>',),
    ),
    "nested far too deep": Case(
        f"<tool_call>{'[' * 100_000}</tool_call>", invalid=(f"<tool_call>{'[' * 100_000}</tool_call>",)
    ),
    # Calls inside thoughts
    "draft, then closed": Case(f"<think>\nMaybe {SEARCH}?\n</think>\n\nNo.", f"Maybe {SEARCH}?", "No."),
    "thought never closed, call counts": Case(
        f"Look it up.\n{SEARCH}", "Look it up.", calls=(FOUND,), thinking=True
    ),
    "thought never closed, text after the call": Case(f"a {SEARCH} b", "a  b", calls=(FOUND,), thinking=True),
    "thought never closed, call cut off": Case("a <tool_call>{", "a <tool_call>{", thinking=True),
    "thought never closed, bad call, good call": Case(
        f"<tool_call>x</tool_call>{SEARCH}", "<tool_call>x</tool_call>", calls=(FOUND,), thinking=True
    ),
    # Coder XML
    "XML": Case(READ, calls=(("read", {"path": "/a.txt"}),)),
    "XML in one line": Case(READ.replace("\n", ""), calls=(("read", {"path": "/a.txt"}),)),
    "XML without parameters": Case(
        "<tool_call>\n<function=now>\n</function>\n</tool_call>", calls=(("now", {}),)
    ),
    "XML after text": Case(f"Reading.\n\n{READ}", content="Reading.", calls=(("read", {"path": "/a.txt"}),)),
    "XML value keeps inner space": Case(
        READ.replace("/a.txt", "\n  x = 1\n"), calls=(("read", {"path": "\n  x = 1\n"}),)
    ),
    "XML value with a closing tag": Case(
        READ.replace("/a.txt", "</tool_call>"), calls=(("read", {"path": "</tool_call>"}),)
    ),
    "XML cut off": Case(READ[:-30], invalid=(READ[:-30],)),
    "XML with text between": Case(
        READ.replace("<parameter", "path <parameter"),
        invalid=(READ.replace("<parameter", "path <parameter"),),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_table(case: Case) -> None:
    parsed = parse(case.text, thinking=case.thinking)
    assert parsed.reasoning == case.reasoning
    assert parsed.content == case.content
    assert [(c["name"], c["args"]) for c in parsed.tool_calls] == list(case.calls)
    assert [c["args"] for c in parsed.invalid_tool_calls] == list(case.invalid)


def in_pieces(pieces: list[str], **options: Any) -> Parsed:
    parser = StreamParser(**options)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return Parsed.from_events([*events, *parser.close()])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_character_by_character(case: Case) -> None:
    text = case.text[:2000]
    assert in_pieces(list(text), thinking=case.thinking) == parse(text, thinking=case.thinking)


SCRAPS = st.sampled_from(
    [
        *(
            "<think>",
            "</think>",
            "<tool_call>",
            "</tool_call>",
            "\n",
            '"',
            "{",
            "}",
            "\\",
            "a",
            "<",
            " ",
            "北",
            "\U0001f31f",
        ),
        *(
            '{"name": "f", "arguments": {',
            '"s": "',
            "<function=f>",
            "<parameter=p>",
            "</parameter>",
            "</function>",
        ),
        *(SEARCH, READ, call("f", s="</tool_call>")),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    text=st.lists(SCRAPS, max_size=12).map("".join),
    thinking=st.booleans(),
    dialect=st.sampled_from(["auto", "json", "xml"]),
    data=st.data(),
)
def test_cuts_do_not_matter_and_nothing_is_lost(
    text: str, thinking: bool, dialect: Dialect, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = parse(text, thinking=thinking, dialect=dialect)
    assert in_pieces(pieces, thinking=thinking, dialect=dialect) == whole

    kept = whole.reasoning + whole.content + "".join(c["args"] for c in whole.invalid_tool_calls)
    kept += "北" * sum(str(c["args"]).count("北") + c["name"].count("北") for c in whole.tool_calls)
    assert kept.count("北") == text.count("北")


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
    ({"type": "number"}, "100.0", 100),
    ({"type": "number"}, "inf", "inf"),
    ({"type": "boolean"}, "True", True),
    ({"type": "boolean"}, "yes", "yes"),
    ({"type": "array"}, '["a", 1]', ["a", 1]),
    ({"type": "object"}, '{"a": {}}', {"a": {}}),
    ({"type": "object"}, "[broken", "[broken"),
    ({"type": "string"}, "12345", "12345"),
    ({"type": "string"}, "  7 ", "  7 "),
    ({"type": "string"}, "", ""),
    ({"type": ["integer", "null"]}, "null", None),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "5", 5),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "five", "five"),
    ({}, "5", "5"),
]


@pytest.mark.parametrize(("schema", "value", "expected"), TYPED)
def test_xml_values_take_the_types_of_the_schema(schema: dict[str, Any], value: str, expected: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"p": schema}}}}
    text = f"<tool_call>\n<function=f>\n<parameter=p>\n{value}\n</parameter>\n</function>\n</tool_call>"
    got = parse(text, tools=[tool]).tool_calls[0]["args"]["p"]
    assert got == expected
    assert type(got) is type(expected)


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
