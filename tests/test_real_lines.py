"""What `serve-lines` prints is taken by the servers' own parsers of arguments; `pytest -m server` runs it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from qwen_agentkit.catalog import CHECKPOINTS
from qwen_agentkit.cli.serving import ServeLine, ServeOptions, serve_lines
from tests.real_servers import find_llama_server, find_vllm

pytestmark = pytest.mark.server


def all_lines(server: str) -> list[ServeLine]:
    """The lines of every checkpoint, plain and with all that can be asked for."""
    lines = []
    for row in CHECKPOINTS:
        gpus = min(row.most_gpus, 2)
        more = {"context": row.context * 2} if row.family.stretches else {}
        for options in (
            ServeOptions(),
            ServeOptions(gpus=gpus, fp8=True, port=9000),
            ServeOptions(gpus=gpus, port=9000, **more),
        ):
            lines += [line for line in serve_lines(row.name, server, options) if line.command]
    return lines


def words_of(line: ServeLine, command: str) -> list[str]:
    """The words behind the command and its assignments."""
    words = shlex.split(line.command)
    return words[words.index(command) + 1 :]


def test_llama_cpp() -> None:
    binary, environment = find_llama_server()
    lines = all_lines("llama.cpp")
    assert len(lines) > len(CHECKPOINTS) / 2
    for words in {tuple(words_of(line, "llama-server")) for line in lines}:
        # It reads all words before it obeys the last one, and ends with 1 at one that it does not know.
        done = subprocess.run(
            [binary, *words, "--version"], env={**os.environ, **environment}, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()


PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
for words in json.load(sys.stdin):
    read = parser.parse_args(words)
    print(json.dumps([read.max_model_len, read.tensor_parallel_size, read.quantization, read.port]))
"""


def test_vllm() -> None:
    binary, environment = find_vllm()
    lines = all_lines("vllm")
    asked = [words_of(line, "vllm") for line in lines]
    assert {words.pop(0) for words in asked} == {"serve"}
    done = subprocess.run(
        [str(Path(binary).with_name("python")), "-c", PARSE],
        input=json.dumps(asked),
        env={**os.environ, **environment},
        capture_output=True,
        timeout=300,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    read = [json.loads(row) for row in done.stdout.splitlines() if row.startswith("[")]
    assert len(read) == len(asked)
    for words, (length, gpus, quantization, port) in zip(asked, read, strict=True):
        assert str(length) == words[words.index("--max-model-len") + 1]
        assert gpus == (2 if "--tensor-parallel-size" in words else 1)
        assert quantization == ("fp8" if "--quantization" in words else None)
        assert port == (9000 if "--port" in words else 8000)
