"""The MCP server of a store, read by the SDK's own client and LangChain's, over HTTP and stdio."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from qwen_agentkit.errors import StoreLockedError
from qwen_agentkit.stack import Stack
from tests.serve_site import ADDRESS, HOURS, QUESTION, Site, served

TOOLS = {"search", "read_around", "list_documents", "ask"}


@asynccontextmanager
async def session(site: Site, user: str | None = None) -> AsyncIterator[ClientSession]:
    async with (
        site.client(user) as http,
        streamable_http_client(f"{ADDRESS}/mcp", http_client=http) as (read, write, _),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        yield client


async def test_the_tools_over_http(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, session(site) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        assert all(tool.annotations and tool.annotations.readOnlyHint for tool in tools)
        assert all("context" not in tool.inputSchema["properties"] for tool in tools)
        found = (await client.call_tool("search", {"query": QUESTION, "limit": 1})).structuredContent
        assert found is not None
        passage = found["results"][0]["passage"]
        assert HOURS in passage["text"]
        around = await client.call_tool("read_around", {"passage": passage["id"]})
        assert around.structuredContent is not None
        assert around.structuredContent["passages"][0]["id"] == passage["id"]
        listed = (await client.call_tool("list_documents", {})).structuredContent
        assert listed is not None
        assert len(listed["documents"]) == 4
        answer = (await client.call_tool("ask", {"question": QUESTION})).structuredContent
        assert answer is not None
        assert answer["text"].endswith(f"{HOURS} [1]\n\n[1] documents/crew/hours.md")
        assert answer["sentences"][-1]["verdict"] == "supported"
        for name, arguments in (
            ("read_around", {"passage": "none"}),
            ("search", {"query": " "}),
            ("search", {"query": "x", "limit": 9999}),
            ("read_around", {"passage": "/etc/passwd", "around": -1}),
        ):
            assert (await client.call_tool(name, arguments)).isError
        told = await client.call_tool("search", {"query": " "})
        assert "expected what to look for" in str(told.content)


async def test_groups_hold_for_every_tool(nano_stack: Stack) -> None:
    secret = "What is the code of the safe?"
    async with served(nano_stack, {"anna": ["crew"], "ben": ["staff"]}) as site:
        async with session(site, "ben") as ben:
            found = await ben.call_tool("search", {"query": secret})
            assert found.structuredContent is not None
            hidden = next(
                one["passage"]["id"]
                for one in found.structuredContent["results"]
                if "4417" in one["passage"]["text"]
            )
        async with session(site, "anna") as anna:
            for name, arguments in (
                ("search", {"query": secret, "limit": 50}),
                ("read_around", {"passage": hidden}),
                ("list_documents", {}),
                ("ask", {"question": secret}),
            ):
                answer = str(await anna.call_tool(name, arguments))
                assert "4417" not in answer
                assert "staff" not in answer


async def test_langchain_loads_the_tools(nano_stack: Stack) -> None:
    async with served(nano_stack) as site:

        def make(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx.AsyncClient:
            return site.client(**(headers or {}))

        connection = {"url": f"{ADDRESS}/mcp", "httpx_client_factory": make}
        servers: Any = {"store": {"transport": "streamable_http", **connection}}
        tools = {tool.name: tool for tool in await MultiServerMCPClient(servers).get_tools()}
        assert tools.keys() == TOOLS
        assert HOURS in str(await tools["ask"].ainvoke({"question": QUESTION}))


@pytest.mark.enable_socket  # asyncio makes a pair of sockets for the pipes of a process
async def test_the_command_speaks_over_stdio(own_stack: Stack) -> None:
    arguments = ["-m", "qwen_agentkit.cli", "mcp", "--preset", "nano", "--store", str(own_stack.folder)]
    started = StdioServerParameters(command=sys.executable, args=arguments)
    async with stdio_client(started) as (read, write), ClientSession(read, write) as client:
        told = await client.initialize()
        assert told.serverInfo.name == "qwen-agentkit"
        answer = await client.call_tool("ask", {"question": QUESTION})
        assert answer.structuredContent is not None
        assert HOURS in answer.structuredContent["text"]
        with pytest.raises(StoreLockedError):
            own_stack.store()
    with own_stack.store() as store:
        assert store.count() == 4
