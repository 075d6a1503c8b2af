"""Tool calls against the answers of BFCL, by comparing names and arguments. Knows files and any chat model.

Source of the format and of the rules: the Berkeley Function-Calling Leaderboard, version 4,
https://gorilla.cs.berkeley.edu/leaderboard.html. Read are its cases of one turn: simple, multiple, parallel
and parallel multiple ones, and those of irrelevance, in which no tool may be called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.bootstrap import Estimate, estimate_mean

__all__ = ["ToolCase", "ToolReport", "check_calls", "measure_tool_calls", "read_tool_cases"]

_ONE_TURN = re.compile(
    r"BFCL_v\d+_((?:live_)?(?:simple\w*|multiple|parallel|parallel_multiple|irrelevance))\.json"
)
_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None, "String": "string"}
# BFCL compares strings without these.
_IGNORED = re.compile(r"[ ,./\-_*^]")
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class ToolCase:
    """A request, the tools at hand, and the calls that answer it.

    Attributes:
        id: BFCL's id of the case.
        category: Such as "parallel" or "irrelevance".
        messages: The conversation, as pairs of role and text.
        tools: Functions in OpenAI's form; a dot in a name is written "_".
        expected: For each call, its function's name and the values that each argument may have. "" among them
            says that the argument may be left out. No call is expected if there is none.
    """

    id: str
    category: str
    messages: list[tuple[str, str]]
    tools: list[dict[str, Any]]
    expected: list[tuple[str, dict[str, list[Any]]]]


@dataclass(frozen=True)
class ToolReport:
    """The share of right answers by category, and what is wrong with each other one, by id."""

    right: dict[str, Estimate]
    faults: dict[str, str]


def read_tool_cases(path: Path, *, limit: int | None = None) -> list[ToolCase]:
    """Read a file of BFCL, or all files of one turn of a folder.

    Args:
        path: The file, such as BFCL_v4_parallel.json, or the folder with the folder "possible_answer" in it.
        limit: The most cases of a category; of more, every n-th is taken.

    Raises:
        InputError: There is no such file, or it is broken.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    named = [(file, match[1]) for file in files if (match := _ONE_TURN.fullmatch(file.name))]
    if not named:
        raise InputError(
            f"{str(path)!r} holds no cases of one turn in BFCL's form; expected files such as "
            "BFCL_v4_simple_python.json, and their answers in the folder possible_answer. Check the path."
        )
    cases = []
    for file, category in named:
        try:
            found = list(_read_cases(file, category))
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError(
                f"{str(file)!r} is broken ({type(error).__name__}: {error}); expected BFCL's form. Download "
                "it again, with the file of the same name in possible_answer."
            ) from error
        cases += found[:: max(1, len(found) // limit)][:limit] if limit else found
    return cases


def measure_tool_calls(
    cases: Sequence[ToolCase],
    model: BaseChatModel,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> ToolReport:
    """Let a model answer each case, and compare its calls with the expected ones.

    A model that fails on a case is wrong there, and the fault is its error.

    Args:
        cases: The cases.
        model: A chat model that binds tools.
        progress: Called with "tool calls", the number done, and the total.
        **options: Arguments of every call of the model, such as `temperature`.
    """
    faults: dict[str, str] = {}
    right: dict[str, list[float]] = {}
    for place, case in enumerate(cases, 1):
        try:
            message = model.bind_tools(case.tools).invoke(case.messages, **options)
            fault = check_calls(case, [(call["name"], call["args"]) for call in message.tool_calls])
        except Exception as error:  # one case must not take the others with it
            fault = f"{type(error).__name__}: {error}"
        if fault:
            faults[case.id] = fault
        right.setdefault(case.category, []).append(float(fault is None))
        if progress:
            progress("tool calls", place, len(cases))
    return ToolReport({name: estimate_mean(values) for name, values in right.items()}, faults)


def check_calls(case: ToolCase, calls: Sequence[tuple[str, dict[str, Any]]]) -> str | None:
    """Return what is wrong with calls, each a name and arguments; None if they are right, in any order."""
    if len(calls) != len(case.expected):
        return f"{len(calls)} calls; expected {len(case.expected)}"
    left = list(case.expected)
    for name, arguments in calls:
        checked = [(_check_call(name, arguments, one, case.tools), one) for one in left]
        fitting = [one for fault, one in checked if fault is None]
        if not fitting:
            return str(checked[0][0])
        left.remove(fitting[0])
    return None


def _check_call(
    name: str,
    arguments: dict[str, Any],
    expected: tuple[str, dict[str, list[Any]]],
    tools: Sequence[dict[str, Any]],
) -> str | None:
    wanted, values = expected
    if name != wanted:
        return f"called {name}; expected {wanted}"
    parameters = next(tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == name)
    for argument in parameters.get("required", []):
        if argument not in arguments:
            return f"{name}: the argument {argument} is missing"
    for argument, value in arguments.items():
        if argument not in values:
            return f"{name}: the argument {argument} is not expected"
        if not any(_is_same(value, one) for one in values[argument]):
            return f"{name}: {argument} is {value!r}; expected one of {values[argument]!r}"
    for argument, possible in values.items():
        if argument not in arguments and "" not in possible:
            return f"{name}: the argument {argument} is missing"
    return None


def _is_same(value: Any, expected: Any) -> bool:
    """Tell whether an argument is an expected value, by the rules of BFCL."""
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, str) and isinstance(expected, str):
        return _plain(value) == _plain(expected)
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(_is_same, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        # In a nested object, each key has its list of possible values.
        known = all(
            key in expected and any(_is_same(one, ok) for ok in expected[key]) for key, one in value.items()
        )
        return known and all(key in value or "" in ok for key, ok in expected.items())
    return bool(value == expected)


def _plain(text: str) -> str:
    return _IGNORED.sub("", text).lower().replace("'", '"')


def _read_cases(file: Path, category: str) -> Iterator[ToolCase]:
    answers: dict[str, Any] = {}
    if "irrelevance" not in category:
        rows = _read_lines(file.parent / "possible_answer" / file.name)
        answers = {row["id"]: row["ground_truth"] for row in rows}
    for row in _read_lines(file):
        expected = [
            (_name(name), arguments)
            for call in answers.get(row["id"], [])
            for name, arguments in call.items()
        ]
        yield ToolCase(
            row["id"],
            category,
            [(message["role"], message["content"]) for message in row["question"][0]],
            [_tool(function) for function in row["function"]],
            expected,
        )


def _read_lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    parameters = _json_schema(function["parameters"])
    own = {**function, "name": _name(function["name"]), "parameters": parameters}
    return {"type": "function", "function": own}


def _name(name: str) -> str:
    """Return a name with the characters that every server allows."""
    return _NO_NAME.sub("_", name)


def _json_schema(schema: Any) -> Any:
    """Return a schema in JSON Schema's words: BFCL says "dict" for "object"."""
    if isinstance(schema, list):
        return [_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            value = _JSON_TYPES.get(value, value)
            if value is None:
                continue  # "any" is the schema without a type
        found[key] = _json_schema(value)
    return found
