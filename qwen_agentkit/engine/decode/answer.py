"""One answer to a chat, from messages to parsed events. Knows the engine and the parser, no LangChain."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

from qwen_agentkit.chat.parsing import CallEvent, ContentEvent, Dialect, Event, StreamParser
from qwen_agentkit.chat.request import Done, Request
from qwen_agentkit.chat.sampling import recommended
from qwen_agentkit.chat.stops import StopStrings
from qwen_agentkit.chat.tags import OPEN_THINK
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.checkpoint.template import ChatTemplate, Prompt
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.decode.detokenize import Detokenizer
from qwen_agentkit.engine.decode.generate import Sampling, generate
from qwen_agentkit.engine.grammar.guide import TurnGuide
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.masking import Matcher, compile_grammar
from qwen_agentkit.engine.grammar.turns import Turn, turn_grammar
from qwen_agentkit.errors import InputError

__all__ = ["answer", "prompt_length"]


def answer(loaded: Loaded, request: Request, cancelled: threading.Event) -> Iterator[Event | Done]:
    """Answer a chat: events while the model writes, then one `Done`.

    Args:
        loaded: A chat checkpoint.
        request: What is asked.
        cancelled: Set it from another thread to stop within one forward.

    Raises:
        InputError: The messages do not fit the template or the context, or no grammar fits a schema.
        ModelUnsupportedError: The checkpoint cannot do what is asked.
    """
    template = ChatTemplate(loaded)
    prompt = _prompt(template, request)
    room = max(0, loaded.context - len(prompt.tokens))
    limit = room if request.max_tokens is None else min(request.max_tokens, room)
    guide = TurnGuide(
        loaded,
        prompt,
        limit=limit,
        budget=request.thinking_budget,
        matcher=_matcher(loaded, request, template, prompt),
    )
    tokens = generate(
        loaded,
        prompt.tokens,
        _sampling(loaded, request, template, thinking=prompt.thinking),
        max_tokens=request.max_tokens,
        guide=guide,
        cancelled=cancelled,
    )
    reader = _Reader(request, prompt, template.dialect if request.tools else "none")
    stops, detokenizer, ends = StopStrings(request.stop), Detokenizer(loaded.tokenizer), end_ids(loaded)
    written = reasoning = calls = 0
    ended = False
    with closing(tokens):
        for token in tokens:
            written += 1
            ended = token in ends
            if ended:
                break
            thought = reader.in_thought
            piece = detokenizer.feed(token)
            events = reader.feed(stops.release() + piece if thought else stops.feed(piece))
            reasoning += thought or reader.in_thought
            if thought and not reader.in_thought:
                stops.pass_newlines()
            calls += sum(isinstance(event, CallEvent) for event in events)
            yield from events
            if stops.reached:
                ended = True
                break
    cut_thought = reader.in_thought and not ended
    last = [*reader.feed(stops.release()), *reader.close()]
    calls += sum(isinstance(event, CallEvent) for event in last)
    yield from last
    yield Done(
        input_tokens=len(prompt.tokens),
        cached_tokens=tokens.cached_tokens,
        output_tokens=written,
        reasoning_tokens=reasoning,
        finish_reason="length" if not ended else "tool_calls" if calls else "stop",
        thinking_truncated=guide.truncated or cut_thought,
    )


def prompt_length(loaded: Loaded, request: Request) -> int:
    """Return the number of tokens that the model reads before it answers.

    What the template refuses, such as a part of a chat, is counted message by message.
    """
    if not request.messages:
        return 0
    try:
        return len(_prompt(ChatTemplate(loaded), request).tokens)
    except InputError:
        turns = [f"<|im_start|>{turn['role']}\n{_all_text(turn)}<|im_end|>\n" for turn in request.messages]
        tools = json.dumps(list(request.tools), ensure_ascii=False) if request.tools else ""
        return len(loaded.encode_prompt("".join([*turns, tools])))


def _all_text(turn: Mapping[str, Any]) -> str:
    calls = json.dumps(turn["tool_calls"], ensure_ascii=False) if "tool_calls" in turn else ""
    return f"{turn.get('reasoning_content', '')}{turn['content']}{calls}"


def _prompt(template: ChatTemplate, request: Request) -> Prompt:
    return template.prompt(
        request.messages,
        request.tools,
        thinking=request.thinking,
        reasoning_effort=request.reasoning_effort,
        keep_thoughts=request.keep_thoughts,
    )


def _matcher(loaded: Loaded, request: Request, template: ChatTemplate, prompt: Prompt) -> Matcher | None:
    """Return what holds the answer to the request's tools and schema; None if it has neither."""
    names = {request.forced_tool} if request.forced_tool else {_name(tool) for tool in request.tools}
    turn = Turn(
        tools=[tool for tool in request.tools if _name(tool) in names],
        must_call=request.forced_call,
        parallel=request.parallel_calls,
        schema=request.schema,
    )
    if turn.free and not turn.tools and not request.forbids_calls:
        return None
    tags = Tags(loaded.tokenizer)
    lark = turn_grammar(turn, tags, template.dialect, thinking=prompt.thinking, opened=prompt.opened)
    return compile_grammar(loaded, lark)


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("function", tool)["name"])


class _Reader:
    """Reads what is written; text that has to be JSON holds no tags, whatever its strings say."""

    def __init__(self, request: Request, prompt: Prompt, dialect: Dialect) -> None:
        self._parser = StreamParser(thinking=prompt.opened, tools=request.tools, dialect=dialect)
        self._undecided = request.schema is not None
        self._json = False

    @property
    def in_thought(self) -> bool:
        """Whether the text so far ends inside a think block."""
        return self._parser.in_thought and not self._json

    def feed(self, piece: str) -> list[Event]:
        """Take the next piece of text and return what it settles."""
        if self._undecided and not self.in_thought and (text := piece.strip()) not in ("", OPEN_THINK):
            self._undecided = False
            self._json = not text.startswith("<")  # else a call
        if not self._json:
            return self._parser.feed(piece)
        return [ContentEvent(piece)] if piece else []

    def close(self) -> list[Event]:
        """Say that no more text comes and return what was still open."""
        return self._parser.close()


def _sampling(loaded: Loaded, request: Request, template: ChatTemplate, *, thinking: bool) -> Sampling:
    config = loaded.model.generation_config
    row = recommended(
        loaded.model.config.model_type,
        thinking=thinking,
        usual=thinking == template.thinks,
        generation_config=config.to_dict() if config is not None else {},
        replays=template.replays,
    )
    given = {name: value for name, value in request.sampling.items() if value is not None}
    return Sampling(**{**asdict(row), **given})
