"""Calls in think blocks that stand later in an answer, and in thoughts of models told not to think."""

from __future__ import annotations

import pytest

from qwen_agentkit.chat.parsing import CallEvent, Event, Parsed, ReasoningEvent, StreamParser, parse
from qwen_agentkit.chat.request import Request
from qwen_agentkit.server.content import ContentReader
from tests.test_streamed_calls import WIPE

CALL = '<tool_call>\n{"name": "wipe", "arguments": {"pattern": "tmp-*"}}\n</tool_call>'
XML = "<function=wipe>\n<parameter=pattern>\ntmp-*\n</parameter>\n</function>"


def names(parsed: Parsed) -> list[str]:
    return [call["name"] for call in parsed.tool_calls]


@pytest.mark.parametrize("call", [CALL, XML, f"<tool_call>\n{XML}\n</tool_call>"])
def test_a_call_in_a_later_think_block_is_content(call: str) -> None:
    text = f"<think>\nA.\n</think>\n\nHi. <think>Maybe {call}?</think> Bye.\n{CALL}"
    whole = parse(text)
    assert whole.content == f"Hi. <think>Maybe {call}?</think> Bye."
    assert names(whole) == ["wipe"]
    for cut in range(0, len(text), 5):
        parser = StreamParser()
        events = [*parser.feed(text[:cut]), *parser.feed(text[cut:]), *parser.close()]
        assert Parsed.from_events(events) == whole


def test_a_call_after_a_mere_word_about_the_tag_is_made() -> None:
    assert names(parse(f"The tag <think> opens a thought.\n{CALL}")) == ["wipe"]
    assert names(parse(f"Write <think> and </think>.\n{CALL}\n{CALL}")) == ["wipe", "wipe"]


def read(text: str, *, thinking: bool | None, streams: bool) -> list[Event]:
    reader = ContentReader("my-qwen", Request([], tools=[{}], thinking=thinking), streams=streams)
    return [*reader.feed(text[:9]), *reader.feed(text[9:]), *reader.close()]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("thinking", [None, False, True])
@pytest.mark.parametrize("end", ["\n</think>\n\nHello.", "</think>Hello.", "</think> Hello.", "</think>"])
def test_a_draft_is_no_call_however_the_thought_ends(end: str, thinking: bool | None, streams: bool) -> None:
    events = read(f"Maybe {CALL}? No.{end}", thinking=thinking, streams=streams)
    assert not [event for event in events if isinstance(event, CallEvent)]
    # With thinking=False the reader of the answer refuses this, as it does every thought.
    assert CALL in "".join(event.text for event in events if isinstance(event, ReasoningEvent))


@pytest.mark.parametrize("streams", [True, False])
def test_a_draft_that_is_not_closed_leaves_the_answer(streams: bool) -> None:
    parsed = Parsed.from_events(read("<tool_call>\n{\n</think>\n\nHello.", thinking=None, streams=streams))
    assert parsed.content == "Hello."
    assert not parsed.invalid_tool_calls


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("thinking", [None, False])
def test_a_real_call_is_made(thinking: bool | None, streams: bool) -> None:
    parsed = Parsed.from_events(read(f"I will.\n{CALL}", thinking=thinking, streams=streams))
    assert [(call["name"], call["args"]) for call in parsed.tool_calls] == [WIPE]
