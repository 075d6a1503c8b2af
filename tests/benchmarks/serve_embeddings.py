"""`/v1/embeddings` beside infinity-emb with the same checkpoint."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.cli.commands import load_demo_questions
from qwen_agentkit.stack import Stack
from tests.benchmarks.http_line import Line, run_at_once
from tests.benchmarks.machine import say
from tests.benchmarks.work import Effort

AT_ONCE = 8


def measure_embeddings(port: int, effort: Effort, folder: Path) -> dict[str, Any]:
    """Requests a second of one text each, one after another and 8 at once, beside infinity-emb."""
    command = os.environ.get("INFINITY")
    texts = [f"{n}: {one['question']}" for n in range(16) for one in load_demo_questions()][: effort.few(200)]
    ours = (port, "/v1/embeddings", {"model": _embedder()})
    if command is None:
        return asyncio.run(_embed_in_turn({"qwen-agentkit": ours}, texts, effort))
    with _infinity(command, folder) as other:
        servers = {"qwen-agentkit": ours, "infinity": (other, "/embeddings", {"model": "nano"})}
        return asyncio.run(_embed_in_turn(servers, texts, effort))


def _embedder() -> str:
    return str(Stack("nano", Path()).embeddings.model)


async def _embed_in_turn(
    servers: dict[str, tuple[int, str, dict[str, Any]]], texts: Sequence[str], effort: Effort
) -> dict[str, Any]:
    seconds: dict[str, dict[str, list[float]]] = {name: {"1": [], "8": []} for name in servers}
    vectors: dict[str, Any] = {}
    for _ in range(effort.rounds + 1):  # the first warms up
        for name, (port, path, body) in servers.items():
            lines = [Line(port) for _ in range(AT_ONCE)]
            free = list(lines)

            async def ask(
                text: str,
                free: list[Line] = free,
                path: str = path,
                body: dict[str, Any] = body,
                name: str = name,
            ) -> None:
                line = free.pop()
                answer = json.loads(await line.ask("POST", path, {**body, "input": [text]}))
                vectors[name] = answer["data"][0]["embedding"]
                free.append(line)

            for at_once in (1, AT_ONCE):
                start = time.perf_counter()
                await run_at_once(ask, texts, at_once)
                seconds[name][str(at_once)].append(time.perf_counter() - start)
            await ask("When does the library open?")
            for line in lines:
                line.close()
    rates = {
        name: {at: round(len(texts) / min(each[1:]), 1) for at, each in times.items()}
        for name, times in seconds.items()
    }
    found: dict[str, Any] = {"requests_a_second": rates}
    if len(servers) > 1:
        ours, theirs = rates["qwen-agentkit"], rates["infinity"]
        found["times_as_many"] = {at: round(ours[at] / theirs[at], 2) for at in ours}
        one, other = (np.array(vectors[name]) for name in servers)
        found["cosine"] = round(float(one @ other / np.linalg.norm(one) / np.linalg.norm(other)), 5)
    say(f"  embeddings: {found}")
    return found


@contextmanager
def _infinity(command: str, folder: Path) -> Iterator[int]:
    """infinity-emb with nano-embedding, told how to pool, without waiting for others to join."""
    model = _with_pooling(folder / "nano")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    words = [command, "v2", "--model-id", str(model), "--served-model-name", "nano", "--port", str(port)]
    words += ["--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            if process.poll() is not None:
                raise RuntimeError(f"infinity-emb has ended with {process.returncode}: {' '.join(words)}")
            with suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
                asyncio.run(Line(port).ask("GET", "/health"))
                break
            time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _with_pooling(folder: Path) -> Path:
    """nano-embedding in sentence-transformers' form: the last token, scaled to length one."""
    weights = nano_folder("nano-embedding")
    assert weights is not None
    (folder / "1_Pooling").mkdir(parents=True)
    for file in weights.iterdir():
        (folder / file.name).symlink_to(file)
    # transformers 4, which infinity-emb needs, cannot read the list of special tokens that 5 writes.
    settings = json.loads((weights / "tokenizer_config.json").read_text())
    settings["additional_special_tokens"] = settings.pop("extra_special_tokens", [])
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    kinds = ("Transformer", "Pooling", "Normalize")
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": "" if not place else f"{place}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    size = json.loads((weights / "config.json").read_text())["hidden_size"]
    pooling = {
        "word_embedding_dimension": size,
        "pooling_mode_lasttoken": True,
        "pooling_mode_mean_tokens": False,
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder
