#!/usr/bin/env bash
# mcp 2.3.0 (the official Python SDK): a request whose id is 1.0 gets no answer, and no error either.
#
# The schema of the protocol of 2025-11-25 says that the id of a request is a string or an "integer", which in JSON
# Schema is any number without a fraction, 1.0 too (validation of 2020-12, 6.1.1; its core, 6.3, only advises to write
# 1). The TypeScript schema says string | number. JSON-RPC 2.0, 4.1: what has no id is a notification, and everything
# else has to be answered.
#
# What happens: the id does not fit the SDK's strict integer, so that its union of messages reads the request as a
# notification. The server answers 202 without a body, never runs the tool, and the client waits for ever. Clients in
# languages whose numbers are all floats may write 1.0.
#
# Output seen:
#   id 1: 200, the tool ran 1 times
#   id 1.0: 202, the tool ran 1 times, body b''
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mcp==2.3.0
"$folder/venv/bin/python" - <<'PYTHON'
import json, logging, socket, threading, time, urllib.request

import uvicorn
from mcp.server.mcpserver import MCPServer

server, ran = MCPServer("finding", log_level="ERROR"), []


@server.tool()
def work() -> str:
    ran.append(1)
    return "done"


listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
app = server.streamable_http_app(stateless_http=True, json_response=True)
running = uvicorn.Server(uvicorn.Config(app, log_level="error"))
thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
thread.start()
while not running.started:
    time.sleep(0.05)


def call(id: str) -> tuple[int, bytes]:
    body = '{"jsonrpc": "2.0", "id": %s, "method": "tools/call", "params": {"name": "work", "arguments": {}}}' % id
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/mcp", body.encode(), headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return answer.status, answer.read()


try:
    status, body = call("1")
    print(f"id 1: {status}, the tool ran {len(ran)} times")
    assert status == 200 and json.loads(body)["id"] == 1 and len(ran) == 1
    status, body = call("1.0")
    print(f"id 1.0: {status}, the tool ran {len(ran)} times, body {body!r}")
    assert (status, body, len(ran)) == (202, b"", 1), "It answers now."
finally:
    running.should_exit = True
    thread.join()
PYTHON
