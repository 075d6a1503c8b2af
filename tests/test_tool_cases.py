"""Tool calls against BFCL's answers: its files, its rules, and a model that is right in part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.tool_calls import check_calls, measure_tool_calls, read_tool_cases

FUNCTION = {
    "name": "rooms.book",
    "description": "Books a room.",
    "parameters": {
        "type": "dict",
        "properties": {
            "room": {"type": "string"},
            "hours": {"type": "float"},
            "options": {"type": "dict", "properties": {"quiet": {"type": "boolean"}}},
            "days": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["room"],
    },
}
WANTED = {
    "room": ["Pelican Hall"],
    "hours": [2, ""],
    "options": [{"quiet": [True, ""]}, ""],
    "days": [["Monday", "Friday"], ""],
}
RIGHT = {"room": "pelican-hall", "hours": 2.0, "options": {}, "days": ["monday", "friday"]}


def make_folder(folder: Path) -> Path:
    ask = [[{"role": "user", "content": "Book Pelican Hall."}]]
    other = [[{"role": "user", "content": "What is the weather?"}]]
    files = {
        "BFCL_v4_simple_python.json": [{"id": "s0", "question": ask, "function": [FUNCTION]}],
        "possible_answer/BFCL_v4_simple_python.json": [
            {"id": "s0", "ground_truth": [{"rooms.book": WANTED}]}
        ],
        "BFCL_v4_parallel.json": [{"id": "p0", "question": ask, "function": [FUNCTION]}],
        "possible_answer/BFCL_v4_parallel.json": [
            {"id": "p0", "ground_truth": [{"rooms.book": {"room": ["A"]}}, {"rooms.book": {"room": ["B"]}}]}
        ],
        "BFCL_v4_irrelevance.json": [{"id": "i0", "question": other, "function": [FUNCTION]}],
        "BFCL_v4_memory.json": [{"id": "m0"}],
    }
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


class Books(BaseChatModel):
    """Calls the tool once, whatever is asked."""

    @property
    def _llm_type(self) -> str:
        return "books"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        call = {"name": "rooms_book", "args": RIGHT, "id": "1"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


def test_cases_of_one_turn_are_read(tmp_path: Path) -> None:
    cases = {case.id: case for case in read_tool_cases(make_folder(tmp_path))}
    assert set(cases) == {"s0", "p0", "i0"}
    tool = cases["s0"].tools[0]["function"]
    assert tool["name"] == "rooms_book"
    assert tool["parameters"]["type"] == tool["parameters"]["properties"]["options"]["type"] == "object"
    assert tool["parameters"]["properties"]["hours"]["type"] == "number"
    assert cases["s0"].messages == [("user", "Book Pelican Hall.")]
    assert cases["i0"].expected == []


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (RIGHT, None),
        ({"room": "Pelican Hall"}, None),
        ({"room": "Heron Hall"}, "room is 'Heron Hall'"),
        ({"hours": 2}, "the argument room is missing"),
        ({"room": "Pelican Hall", "seats": 3}, "the argument seats is not expected"),
        ({"room": "Pelican Hall", "hours": 3}, "hours is 3"),
        ({"room": "Pelican Hall", "hours": "2"}, "hours is '2'"),
        ({"room": "Pelican Hall", "hours": True}, "hours is True"),
        ({"room": "Pelican Hall", "options": {"quiet": False}}, "options is"),
        ({"room": "Pelican Hall", "days": ["Friday", "Monday"]}, "days is"),
    ],
)
def test_arguments_are_compared_by_the_rules(
    tmp_path: Path, arguments: dict[str, Any], fault: str | None
) -> None:
    case = next(one for one in read_tool_cases(make_folder(tmp_path)) if one.id == "s0")
    found = check_calls(case, [("rooms_book", arguments)])
    assert found is None if fault is None else fault in str(found)


def test_calls_may_come_in_any_order(tmp_path: Path) -> None:
    case = next(one for one in read_tool_cases(make_folder(tmp_path)) if one.id == "p0")
    calls = [("rooms_book", {"room": "B"}), ("rooms_book", {"room": "A"})]
    assert check_calls(case, calls) is None
    assert check_calls(case, calls[:1]) == "1 calls; expected 2"
    assert "expected one of ['B']" in str(check_calls(case, [calls[1], calls[1]]))
    assert check_calls(case, [("other", {}), calls[1]]) == "called other; expected rooms_book"


def test_a_model_is_measured_by_category(tmp_path: Path) -> None:
    report = measure_tool_calls(read_tool_cases(make_folder(tmp_path)), Books())
    assert {name: one.value for name, one in report.right.items()} == {
        "simple_python": 1.0,
        "parallel": 0.0,
        "irrelevance": 0.0,
    }
    assert report.faults == {"p0": "1 calls; expected 2", "i0": "1 calls; expected 0"}


def test_what_is_no_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no cases"):
        read_tool_cases(tmp_path)
    (make_folder(tmp_path) / "possible_answer" / "BFCL_v4_parallel.json").unlink()
    with pytest.raises(InputError, match=r"BFCL_v4_parallel\.json' is broken"):
        read_tool_cases(tmp_path)
