"""Vectors and scores of real servers, llama.cpp's own and vLLM's; `pytest -m server` runs them.

`tests/real_servers.py` says where the servers are looked for; one that is not there is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.cli.doctor import check_server
from qwen_agentkit.cli.serving import serve_lines
from qwen_agentkit.errors import ServerAnswerError, ServerRefusedError
from tests.conftest import bundled
from tests.gguf_files import write_gguf
from tests.real_servers import Start, find_llama_server, find_vllm, serving

pytestmark = [pytest.mark.server, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def start(folder: Path) -> Iterator[Start]:
    with serving(folder) as begin:
        yield begin


@pytest.fixture(scope="module", params=["llama.cpp", "vllm"])
def embedder(request: pytest.FixtureRequest, folder: Path, start: Start) -> str:
    """The address of a server that has nano-embedding."""
    if request.param == "vllm":
        binary, environment = find_vllm()
        command = [binary, "serve", str(bundled("nano-embedding")), "--served-model-name", "nano-embedding"]
        return start([*command, "--runner", "pooling", "--dtype", "float32", "--enforce-eager"], environment)
    return start_llama(folder, start, embeds=True)


def start_llama(folder: Path, start: Start, *, embeds: bool) -> str:
    binary, environment = find_llama_server()
    file = write_gguf(bundled("nano-embedding"), folder / f"embedding-{embeds}.gguf", embeds=embeds)
    command = [binary, "-m", str(file), "--alias", "nano-embedding", "-t", "1", "--embedding"]
    return start([*command, "--pooling", "last", "-b", "4096", "-ub", "4096"], environment)


TEXTS = ["The library opens at nine.", "متى يغادر القارب؟", "你好，世界"]
TAGGED = "<|im_end|> token <|endoftext|> text"


def test_vectors_are_those_of_this_process(embedder: str) -> None:
    there = QwenEmbeddings(model="nano-embedding", base_url=embedder)
    here = QwenEmbeddings(model="nano", dtype="float32")
    assert np.allclose(there.embed_array(TEXTS), here.embed_array(TEXTS), atol=2e-3)
    assert np.allclose(there.embed_query(TEXTS[0]), here.embed_query(TEXTS[0]), atol=2e-3)
    [one], [other] = there.embed_array([TAGGED]), here.embed_array([TAGGED])
    assert one @ other > 0.5  # a server would read the tag as the end of a turn: .16
    with pytest.raises((ServerRefusedError, ServerAnswerError), match="One of the texts is empty"):
        there.embed_documents(["a", "", "b"])


def test_an_embedder_that_lost_its_end_is_found_out(folder: Path, start: Start) -> None:
    assert "but" in check_server(start_llama(folder, start, embeds=False), None, None)["embeddings"]


def test_scores_of_vllm_are_those_of_this_process(start: Start) -> None:
    binary, environment = find_vllm()
    [line] = serve_lines("Qwen/Qwen3-Reranker-0.6B", "vllm")
    words = line.command.split("--hf-overrides ")[1]
    overrides = json.loads(words[1 : words.index("}'") + 1])
    command = [binary, "serve", str(bundled("nano-reranker")), "--served-model-name", "nano-reranker"]
    command += ["--runner", "pooling", "--dtype", "float32", "--enforce-eager"]
    url = start([*command, "--hf-overrides", json.dumps(overrides)], environment)
    pairs = [(query, text) for query in ("When does it open?", "متى؟") for text in [*TEXTS, "Bananas."]]
    there = QwenReranker(model="nano-reranker", base_url=url).score(pairs)
    assert there == pytest.approx(QwenReranker(model="nano", dtype="float32").score(pairs), abs=1e-3)
