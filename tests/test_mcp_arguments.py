"""What a model writes as arguments reaches an MCP server, whatever names the server has for them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool

from qwen_agentkit.graphs.mcp_tools import load_mcp_tools

# Names that LangChain or LangGraph has a meaning of its own for.
NAMES = ["config", "run_manager", "callbacks", "self", "args", "kwargs", "runtime", "state", "store"]

# Speaks the protocol of 2025-06-18, and answers a call with its arguments.
SERVER = f"""
import json, sys

SCHEMA = {{"type": "object", "properties": {{name: {{"type": "integer"}} for name in {NAMES}}}}}
ANSWERS = {{
    "initialize": {{
        "protocolVersion": "2025-06-18",
        "capabilities": {{"tools": {{}}}},
        "serverInfo": {{"name": "echo", "version": "1"}},
    }},
    "tools/list": {{"tools": [{{"name": "echo", "inputSchema": SCHEMA}}]}},
}}
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") == "tools/call":
        text = json.dumps(asked["params"]["arguments"])
        result = {{"content": [{{"type": "text", "text": text}}]}}
    else:
        result = ANSWERS.get(asked.get("method"))
    known = {{"result": result}} if result else {{"error": {{"code": -32601, "message": "Method not found"}}}}
    if "id" in asked:
        print(json.dumps({{"jsonrpc": "2.0", "id": asked["id"], **known}}), flush=True)
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> BaseTool:
    script: Path = tmp_path_factory.mktemp("server") / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    [tool] = asyncio.run(load_mcp_tools({"echo": {"command": sys.executable, "args": [str(script)]}}))
    return tool


@pytest.mark.parametrize("way", ["await", "plain"])
def test_every_argument_arrives(echo: BaseTool, way: str) -> None:
    arguments: dict[str, Any] = {name: number for number, name in enumerate(NAMES)}
    call = {"type": "tool_call", "id": "1", "name": "echo", "args": arguments}
    message = asyncio.run(echo.ainvoke(call)) if way == "await" else echo.invoke(call)
    assert message.status == "success"
    assert json.loads(message.text) == arguments
