"""What a grammar costs: the time of a token of a forced call, and of compiling one more grammar."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from qwen_agentkit import ChatQwen
from qwen_agentkit.chat.tools import read_tools
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.matcher import compile_grammar, read_vocabulary
from qwen_agentkit.engine.grammar.turn_grammar import Turn, turn_grammar
from tests.benchmarks.machine import computed, machine, say
from tests.benchmarks.work import Effort

TOKENS = 200


def measure(effort: Effort) -> dict[str, Any]:
    """Ratios of a forced call to free text, and of a second grammar to the first."""
    tokens, rounds = (20, 2) if effort.quick else (TOKENS, 3 * effort.rounds)
    seconds: dict[str, list[float]] = {"free": [], "forced": []}
    for seed in range(rounds + 1):
        for name, model in _models(tokens).items():
            gaps = _gaps(model, seed)
            seconds[name] += gaps if seed else []  # the first round warms up
    medians = {name: statistics.median(gaps) for name, gaps in seconds.items()}
    found = {
        "milliseconds_a_token": {name: round(1e3 * value, 3) for name, value in medians.items()},
        "forced_to_free": round(medians["forced"] / medians["free"], 3),
        "milliseconds_to_read_the_vocabulary": _read(),
        "milliseconds_to_compile": {count: _compile(count) for count in (1, 5, 20)},
    }
    say(f"  {found}")
    return {**machine(), "tokens": tokens, "rounds": rounds, **found}


def _models(tokens: int) -> dict[str, Callable[..., Any]]:
    """A model that writes at random, so that nothing ends it, free and in the string of a call."""
    hot = ChatQwen(model="nano", thinking=False, temperature=2.0, top_k=0, top_p=1.0, max_tokens=tokens)
    return {"free": hot.stream, "forced": hot.bind_tools([note], tool_choice="any").stream}


def note(text: str, tags: list[str], amount: float = 0) -> str:
    """Write a note."""
    return text


def _gaps(stream: Callable[..., Any], seed: int) -> list[float]:
    """Seconds between the tokens of one answer."""
    from qwen_agentkit.engine.grammar import turn_guide

    times: list[float] = []
    after = turn_guide.TurnGuide.after

    def timed(guide: Any, token: int) -> Any:
        times.append(time.perf_counter())
        return after(guide, token)

    turn_guide.TurnGuide.after = timed  # type: ignore[method-assign]  # called once a token
    try:
        for _ in stream("Write about boats and the sea.", seed=seed):
            pass
    except ValueError:  # cut off
        pass
    finally:
        turn_guide.TurnGuide.after = after  # type: ignore[method-assign]
    return [later - earlier for earlier, later in pairwise(times[8:])]


@computed
def _read() -> float:
    """Milliseconds that the first grammar of a process takes before it is compiled."""
    loaded = load("nano-chat", chat=True)
    start = time.perf_counter()
    read_vocabulary(loaded.tokenizer, sorted(end_ids(loaded)))
    return round(1e3 * (time.perf_counter() - start), 2)


@computed
def _compile(count: int) -> dict[str, float]:
    """Milliseconds for the first grammar of a set of tools in a process, and for others of the same tools."""
    loaded = load("nano-chat", chat=True)
    tools = read_tools([_tool(number, count) for number in range(count)])
    turns = {
        "first": Turn(tools=tools),
        "forced": Turn(tools=tools, must_call=True),
        "one_of_them": Turn(tools=tools[-1:], must_call=True),
        "with_an_answer": Turn(tools=tools, schema=_tool(99, count)["parameters"]),
        "again": Turn(tools=tools),
    }
    found = {}
    for name, turn in turns.items():
        start = time.perf_counter()
        tags = Tags(loaded.tokenizer)
        compile_grammar(loaded, turn_grammar(turn, tags, "json", thinking=False, opened=False))
        found[name] = round(1e3 * (time.perf_counter() - start), 2)
    return found


def _tool(number: int, of: int) -> dict[str, Any]:
    """A tool with ten parameters, like no other."""
    kinds: list[dict[str, Any]] = [
        {"type": "string"},
        {"type": "integer", "minimum": 0, "maximum": 1000 + number},
    ]
    parameters = {f"p{n}_{of}": kinds[n % 2] for n in range(10)}
    schema = {"type": "object", "properties": parameters, "required": [f"p0_{of}"]}
    return {"name": f"tool_{of}_{number}", "description": "A tool.", "parameters": schema}
