"""A small server on this machine that answers the examples of the documentation as vLLM would."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-Embedding-8B", "Qwen/Qwen3-Reranker-8B")
ANSWER = "The library opens at nine."


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._send({"object": "list", "data": [{"id": name, "owned_by": "vllm"} for name in MODELS]})
        else:
            self._send({"detail": "Not Found"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/embeddings":
            texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
            vectors = [{"index": n, "embedding": [1.0, float(len(text))]} for n, text in enumerate(texts)]
            self._send({"object": "list", "data": vectors, "usage": {"prompt_tokens": 1, "total_tokens": 1}})
        elif self.path in ("/v1/rerank", "/rerank"):
            # The right answers of the pages, and of the question by which the client tells a reranker.
            scores = [0.9 if "nine" in text or "Paris" in text else 0.1 for text in body["documents"]]
            self._send({"results": [{"index": n, "relevance_score": s} for n, s in enumerate(scores)]})
        elif self.path == "/v1/chat/completions" and body.get("stream"):
            self._stream()
        elif self.path == "/v1/chat/completions":
            message = {"role": "assistant", "content": ANSWER}
            self._send({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        else:
            self._send({"detail": "Not Found"}, 404)

    def _stream(self) -> None:
        chunks = [
            {
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": ANSWER}, "finish_reason": None}
                ]
            },
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        text = "".join(f"data: {line}\n\n" for line in [*map(json.dumps, chunks), "[DONE]"])
        self._write(text.encode(), "text/event-stream", 200)

    def _send(self, value: dict[str, Any], status: int = 200) -> None:
        self._write(json.dumps(value).encode(), "application/json", status)

    def _write(self, data: bytes, kind: str, status: int) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serve() -> Iterator[str]:
    """Yield the address of a running server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
