"""Tools of MCP servers for an agent. Knows langchain-mcp-adapters, not what the tools do."""

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
    """Load the tools of MCP servers, for agents that are called with or without ``await``.

    A tool that its server does not declare read-only gets ``metadata["side_effects"]``, so that
    `create_rag_agent` asks for approval. Nobody checks what a server declares: name only servers you trust.
    Each call opens a session of its own.

    Example::

        servers = {"files": {"transport": "stdio", "command": "mcp-files", "args": ["docs/"]}}
        tools = asyncio.run(load_mcp_tools(servers))

    Args:
        servers: Connections by name, as `MultiServerMCPClient` takes them. With several servers the tools
            are named ``server_tool``.
    """
    connections: Any = {name: dict(connection) for name, connection in servers.items()}
    client = MultiServerMCPClient(connections, tool_name_prefix=len(connections) > 1)
    return [_add_sync_call(tool) for tool in await client.get_tools()]


def _add_sync_call(tool: BaseTool) -> BaseTool:
    """The tool with a plain function in addition to its coroutine, and with ``side_effects``."""
    metadata = tool.metadata or {}
    update: dict[str, Any] = {
        "metadata": {**metadata, "side_effects": metadata.get("readOnlyHint") is not True}
    }
    coroutine = tool.coroutine if isinstance(tool, StructuredTool) else None
    if coroutine is not None:
        call: Any = coroutine

        # LangGraph runs plain calls in threads without an event loop.
        def run_coroutine(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(call(*args, **kwargs))

        update["func"] = run_coroutine
    return tool.model_copy(update=update)
