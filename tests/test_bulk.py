"""Bulk work handed to a server: examples/bulk.py against a socket on this machine, killed and run again."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from qwen_agentkit.rerankers import QwenReranker
from qwen_agentkit.server.connections import close_connections
from tests.fakes.server import listed

pytestmark = pytest.mark.enable_socket

SCRIPT = Path(__file__).parent.parent / "examples" / "bulk.py"
FILES, ROWS = 6, 100


def vector(text: str) -> list[float]:
    return np.random.default_rng(zlib.crc32(text.encode())).normal(size=8).tolist()


def score(query: str, text: str) -> float:
    """A number of the pair; of what the client asks to know its server, one that needs no prompt written."""
    if "capital of France" in query:
        return float("Paris" in text and not query.startswith("<|im_start|>"))
    return zlib.crc32(f"{query}\n{text}".encode()) / 2**32


class Handler(BaseHTTPRequestHandler):
    """A vLLM with the routes /v1/embeddings and /score; remembers what was asked and what came between."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(listed("served", "vllm"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.connections.add(self.client_address)
        if self.path == "/v1/embeddings":
            self.server.embedded.update(body["input"])
            rows = [{"index": index, "embedding": vector(text)} for index, text in enumerate(body["input"])]
        elif self.path == "/score":
            rows = self._score(body["text_1"], body["text_2"])
        else:
            self._send({"detail": "Not Found"}, 404)
            return
        time.sleep(self.server.seconds)
        self._send({"data": rows})

    def _score(self, query: str, texts: list[str]) -> list[dict[str, Any]]:
        with self.server.lock:
            self.server.scored.setdefault(query, []).append((len(texts), self.server.under_way[query]))
            self.server.under_way[query] += 1
            self.server.most = max(self.server.most, sum(self.server.under_way.values()))
        time.sleep(0.01)
        with self.server.lock:
            self.server.under_way[query] -= 1
        return [{"index": index, "score": score(query, text)} for index, text in enumerate(texts)]

    def _send(self, value: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # whoever asked was killed
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """What was asked: texts embedded; of each query, requests as (texts, its requests under way before)."""

    daemon_threads, block_on_close = True, False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.embedded: Counter[str] = Counter()
        self.scored: dict[str, list[tuple[int, int]]] = {}
        self.under_way: Counter[str] = Counter()
        self.connections: set[object] = set()
        self.most, self.seconds = 0, 0.0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error here."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    close_connections()
    server.shutdown()
    server.server_close()
    thread.join()


def command(task: str, source: Path, target: Path, server: Server, model: str = "served") -> list[str]:
    places = [task, str(source), str(target)]
    return [sys.executable, str(SCRIPT), *places, "--model", model, "--base-url", server.address]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for file in range(FILES):
        rows = [f"text {row} of {file}" for row in range(ROWS)]
        parquet.write_table(pa.table({"id": range(ROWS), "text": rows}), folder / f"{file}.parquet")
    return folder


def test_a_killed_run_goes_on_where_it_stopped(server: Server, texts: Path, tmp_path: Path) -> None:
    target, server.seconds = tmp_path / "vectors", 0.1
    process = subprocess.Popen(command("embed", texts, target, server))
    deadline = time.monotonic() + 60
    while len(list(target.glob("*.parquet"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    whole = {file.name: file.read_bytes() for file in target.glob("*.parquet")}
    assert 2 <= len(whole) < FILES
    time.sleep(0.2)  # what it had asked for is answered
    server.embedded.clear()

    server.seconds = 0.0
    subprocess.run(command("embed", texts, target, server), check=True, capture_output=True)
    assert sorted(path.name for path in target.iterdir()) == [f"{file}.parquet" for file in range(FILES)]
    asked = {text for text in server.embedded if text.startswith("text")}
    for file in texts.iterdir():
        source, found = parquet.read_table(file), parquet.read_table(target / file.name)
        assert found.drop_columns("vector").equals(source)
        assert asked.isdisjoint(source["text"].to_pylist()) == (file.name in whole)
        expected = np.array([vector(text) for text in source["text"].to_pylist()])
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(np.array(found["vector"].to_pylist()), expected, atol=1e-6)
    assert all((target / name).read_bytes() == data for name, data in whole.items())
    assert max(server.embedded.values()) == 1

    other = command("embed", texts, target, server, model="another")
    result = subprocess.run(other, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "choose another folder" in result.stderr


def test_scores_of_a_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    pairs = pa.table({"query": ["When?", "Where?"] * 20, "text": [f"text {row}" for row in range(40)]})
    parquet.write_table(pairs, tmp_path / "pairs" / "a.parquet")
    subprocess.run(command("score", tmp_path / "pairs", tmp_path / "out", server), check=True)
    found = parquet.read_table(tmp_path / "out" / "a.parquet")["score"].to_numpy()
    expected = [score(*pair) for pair in zip(*pairs.to_pydict().values(), strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_pair_of_each_query_goes_ahead_and_queries_run_side_by_side(server: Server) -> None:
    reranker = QwenReranker(model="served", base_url=server.address)
    pairs = [(f"query {query}", f"text {row}") for row in range(70) for query in range(12)]
    assert reranker.score(pairs) == [score(*pair) for pair in pairs]
    assert reranker.score([]) == []
    for query in range(12):
        first, *others = server.scored[f"query {query}"]
        assert first == (1, 0)
        assert others[0][1] == 0  # the first was answered before another came
        assert sorted(size for size, _ in others) == [5, 32, 32]
    assert 2 <= server.most <= 16
    assert len(server.connections) <= 17
