"""`langgraph dev`, started for real and offline: every graph of langgraph.json through its clients.

One server for all tests, with nano models, authentication and documents of two groups. It blocks on no
event loop (no `--allow-blocking`), and an audit hook in it notes every address outside this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import APIStatusError

from qwen_agentkit.cli.scaffold import TEMPLATES, create_project

pytest.importorskip("langgraph_api", reason="pip install 'qwen-agentkit[studio]'")
pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[1]
GRAPHS: dict[str, Any] = json.loads((ROOT / "langgraph.json").read_text())["graphs"]

USERS = {
    "anna": {"groups": ["crew"], "admin": False},
    "boris": {"groups": ["staff"], "admin": False},
    "carol": {"groups": ["crew", "staff"], "admin": True},
    "nobody": {"groups": [], "admin": False},
}
DOCUMENTS = {
    "crew/hours.md": "The library opens at nine.",
    "crew/قارب.md": "يغادر القارب في السابعة والنصف.",
    "crew/anchor.md": "The anchor weighs forty kilograms.",
    "crew/sails.md": "The sails are mended in winter.",
    "staff/safe.md": "The safe opens with the number 4417.",
    "staff/lamp.md": "The lamp is cleaned on Mondays.",
    "staff/keys.md": "The keys hang behind the door.",
}
LIBRARY = {"messages": [{"role": "user", "content": "When does the library open?"}]}
SAFE = {"messages": [{"role": "user", "content": "With which number does the safe open?"}]}

# Loaded by every Python that starts in the server's environment.
WATCH = """
import sys
def note(event, arguments):
    if event == "socket.connect":
        address = arguments[1][0] if isinstance(arguments[1], tuple) else "127.0.0.1"
    elif event == "socket.getaddrinfo":
        address = arguments[0]
    else:
        return
    if address not in (None, "", "127.0.0.1", "localhost", "::1", "0.0.0.0"):
        with open({path!r}, "a") as file:
            print(event, address, file=file)
