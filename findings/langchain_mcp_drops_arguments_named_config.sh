#!/usr/bin/env bash
# langchain 1.5.2: a tool of an MCP server never gets an argument that is named `config` or `run_manager`.
#
# Version: langchain 1.5.2 with langchain-core 1.8.3, fastmcp 4.2.3 and mcp 2.3.0.
# Documentation (langchain.mcp, as_langchain_tool): the returned tool calls the MCP tool on every invocation. The schema
#   that the model is shown has both arguments.
# What happens instead: StructuredTool takes the two names for its own and keeps them. A required argument is always
#   missing. An optional one has its default, and the call succeeds: a server that a model asks to keep 90 days keeps 7.
# Output seen:
#   sent {'config': 90, 'run_manager': 90, 'days': 90}, the server got {'config': 7, 'run_manager': 7, 'days': 90}
#
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet langchain==1.5.2 langchain-core==1.8.3 fastmcp==4.2.3 mcp==2.3.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import asyncio
import json

from langchain.mcp import MCPAdapter
from mcp.server.mcpserver import MCPServer

server = MCPServer("test")


@server.tool()
def keep(config: int = 7, run_manager: int = 7, days: int = 7) -> str:
    """Keep files for some days."""
    return json.dumps({"config": config, "run_manager": run_manager, "days": days})


async def main():
    async with MCPAdapter(server) as adapter:
        [tool] = await adapter.list_tools()
        sent = {"config": 90, "run_manager": 90, "days": 90}
        assert sent.keys() == tool.args.keys()
        message = await tool.ainvoke({"type": "tool_call", "id": "1", "name": "keep", "args": sent})
        got = json.loads(message.text)
        print(f"sent {sent}, the server got {got}")
        assert message.status == "success"
        assert got == {"config": 7, "run_manager": 7, "days": 90}, "the finding is out of date"


asyncio.run(main())
PYTHON
