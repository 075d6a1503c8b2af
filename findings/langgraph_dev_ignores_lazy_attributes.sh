#!/usr/bin/env bash
# langgraph-api 0.16.7: the loader of `langgraph dev` looks a graph up in the dictionary of its module, so a
# name that the module provides on first use (PEP 562, a function `__getattr__`) is not found.
#
# Documented: "graphs": a mapping from the id of a graph to "module:variable". `from lazy import graph` works.
# Seen: ValueError: Could not find graph 'graph' in 'None'. [...]
# The path is None, too: the message names the file, which a graph given by its module does not have.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet langgraph-api==0.16.7 langgraph-runtime-inmem==0.36.7 langgraph==1.2.22

cat >lazy.py <<'PYTHON'
def __getattr__(name):
    if name != "graph":
        raise AttributeError(name)
    from langgraph.graph import MessagesState, StateGraph

    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": ["ok"]})
    builder.set_entry_point("answer")
    return builder.compile()
PYTHON

cat >load.py <<'PYTHON'
from lazy import graph

print("imported:", type(graph).__name__)
from langgraph_api.graph import GraphSpec, _graph_from_spec

load = getattr(_graph_from_spec, "__wrapped__", _graph_from_spec)
try:
    load(GraphSpec(id="graph", module="lazy", variable="graph"))
except ValueError as error:
    print("ValueError:", error)
else:
    raise SystemExit("loaded: the finding is out of date")
PYTHON

DATABASE_URI=:memory: REDIS_URI=_FAKE LANGGRAPH_RUNTIME_EDITION=inmem LANGSMITH_LANGGRAPH_API_VARIANT=local_dev \
    PYTHONPATH=. venv/bin/python load.py | tee output
grep -q "imported: CompiledStateGraph" output
grep -q "Could not find graph 'graph'" output
