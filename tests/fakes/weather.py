"""A tool and a schema about the weather, and a call as a model writes it."""

from __future__ import annotations

from pydantic import BaseModel


def get_weather(city: str, days: int = 1) -> str:
    """Get the weather of a city."""
    return f"{city}: {days}"


CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "القاهرة", "days": 2}}\n</tool_call>'


CALLED = {"city": "القاهرة", "days": 2}


def now() -> str:
    """Tell the time."""
    return "12:00"


class Weather(BaseModel):
    """Weather of a city."""

    city: str
    days: int
