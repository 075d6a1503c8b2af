"""The MCP server of a store, read by the SDK's own client and LangChain's, over HTTP and stdio."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastmcp.client.transports import StreamableHttpTransport
from langchain_core._api import suppress_langchain_beta_warning
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from qwen_agentkit.stack import Stack
from tests.serve_site import ADDRESS, HOURS, QUESTION, Site, served

TOOLS = {"search", "read_around", "list_documents", "ask"}


def http_client(site: Site, user: str | None = None, **settings: Any) -> httpx2.AsyncClient:
    """A client of the SDK's own HTTP library."""
    headers = {"authorization": f"Bearer {site.secrets[user]}"} if user else {}
    transport = httpx2.ASGITransport(site.app)
    return httpx2.AsyncClient(**{**settings, "transport": transport, "headers": headers, "timeout": 60})


@asynccontextmanager
async def session(site: Site, user: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    transport = streamable_http_client(f"{ADDRESS}/mcp", http_client=http_client(site, user))
    async with Client(transport, mode=mode) as client:
        yield client


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
async def test_both_protocols(nano_stack: Stack, mode: str, version: str) -> None:
    async with served(nano_stack) as site, session(site, mode=mode) as client:
        assert client.protocol_version == version
        assert not (await client.call_tool("search", {"query": QUESTION})).is_error


async def test_the_tools_over_http(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, session(site) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert all("context" not in tool.input_schema["properties"] for tool in tools)
        found = (await client.call_tool("search", {"query": QUESTION, "limit": 1})).structured_content
        assert found is not None
        passage = found["results"][0]["passage"]
        assert HOURS in passage["text"]
        around = await client.call_tool("read_around", {"passage": passage["id"]})
        assert around.structured_content is not None
        assert around.structured_content["passages"][0]["id"] == passage["id"]
        listed = (await client.call_tool("list_documents", {})).structured_content
        assert listed is not None
        assert len(listed["documents"]) == 4
        answer = (await client.call_tool("ask", {"question": QUESTION})).structured_content
        assert answer is not None
        assert answer["text"].endswith(f"{HOURS} [1]\n\n[1] documents/crew/hours.md")
        assert answer["sentences"][-1]["verdict"] == "supported"
        for name, arguments in (
            ("read_around", {"passage": "none"}),
            ("search", {"query": " "}),
            ("search", {"query": "x", "limit": 9999}),
            ("read_around", {"passage": "/etc/passwd", "around": -1}),
        ):
            assert (await client.call_tool(name, arguments)).is_error
        told = await client.call_tool("search", {"query": " "})
        assert "query is empty; expected words" in str(told.content)


async def test_groups_hold_for_every_tool(nano_stack: Stack) -> None:
    secret = "What is the code of the safe?"
    async with served(nano_stack, {"anna": ["crew"], "ben": ["staff"]}) as site:
        async with session(site, "ben") as ben:
            found = await ben.call_tool("search", {"query": secret})
            assert found.structured_content is not None
            hidden = next(
                one["passage"]["id"]
                for one in found.structured_content["results"]
                if "QZ4417" in one["passage"]["text"]
            )
        async with session(site, "anna") as anna:
            for name, arguments in (
                ("search", {"query": secret, "limit": 50}),
                ("read_around", {"passage": hidden}),
                ("list_documents", {}),
                ("ask", {"question": secret}),
            ):
                answer = str(await anna.call_tool(name, arguments))
                assert "QZ4417" not in answer
                assert "staff" not in answer


async def test_langchain_loads_the_tools(nano_stack: Stack) -> None:
    with suppress_langchain_beta_warning():
        from langchain.mcp import MCPAdapter
    async with served(nano_stack) as site:

        def make(**settings: Any) -> httpx2.AsyncClient:
            return http_client(site, **settings)

        transport = StreamableHttpTransport(f"{ADDRESS}/mcp", httpx_client_factory=make)
        tools = {tool.name: tool for tool in await MCPAdapter(transport).list_tools()}
        assert tools.keys() == TOOLS
        assert HOURS in str(await tools["ask"].ainvoke({"question": QUESTION}))


@pytest.mark.enable_socket  # asyncio makes a pair of sockets for the pipes of a process
async def test_the_command_speaks_over_stdio(own_stack: Stack) -> None:
    arguments = ["-m", "qwen_agentkit.cli", "mcp", "--preset", "nano", "--store", str(own_stack.folder)]
    started = StdioServerParameters(command=sys.executable, args=arguments)
    async with Client(started) as client:
        assert client.server_info is not None
        assert client.server_info.name == "qwen-agentkit"
        answer = await client.call_tool("ask", {"question": QUESTION})
        assert answer.structured_content is not None
        assert HOURS in answer.structured_content["text"]
    with own_stack.store() as store:
        assert store.count() == 4
