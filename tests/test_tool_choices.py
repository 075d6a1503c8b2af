"""The choice of a tool in the forms that callers write, and answers of servers that do not keep it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from qwen_agentkit import ChatQwen
from qwen_agentkit.chat.tool_choice import read_choice
from qwen_agentkit.errors import InputError, ServerUnsupportedError
from tests.fakes.server import CHAT, URL, Serve, call, chat, delta, serve, sse

__all__ = ["serve"]

NAMES = ["look", "wipe"]
ONE_AT_MOST = {"type": "any", "disable_parallel_tool_use": True}


@tool
def look(query: str) -> str:
    """Look."""
    return query


@tool
def wipe(pattern: str) -> str:
    """Wipe."""
    return pattern


@pytest.mark.parametrize("choice", [look, look.func, {"type": "tool", "name": "look"}, {"function": "look"}])
def test_a_tool_is_chosen_in_any_form(choice: Any) -> None:
    assert read_choice(choice, NAMES) == "look"


@pytest.mark.parametrize("choice", ["Look", {"type": "tool"}, {"type": "web_search"}, ["look"], print, 2.5])
def test_a_choice_that_is_none_of_them(choice: Any) -> None:
    with pytest.raises(InputError, match=r"not among the tools \(look, wipe\)"):
        read_choice(choice, NAMES)


@pytest.mark.parametrize("name", ["none", "auto", "any"])
def test_a_tool_named_like_a_choice_is_not_mixed_up_with_it(name: str) -> None:
    with pytest.raises(InputError, match="Rename it"):
        read_choice({"type": "function", "function": {"name": name}}, [name, "look"])


def test_one_call_at_most_in_the_form_of_anthropic(serve: Serve) -> None:
    server = serve({CHAT: sse([delta(tool_calls=[call(0, "look", "{}", "1")]), delta("tool_calls")])})
    bound = chat().bind_tools([look, wipe], tool_choice=ONE_AT_MOST)
    bound.invoke("x")
    chat().invoke("x", tools=[look, wipe], tool_choice=ONE_AT_MOST)
    assert [body["parallel_tool_calls"] for body in server.bodies()] == [False, False]


@pytest.mark.parametrize(
    ("choice", "called", "wrong"),
    [
        ("any", "nonesuch", "has to be a tool call.*'nonesuch'"),
        ("look", "wipe", "has to be a call of 'look'.*'wipe'"),
        ("none", "look", "tool_choice='none'.*'look'"),
    ],
)
def test_another_call_than_the_one_that_is_asked_for(
    serve: Serve, choice: str, called: str, wrong: str
) -> None:
    serve({CHAT: sse([delta(tool_calls=[call(0, called, "{}", "1")]), delta("tool_calls")])})
    with pytest.raises(ServerUnsupportedError, match=wrong):
        chat().bind_tools([look, wipe], tool_choice=choice).invoke("x")


def test_tools_count_with_a_tokenizer_of_the_callers() -> None:
    llm = ChatQwen(model="q", base_url=URL, custom_get_token_ids=lambda text: list(text.encode()))
    asked = [HumanMessage("Hello")]
    alone = llm.get_num_tokens_from_messages(asked)
    assert llm.get_num_tokens_from_messages(asked, tools=[look]) > alone + len("look")
    assert llm.get_num_tokens_from_messages(asked, tools=[]) == alone
