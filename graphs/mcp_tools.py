"""Tools of MCP servers for an agent. Knows langchain.mcp, not what the tools do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.tools import BaseTool, StructuredTool

from qwen_agentkit.errors import InputError, ToolServerError, missing_extra

try:
    from fastmcp.client import Client
    from fastmcp.client.group import ClientGroup
    from fastmcp.mcp_config import MCPConfig
except ModuleNotFoundError as error:
    raise missing_extra(error, "fastmcp", "mcp") from error
with suppress_langchain_beta_warning():  # the warning is for who writes against it
    from langchain.mcp import MCPAdapter

__all__ = ["load_mcp_tools"]


async def load_mcp_tools(
    servers: Mapping[str, Mapping[str, Any]], *, timeout: float = 60.0
) -> list[BaseTool]:
    """Load the tools of MCP servers, for agents that are called with or without ``await``.

    A tool that its server does not declare read-only gets ``metadata["side_effects"]``, so that
    `create_rag_agent` asks for approval. Nobody checks what a server declares: name only servers you trust.
    Servers of the protocol of 2026-07-28 and of those before it are understood. A server that asks for input
    in the middle of a call interrupts the graph; resume it with the answer, as `langchain.mcp.elicitation`
    describes. A call that fails becomes an error that the agent's model reads.

    Example::

        servers = {"files": {"command": "mcp-files", "args": ["docs/"]}}
        tools = asyncio.run(load_mcp_tools(servers))

    Args:
        servers: Connections by name, in the common form: ``command``, ``args`` and ``env`` of a program, or
            ``url`` and ``headers``. With several servers the tools are named ``server_tool``.
        timeout: Seconds that a server has to start, and to answer each call.

    Raises:
        InputError: A connection has neither a command nor a URL.
        ToolServerError: A server does not start, does not answer in time, or does not speak MCP.
    """
    clients = {name: _make_client(name, connection, timeout) for name, connection in servers.items()}
    if not clients:
        return []
    target = next(iter(clients.values())) if len(clients) == 1 else ClientGroup(clients)
    try:
        tools = await asyncio.wait_for(MCPAdapter(target).list_tools(), timeout)
    except Exception as error:  # whatever a program of others does
        reason = str(error) or type(error).__name__
        raise ToolServerError(
            f"The tools of {', '.join(sorted(clients))} could not be listed: {reason}. Expected MCP servers "
            f"that answer within {timeout:g} seconds. Start the command by hand, or open the URL, to see why."
        ) from error
    return [_as_server_tool(tool) for tool in tools]


def _make_client(name: str, connection: Mapping[str, Any], timeout: float) -> Client[Any]:
    """Return the client of one server."""
    settings = dict(connection)
    if settings.get("transport") == "streamable_http":  # the name in langchain-mcp-adapters
        settings["transport"] = "http"
    if not settings.get("command") and not settings.get("url"):
        raise InputError(
            f"The MCP server {name!r} has neither 'command' nor 'url'; expected one of them. "
            "Example: {'command': 'mcp-files', 'args': ['docs/']}."
        )
    server = MCPConfig.from_dict({"mcpServers": {name: settings}}).mcpServers[name]
    return Client(server.to_transport(), name=name, timeout=timeout, init_timeout=timeout)


class _ServerTool(StructuredTool):
    """A tool of a server, called with or without ``await``.

    `StructuredTool` keeps what is named `config` or `run_manager` to itself, which are names that a server's
    arguments may have, too. So these calls take every argument as the tool's.
    """

    coroutine: Callable[..., Awaitable[Any]]

    def _run(self, /, *args: Any, **kwargs: Any) -> Any:
        # LangGraph runs plain calls in threads without an event loop.
        return asyncio.run(self._arun(*args, **kwargs))

    async def _arun(self, /, *args: Any, **kwargs: Any) -> Any:
        return await self.coroutine(*args, **kwargs)


def _as_server_tool(tool: BaseTool) -> BaseTool:
    """Return the tool as one that can be called without ``await``, with ``side_effects``."""
    fields = {name: getattr(tool, name) for name in type(tool).model_fields}
    metadata = tool.metadata or {}
    hints = metadata.get("mcp", {}).get("tool", {}).get("annotations", {})
    side_effects = hints.get("read_only_hint") is not True
    return _ServerTool(**{**fields, "metadata": {**metadata, "side_effects": side_effects}})
