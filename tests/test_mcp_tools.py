"""Tools of MCP servers in an agent: real servers in processes of their own, old ones and bad ones too."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from qwen_agentkit.errors import InputError, ToolServerError
from qwen_agentkit.graphs import create_rag_agent
from qwen_agentkit.graphs.mcp_tools import load_mcp_tools
from tests.fakes.agents import Played, Shelf, ask, calls

THREAD: Any = {"configurable": {"thread_id": "1"}}

SERVER = '''
from typing import Annotated
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp.types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("test")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def wipe(what: str) -> str:
    """Wipe something."""
    raise ToolError(f"cannot wipe {what}")


class Day(BaseModel):
    day: str


def ask() -> Elicit[Day]:
    return Elicit("Which day?", Day)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def book(seat: int, when: Annotated[Day, Resolve(ask)]) -> str:
    """Book a seat."""
    return f"seat {seat} on {when.day}"


server.run("stdio")
'''

# Speaks the protocol of 2025-06-18 and nothing newer, line by line.
OLD_SERVER = """
import json, sys

ADD = {"name": "add", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
ANSWERS = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "old", "version": "1"},
    },
    "tools/list": {"tools": [ADD]},
    "tools/call": {"content": [{"type": "text", "text": "42"}]},
}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        answer = ANSWERS.get(asked["method"])
        known = {"result": answer} if answer else {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **known}), flush=True)
"""

Connect = Callable[[str], dict[str, Any]]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """The connection to a server of this source."""

    def write(source: str) -> dict[str, Any]:
        script = tmp_path / "server.py"
        script.write_text(source, encoding="utf-8")
        return {"command": sys.executable, "args": [str(script)]}

    return write


def results(state: dict[str, Any]) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def test_a_tool_with_side_effects_waits_for_approval(connect: Connect) -> None:
    tools = asyncio.run(load_mcp_tools({"test": {"transport": "stdio", **connect(SERVER)}}))
    effects = {one.name: one.metadata["side_effects"] for one in tools if one.metadata}
    assert effects == {"add": False, "wipe": True, "book": False}
    wanted = calls(("add", {"a": 40, "b": 2}), ("wipe", {"what": "disk"}))
    model = Played(lines=[wanted, "Done."])
    agent = create_rag_agent(model, Shelf(), tools=tools, checkpointer=InMemorySaver())
    stopped = agent.invoke(ask("Add and wipe"), THREAD)
    [request] = stopped["__interrupt__"][0].value["action_requests"]
    assert request["name"] == "wipe"
    state = asyncio.run(agent.ainvoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD))
    added, wiped = results(state)
    assert added.text == "42"
    assert "cannot wipe disk" in wiped.text
    assert state["answer"] == "Done."


def test_two_servers_have_names_of_their_own(connect: Connect) -> None:
    connection = connect(SERVER)
    tools = asyncio.run(load_mcp_tools({"one": connection, "two": connection}))
    assert {"one_add", "one_wipe", "two_add", "two_wipe"} < {one.name for one in tools}
    [add] = [one for one in tools if one.name == "two_add"]
    assert "42" in str(add.invoke({"a": 40, "b": 2}))


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_question_of_the_server_waits_for_a_person(connect: Connect, way: str) -> None:
    tools = asyncio.run(load_mcp_tools({"test": connect(SERVER)}))
    model = Played(lines=[calls(("book", {"seat": 7})), "Done."])
    agent = create_rag_agent(model, Shelf(), tools=tools, checkpointer=InMemorySaver())

    def run(given: Any) -> Any:
        return asyncio.run(agent.ainvoke(given, THREAD)) if way == "ainvoke" else agent.invoke(given, THREAD)

    [question] = run(ask("Book"))["__interrupt__"][0].value["requests"]
    assert question["message"] == "Which day?"
    answer = {"action": "accept", "content": {"day": "Friday"}}
    state = run(Command(resume={"responses": {question["key"]: answer}}))
    assert results(state)[0].text == "seat 7 on Friday"


def test_a_server_of_an_older_protocol(connect: Connect) -> None:
    [add] = asyncio.run(load_mcp_tools({"old": connect(OLD_SERVER)}))
    agent = create_rag_agent(Played(lines=[calls(("add", {})), "Done."]), Shelf(), tools=[add])
    assert results(agent.invoke(ask("Add")))[0].text == "42"


@pytest.mark.parametrize(
    "source",
    ["import time; time.sleep(60)", "raise SystemExit(3)", "print('hello'); input()"],
    ids=["hangs", "ends", "speaks something else"],
)
def test_a_server_that_is_none_is_an_error(connect: Connect, source: str) -> None:
    with pytest.raises(ToolServerError, match="The tools of bad could not be listed"):
        asyncio.run(load_mcp_tools({"bad": connect(source)}, timeout=2))


def test_a_server_that_dies_later_is_an_error_that_the_model_reads(connect: Connect, tmp_path: Path) -> None:
    tools = asyncio.run(load_mcp_tools({"test": connect(SERVER)}))
    (tmp_path / "server.py").write_text("raise SystemExit(3)")
    agent = create_rag_agent(Played(lines=[calls(("add", {"a": 1, "b": 2})), "Done."]), Shelf(), tools=tools)
    state = agent.invoke(ask("Add"))
    assert results(state)[0].status == "error"
    assert state["answer"] == "Done."


def test_a_connection_needs_a_command_or_an_address() -> None:
    with pytest.raises(InputError, match="neither 'command' nor 'url'"):
        asyncio.run(load_mcp_tools({"files": {"args": ["docs"]}}))
