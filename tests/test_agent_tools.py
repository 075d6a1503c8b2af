"""The agent's tools: reading around a passage, sources, checked quotes, the calculator, the clock."""

from __future__ import annotations

import pytest
from langchain_core.tools import tool

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs import create_rag_agent
from qwen_agentkit.graphs.sample_tools import calculate, clock
from tests.clock import processor_seconds
from tests.fakes.agents import (
    GOOD,
    Played,
    Shelf,
    calls,
    paged_store,
    search,
    tool_texts,
)

# Its tools


def test_a_section_is_read_around_a_passage() -> None:
    model = Played(
        lines=[
            search("page 3 of the red handbook"),
            calls(("read_section", {"passage": 1}), ("read_section", {"passage": 9})),
            "Done.",
        ]
    )
    found, section, unknown = tool_texts(create_rag_agent(model, paged_store()), passages=1)
    place = int(found.split("Page ")[1].split()[0])
    near = [number for number in (place - 1, place, place + 1) if 0 <= number < 6]
    assert [f"Page {number} of" in section for number in range(6)] == [number in near for number in range(6)]
    assert "blue" not in section
    assert unknown == "There is no passage [9]: expected 1 to 1."


def test_sources_are_listed_from_the_store_or_from_what_was_found() -> None:
    lines = [calls(("list_sources", {})), search("library opens"), calls(("list_sources", {})), "Done."]
    texts = tool_texts(create_rag_agent(Played(lines=lines), paged_store()))
    assert texts[0] == "Sources:\nblue.md: Blue\nred.md: Red"
    texts = tool_texts(create_rag_agent(Played(lines=lines), Shelf()))
    assert texts[0] == "No source is known yet: search first."
    assert texts[2] == "Sources of the passages found so far:\nen/hours.md"


@pytest.mark.parametrize(
    ("passage", "quote", "answer"),
    [
        (1, "library  opens at NINE", "holds this word for word"),
        (1, "opens at ten", "nearest sentence: The library opens at nine."),
        (7, "opens", "no passage [7]"),
    ],
)
def test_a_quote_is_checked(passage: int, quote: str, answer: str) -> None:
    cite = calls(("cite", {"passage": passage, "quote": quote}))
    texts = tool_texts(create_rag_agent(Played(lines=[search("library opens"), cite, GOOD]), Shelf()))
    assert answer in texts[1]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("17.5 * (3 + 4) ** 2", 857.5),
        ("-7 // 2 + 10 % 4", -2),
        ("sqrt(2) ** 2 - min(2, 3)", 4.440892098500626e-16),
        ("round(10 / 3, 2)", 3.33),
        ("2 ** 0.5 * 0", 0),
    ],
)
def test_the_calculator_calculates(expression: str, value: float) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        *("9 ** 9 ** 9", "10 ** 400", "1e400", "1 / 0", "sqrt(-1)", "(-8) ** 0.5", "", "2 +", "True + 1"),
        *("__import__('os')", "(1).real", "'a' * 9", "[1] * 9", "x", "abs(x=1)", "min()", "1 if 1 else 2"),
        *("9" * 501, "(" * 400, "1e99 * 1e99", "0 ** -1", "exp(1000)"),
    ],
)
def test_the_calculator_refuses(expression: str) -> None:
    with processor_seconds(1), pytest.raises(InputError, match="expected"):
        calculate(expression)


def test_the_clock_knows_time_zones() -> None:
    there, here = (clock.invoke({"time_zone": zone}) for zone in ("Asia/Shanghai", "UTC"))
    assert "+0800 (Asia/Shanghai)" in there
    assert "+0000 (UTC)" in here
    for nonsense in ("Mars", "../../etc/passwd", ""):
        with pytest.raises(InputError, match="IANA"):
            clock.invoke({"time_zone": nonsense})


def test_tools_of_one_name_and_unknown_approvals_are_refused() -> None:
    @tool("search")
    def mine(query: str) -> str:
        """Search elsewhere."""
        return query

    with pytest.raises(InputError, match="named search"):
        create_rag_agent(None, Shelf(), tools=[mine])
    with pytest.raises(InputError, match="send_mail, which is no tool"):
        create_rag_agent(None, Shelf(), approve=["send_mail"])


# Approval
