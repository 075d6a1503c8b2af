"""Tools of MCP servers for an agent. Knows langchain-mcp-adapters, nothing of what the tools do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from qwen_agentkit.errors import missing_extra

try:
    from langchain_mcp_adapters.client import MultiServerMCPClient
except ModuleNotFoundError as error:
    raise missing_extra(error, "langchain_mcp_adapters", "mcp") from error

__all__ = ["load_mcp_tools"]


async def load_mcp_tools(servers: Mapping[str, Mapping[str, Any]]) -> list[BaseTool]:
    """The tools of MCP servers, also for agents that are not called with ``await``.

    A tool that its server does not declare read-only has ``metadata["side_effects"]``, on which
    `create_rag_agent` asks for approval. That declaration is the server's word: name only servers you trust.
    Each call opens a session of its own.

    Example::

        servers = {"files": {"transport": "stdio", "command": "mcp-files", "args": ["docs/"]}}
        tools = asyncio.run(load_mcp_tools(servers))

    Args:
        servers: connections by name, as `MultiServerMCPClient` takes them. With several servers the tools
            are named ``server_tool``.
    """
    connections: Any = {name: dict(connection) for name, connection in servers.items()}
    client = MultiServerMCPClient(connections, tool_name_prefix=len(connections) > 1)
    return [_both_ways(tool) for tool in await client.get_tools()]


def _both_ways(tool: BaseTool) -> BaseTool:
    """The tool with a plain function beside its coroutine, and a note whether it changes anything."""
    metadata = tool.metadata or {}
    update: dict[str, Any] = {
        "metadata": {**metadata, "side_effects": metadata.get("readOnlyHint") is not True}
    }
    coroutine = tool.coroutine if isinstance(tool, StructuredTool) else None
    if coroutine is not None:
        call: Any = coroutine

        # LangGraph runs plain calls in threads of their own, where no event loop runs.
        def wait(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(call(*args, **kwargs))

        update["func"] = wait
    return tool.model_copy(update=update)