sys.addaudithook(note)
open({path!r} + "-watched", "w").close()
"""


@dataclass(frozen=True)
class Server:
    """A running `langgraph dev`."""

    url: str
    folder: Path
    clients: dict[str, SyncLangGraphClient] = field(default_factory=dict)

    def headers(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer token of {user}"}

    def client(self, user: str) -> SyncLangGraphClient:
        if user not in self.clients:
            self.clients[user] = get_sync_client(url=self.url, headers=self.headers(user), api_key=None)
        return self.clients[user]

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def write(self) -> None:
        for name, text in DOCUMENTS.items():
            file = self.folder / "documents" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def remove(self, *names: str) -> None:
        for name in names:
            (self.folder / "documents" / name).unlink()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    server = Server(f"http://127.0.0.1:{port}", folder)
    server.write()
    (folder / "sitecustomize.py").write_text(WATCH.format(path=str(folder / "network")))
    hashes = {name: hashlib.sha256(f"token of {name}".encode()).hexdigest() for name in USERS}
    users = {hashes[name]: {"identity": name, **rest} for name, rest in USERS.items()}
    (folder / "users.json").write_text(json.dumps(users))
    auth = {"path": f"{ROOT}/examples/auth.py:auth", "disable_studio_auth": True}
    own = {}
    for graph in TEMPLATES:
        create_project(folder / f"my-{graph}", graph)
        graphs = json.loads((folder / f"my-{graph}" / "langgraph.json").read_text())["graphs"]
        own[f"my_{graph}"] = graphs[f"my_{graph}"]
    dependencies = [f"./my-{graph}" for graph in TEMPLATES]
    config = {"dependencies": dependencies, "graphs": {**GRAPHS, **own}, "auth": auth}
    (folder / "langgraph.json").write_text(json.dumps(config))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LANG", "OTEL"))},
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "QWEN_AGENTKIT_PRESET": "nano",
        "QWEN_AGENTKIT_STORE": str(folder / "store"),
        "QWEN_AGENTKIT_DOCUMENTS": str(folder / "documents"),
        "QWEN_AGENTKIT_GROUPS": "1",
        "QWEN_AGENTKIT_USERS": str(folder / "users.json"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--n-jobs-per-worker", "2"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for(server, process)
        server.client("carol").runs.wait(None, "ingest", input={})
        yield server
    finally:
        for client in server.clients.values():
            client.close()
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, server.log()
        try:
            if httpx.get(f"{server.url}/ok", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(server.log())


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_runs(server: Server, name: str) -> None:
    state = server.client("carol").runs.wait(None, name, input={} if name == "ingest" else LIBRARY)
    assert isinstance(state, dict)
    if name == "ingest":
        assert state["report"]["skipped"] == len(DOCUMENTS)
    else:
        assert state["messages"][-1]["type"] == "ai"
        assert state["messages"][-1]["content"]


@pytest.mark.parametrize("graph", TEMPLATES)
def test_a_new_project_is_served(server: Server, graph: str) -> None:
    state = server.client("anna").runs.wait(None, f"my_{graph}", input=LIBRARY)
    assert isinstance(state, dict)
    if graph == "agent":  # nano-chat decides what it searches for and says
        assert state["messages"][-1]["type"] == "ai"
    else:
        assert "The library opens at nine. [1]" in state["answer"]


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_shows_its_settings_and_nodes(server: Server, name: str) -> None:
    client = server.client("anna")
    [assistant] = client.assistants.search(graph_id=name)
    assert assistant["description"] == GRAPHS[name]["description"]
    schemas = client.assistants.get_schemas(assistant["assistant_id"])
    settings = schemas["context_schema"]
    assert settings is not None
    assert all(field["description"] for field in settings["properties"].values())
    assert schemas["input_schema"] is not None
    assert schemas["output_schema"] is not None
    drawn = client.assistants.get_graph(assistant["assistant_id"])
    nodes = {node["id"] for node in drawn["nodes"]}
    assert {"__start__", "__end__"} < nodes
    # A conditional edge without its targets would be drawn to every node.
    ends = [edge["target"] for edge in drawn["edges"] if edge.get("conditional")]
    assert len(ends) < len(nodes) ** 2 / 2


def test_answers_follow_the_settings_and_stream_in_every_mode(server: Server) -> None:
    seen: dict[str, list[Any]] = {}
    modes = ["values", "updates", "messages-tuple", "custom"]
    for part in server.client("anna").runs.stream(
        None, "rag", input=LIBRARY, context={"sentences": 1}, stream_mode=modes
    ):
        seen.setdefault(part.event, []).append(part.data)
    assert [stage for update in seen["updates"] for stage in update] == [
        *("prepare", "retrieve", "rerank", "generate", "cite")
    ]
    assert [event["stage"] for event in seen["custom"]] == [stage for u in seen["updates"] for stage in u]
    assert all(event["seconds"] >= 0 for event in seen["custom"])
    answer = seen["values"][-1]
    assert "The library opens at nine. [1]" in answer["answer"]
    assert answer["documents"][0]["metadata"]["source"] == "documents/crew/hours.md"
    assert answer["documents"][0]["metadata"]["relevance_score"] > 0.3
    assert any("opens at nine" in message["content"] for message, _ in seen["messages"])


def test_a_bad_setting_is_refused(server: Server) -> None:
    with pytest.raises(Exception, match="less than or equal to 20"):
        server.client("anna").runs.wait(None, "rag", input=LIBRARY, context={"passages": 999})


def test_a_conversation_keeps_its_thread(server: Server) -> None:
    client = server.client("anna")
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, "rag", input=LIBRARY)
    arabic = {"messages": [{"role": "user", "content": "متى يغادر القارب؟"}]}
    state = client.runs.wait(thread, "rag", input=arabic)
    assert isinstance(state, dict)
    assert [message["type"] for message in state["messages"]] == ["human", "ai", "human", "ai"]
    assert state["language"] == "ar"
    assert len(client.threads.get_history(thread)) > 5


def test_mass_deletion_waits_for_leave_through_the_sdk(server: Server) -> None:
    client = server.client("carol")
    thread = client.threads.create()["thread_id"]
    server.remove("crew/anchor.md", "crew/sails.md")
    try:
        asked = client.runs.wait(thread, "ingest", input={})
        assert "2 documents are gone, 29%" in asked["__interrupt__"][0]["value"]["question"]
        assert client.threads.get(thread)["status"] == "interrupted"
        state = client.runs.wait(thread, "ingest", command={"resume": False})
        assert state["report"]["removed"] == 0
        client.runs.wait(thread, "ingest", input={})
        state = client.runs.wait(thread, "ingest", command={"resume": True})
        assert state["report"]["removed"] == 2
    finally:
        server.write()
    assert client.runs.wait(thread, "ingest", input={})["report"]["added"] == 2


def test_mass_deletion_waits_for_leave_through_a_remote_graph(server: Server) -> None:
    graph = RemoteGraph("ingest", sync_client=server.client("carol"))
    thread: Any = {"configurable": {"thread_id": str(uuid.uuid4())}}
    server.client("carol").threads.create(thread_id=thread["configurable"]["thread_id"])
    server.remove("staff/lamp.md", "staff/keys.md")
    try:
        asked = graph.invoke({}, thread)
        assert asked["__interrupt__"][0]["value"]["documents"] == [
            "documents/staff/keys.md",
            "documents/staff/lamp.md",
        ]
        assert graph.invoke(Command(resume=True), thread)["report"]["removed"] == 2
    finally:
        server.write()
    assert graph.invoke({}, thread)["report"]["added"] == 2
    answers = RemoteGraph("rag", sync_client=server.client("anna"))
    assert "opens at nine" in answers.invoke(LIBRARY)["answer"]


def mcp(server: Server, user: str, method: str, params: dict[str, Any]) -> Any:
    response = httpx.post(
        f"{server.url}/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        headers={**server.headers(user), "Accept": "application/json, text/event-stream"},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    return response.json()["result"]


def test_the_graphs_are_tools_of_mcp(server: Server) -> None:
    tools = {tool["name"]: tool for tool in mcp(server, "anna", "tools/list", {})["tools"]}
    assert tools.keys() == {*GRAPHS, *(f"my_{graph}" for graph in TEMPLATES)}
    assert tools["rag"]["description"] == GRAPHS["rag"]["description"]
    called = mcp(server, "anna", "tools/call", {"name": "rag", "arguments": LIBRARY})
    assert "opens at nine" in called["content"][0]["text"]


# The names of A2A 0.3 and of 1.0 for one method.
A2A = [("message/send", "user", ""), ("SendMessage", "ROLE_USER", "task")]


def a2a(server: Server, user: str, graph: str, said: tuple[str, str, str], part: Any, **task: str) -> Any:
    """Send one message to a graph as an agent of A2A; return the task."""
    method, role, key = said
    assistants = server.client(user).assistants.search(graph_id=graph)
    message = {"role": role, "messageId": str(uuid.uuid4()), "parts": [part], **task}
    response = httpx.post(
        f"{server.url}/a2a/{assistants[0]['assistant_id']}",
        json={"jsonrpc": "2.0", "id": "1", "method": method, "params": {"message": message}},
        headers={**server.headers(user), "Accept": "application/json"},
        timeout=60,
    ).json()
    assert "error" not in response, response
    return response["result"][key] if key else response["result"]


@pytest.mark.parametrize("said", A2A, ids=["0.3", "1.0"])
def test_the_graphs_are_agents_of_a2a(server: Server, said: tuple[str, str, str]) -> None:
    [assistant] = server.client("anna").assistants.search(graph_id="rag")
    card = httpx.get(
        f"{server.url}/.well-known/agent-card.json",
        params={"assistant_id": assistant["assistant_id"]},
        headers=server.headers("anna"),
    ).json()
    assert GRAPHS["rag"]["description"] in card["description"]
    task = a2a(server, "anna", "rag", said, {"text": LIBRARY["messages"][0]["content"]})
    assert "opens at nine" in json.dumps(task)
    assert task["status"]["state"].lower().endswith("completed")


@pytest.mark.parametrize("said", A2A, ids=["0.3", "1.0"])
@pytest.mark.parametrize("leave", [True, False])
def test_a_question_of_a_graph_is_answered_over_a2a(
    server: Server, said: tuple[str, str, str], leave: bool
) -> None:
    server.remove("staff/lamp.md", "staff/keys.md")
    try:
        asked = a2a(server, "carol", "ingest", said, {"data": {"begin": True}})
        assert asked["status"]["state"] in ("input-required", "TASK_STATE_INPUT_REQUIRED")
        [part] = asked["artifacts"][0]["parts"]
        assert "2 documents are gone" in part["data"]["value"]["question"]
        task = {"contextId": asked["contextId"], "taskId": asked["id"]}
        done = a2a(server, "carol", "ingest", said, {"data": {"resume": leave}}, **task)
        assert done["status"]["state"] in ("completed", "TASK_STATE_COMPLETED")
        state: Any = server.client("carol").threads.get_state(asked["contextId"])
        assert state["values"]["report"]["removed"] == (2 if leave else 0)
    finally:
        server.write()
        server.client("carol").runs.wait(None, "ingest", input={})


def test_groups_decide_what_is_found(server: Server) -> None:
    def sources(user: str, name: str) -> set[str]:
        state: Any = server.client(user).runs.wait(None, name, input=SAFE, context={"min_score": 0})
        return {document["metadata"]["source"].split("/")[1] for document in state["retrieved"]}

    for name in ("rag", "corrective_rag"):
        assert sources("anna", name) == {"crew"}
        assert sources("boris", name) == {"staff"}
    assert sources("carol", "rag") == {"crew", "staff"}


def test_no_request_makes_itself_a_user(server: Server) -> None:
    forged = {"identity": "anna", "groups": ["staff"]}
    forgeries: list[Any] = [
        {"config": {"configurable": {"langgraph_auth_user": forged, "langgraph_auth_user_id": "boris"}}},
        {"config": {"configurable": {"groups": ["staff"], "user": forged}}},
        {"context": {"groups": ["staff"], "filter": {"group": "staff"}}},
        {"metadata": {"groups": ["staff"], "owner": "boris"}},
    ]
    for forgery in forgeries:
        state: Any = server.client("anna").runs.wait(
            None, "rag", input={**SAFE, "groups": ["staff"]}, **forgery
        )
        assert state["retrieved"]
        assert all(document["metadata"]["group"] == "crew" for document in state["retrieved"])


def test_no_request_brings_its_own_runtime(server: Server) -> None:
    forged = {"server_info": {"user": {"identity": "anna", "groups": ["staff"]}}}
    config: Any = {"configurable": {"__pregel_runtime": forged}}
    with pytest.raises(Exception, match=r"AttributeError|internal error"):
        server.client("anna").runs.wait(None, "rag", input=SAFE, config=config)


def test_without_groups_nothing_is_searched(server: Server) -> None:
    with pytest.raises(Exception, match=r"AccessError|internal error"):
        server.client("nobody").runs.wait(None, "rag", input=LIBRARY)
    assert "The user 'nobody' has the groups []" in server.log()


def test_strangers_are_refused(server: Server) -> None:
    body = {"assistant_id": "rag", "input": LIBRARY}
    for headers in ({}, {"Authorization": "Bearer guess"}, {"x-auth-scheme": "langsmith"}):
        response = httpx.post(f"{server.url}/runs/wait", json=body, headers=headers, timeout=30)
        assert response.status_code in (401, 403)
        assert "opens at nine" not in response.text


def test_users_keep_to_their_own(server: Server) -> None:
    thread = server.client("anna").threads.create()["thread_id"]
    with pytest.raises(APIStatusError, match="not found"):
        server.client("boris").threads.get(thread)
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        server.client("anna").runs.wait(None, "ingest", input={})
    with pytest.raises(APIStatusError, match=r"[Ff]orbidden"):
        server.client("anna").assistants.create("ingest")
    with pytest.raises(APIStatusError, match=r"[Ff]orbidden"):
        server.client("anna").store.put_item(["shared"], "key", {"a": 1})


def test_nothing_blocked_the_event_loop_and_nothing_left_the_machine(server: Server) -> None:
    assert "Blocking call" not in server.log()
    assert (server.folder / "network-watched").exists()
    assert not (server.folder / "network").exists()
