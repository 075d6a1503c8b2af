"""A forced call of several tools that cannot be read: LangChain's agents would end without a word."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import HumanMessage

from qwen_agentkit.errors import AnswerFaultError
from tests.fakes.server import Serve, sse
from tests.test_agent_ends import CHAT, Person, calls, chat, look


@pytest.mark.parametrize("name", ["Person", "look"])
def test_an_agent_ends_with_the_reason(serve: Serve, name: str) -> None:
    serve({CHAT: sse(calls('{"name": "Ali"', name))})
    agent = create_agent(chat(), [look], response_format=ToolStrategy(Person))
    with pytest.raises(AnswerFaultError, match="cannot be read: Expecting"):
        agent.invoke({"messages": [HumanMessage("Who?")]})


def test_a_free_call_is_returned_as_it_came(serve: Serve) -> None:
    serve({CHAT: sse(calls('{"query": ', "look"))})
    message = chat().bind_tools([look, Person]).invoke("Who?")
    assert [call["name"] for call in message.invalid_tool_calls] == ["look"]
