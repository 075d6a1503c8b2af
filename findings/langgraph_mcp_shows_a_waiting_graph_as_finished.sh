#!/usr/bin/env bash
# langgraph-api 0.16.7: a graph that waits for a person (`interrupt`) is a finished tool call of the server's MCP
# endpoint, and nobody can answer it: the run has no thread. The text of every result is Python's repr of the
# state, which a program cannot read back.
#
# Documented: `interrupt` pauses a graph until it is resumed on its thread, and graphs are tools at /mcp. MCP has
# "isError" for calls that did not work.
# Seen: {'content': [{'type': 'text', 'text': "{'name': 'Ada', '__interrupt__': [{'value': 'May I?', 'id': ...}]}"}]}
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet 'langgraph-cli[inmem]==0.4.40' langgraph-api==0.16.7 langgraph-runtime-inmem==0.36.7 \
    langgraph==1.2.24

cat >ask.py <<'PYTHON'
from langgraph.graph import StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict


class State(TypedDict):
    name: str


def ask(state: State) -> State:
    return {"name": interrupt("May I?")}


builder = StateGraph(State)
builder.add_node("ask", ask)
builder.set_entry_point("ask")
graph = builder.compile()
PYTHON
echo '{"dependencies": ["."], "graphs": {"ask": "./ask.py:graph"}}' >langgraph.json

cat >call.py <<'PYTHON'
import ast
import json
import sys
import time
import urllib.error
import urllib.request

body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": {"name": "Ada"}}}
headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
request = urllib.request.Request(sys.argv[1] + "/mcp", json.dumps(body).encode(), headers)
for attempt in range(120):
    try:
        result = json.load(urllib.request.urlopen(request, timeout=60))["result"]
        break
    except urllib.error.URLError:
        time.sleep(1)
print(result)
[content] = result["content"]
assert "isError" not in result, "marked as an error: the finding is out of date"
assert "__interrupt__" in ast.literal_eval(content["text"]), content
try:
    json.loads(content["text"])
except json.JSONDecodeError:
    print("The text is no JSON.")
else:
    raise SystemExit("JSON: the finding is out of date")
PYTHON

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
LANGSMITH_TRACING=false venv/bin/langgraph dev --no-browser --no-reload --port "$port" >server.log 2>&1 &
server=$!
python3 call.py "http://127.0.0.1:$port"
