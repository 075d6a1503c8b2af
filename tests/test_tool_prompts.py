"""What a model reads of an ordinary tool is what LangChain writes of it."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from qwen_agentkit.chat.tools import read_tools


class Unit(Enum):
    KELVIN = "K"
    CELSIUS = "C"


class Place(BaseModel):
    """Where it is."""

    title: str = Field(description="Its name on the map.")
    unit: Unit = Unit.CELSIUS


class Forecast(BaseModel):
    """Ask for the weather."""

    places: list[Place]
    days: int = Field(default=1, ge=1, le=7)
    kind: Literal["rain", "wind"] | None = None
    options: dict[str, float] = {}


class Booking(TypedDict):
    """Book a room."""

    room: Annotated[str, ..., "The number of the room."]
    guests: int


def mail(to: str, copies: list[str] | None = None, urgent: bool = False) -> str:
    """Send a mail.

    Args:
        to: Who gets it.
        copies: Who else does.
        urgent: Whether it waits.
    """
    return to


@tool
def clock(zone: str = "UTC") -> str:
    """Say what time it is."""
    return zone


@pytest.mark.parametrize("one", [Forecast, Booking, mail, clock], ids=lambda one: getattr(one, "name", one))
def test_an_ordinary_tool_is_written_as_langchain_writes_it(one: Any) -> None:
    (written,) = read_tools([one])
    assert written == convert_to_openai_tool(one)


def test_a_field_named_title_stays() -> None:
    (written,) = read_tools([Place])
    assert list(written["function"]["parameters"]["properties"]) == ["title", "unit"]
