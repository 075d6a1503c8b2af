"""The commands that start servers: one for each family."""

from __future__ import annotations

import json
import shlex

import pytest

from qwen_agentkit.catalog import CHECKPOINTS, PRESETS
from qwen_agentkit.cli.serving import SERVERS, serve_lines
from qwen_agentkit.cli.serving import ServeOptions as Options
from qwen_agentkit.errors import InputError
from qwen_agentkit.server.flavors import FLAVORS


def command(model: str, server: str, options: Options | None = None) -> list[str]:
    [line] = serve_lines(model, server, options)
    return shlex.split(line.command)


def value(words: list[str], flag: str) -> str | None:
    return words[words.index(flag) + 1] if flag in words else None


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
@pytest.mark.parametrize("server", SERVERS)
def test_every_checkpoint_has_a_line_or_a_reason(row, server: str) -> None:
    [line] = serve_lines(row.name, server)
    assert line.command or line.note
    assert bool(line.use) == bool(line.command)
    assert server in FLAVORS  # so that the class in `use` knows how to ask it
    if server == "vllm":
        assert value(shlex.split(line.command), "--max-model-len") == str(row.context)


# What their documentation and model cards say.
@pytest.mark.parametrize(
    ("model", "reasoning", "sglang_reasoning", "tools", "sglang_tools"),
    [
        ("Qwen/Qwen3-8B", "qwen3", "qwen3", "hermes", "qwen25"),
        ("Qwen/Qwen3-4B-Instruct-2507", None, None, "hermes", "qwen25"),
        ("Qwen/Qwen3-4B-Thinking-2507", "deepseek_r1", "qwen3-thinking", "hermes", "qwen25"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", None, None, "hermes", "qwen25"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", None, None, "qwen3_coder", "qwen3_coder"),
        ("Qwen/Qwen2.5-7B-Instruct", None, None, "hermes", "qwen25"),
        ("Qwen/Qwen3.5-9B", "qwen3", "qwen3", "qwen3_coder", "qwen3_coder"),
        ("Qwen/Qwen3.8-27B", "qwen3", "qwen3", "qwen3_coder", "qwen3_coder"),
    ],
)
def test_parsers_of_each_family(model, reasoning, sglang_reasoning, tools, sglang_tools) -> None:
    vllm, sglang = command(model, "vllm"), command(model, "sglang")
    assert (value(vllm, "--reasoning-parser"), value(vllm, "--tool-call-parser")) == (reasoning, tools)
    parsers = value(sglang, "--reasoning-parser"), value(sglang, "--tool-call-parser")
    assert parsers == (sglang_reasoning, sglang_tools)
    assert "--enable-auto-tool-choice" in vllm


def test_a_preset_gets_three_servers_on_three_ports() -> None:
    lines = serve_lines("4b", "vllm", Options(port=9000))
    assert [line.model for line in lines] == list(PRESETS["4b"].values())
    assert [value(shlex.split(line.command), "--port") for line in lines] == ["9000", "9001", "9002"]
    assert [line.use.partition("(")[0] for line in lines] == ["QwenEmbeddings", "QwenReranker", "ChatQwen"]
    assert lines[2].use.endswith('base_url="http://localhost:9002/v1")')


def test_embedders_and_rerankers_run_as_such() -> None:
    assert value(command("Qwen/Qwen3-Embedding-4B", "vllm"), "--runner") == "pooling"
    assert "--is-embedding" in command("Qwen/Qwen3-Embedding-4B", "sglang")
    assert value(command("Qwen/Qwen3-Embedding-4B", "llama.cpp"), "--pooling") == "last"
    reranker = command("Qwen/Qwen3-Reranker-4B", "vllm")
    overrides = json.loads(value(reranker, "--hf-overrides") or "")
    assert overrides["classifier_from_token"] == ["no", "yes"]
    assert overrides["is_original_qwen3_reranker"] is True
    assert "--is-embedding" not in command("Qwen/Qwen3-Reranker-4B", "sglang")
    assert "--reranking" in command("Qwen/Qwen3-Reranker-4B", "llama.cpp")


def test_a_longer_context_is_stretched_and_only_then() -> None:
    assert "--hf-overrides" not in command("Qwen/Qwen3-8B", "vllm", Options(32768))
    for server, flag, key in (
        ("vllm", "--hf-overrides", "rope_parameters"),
        ("sglang", "--json-model-override-args", "rope_scaling"),
    ):
        rope = json.loads(value(command("Qwen/Qwen3-8B", server, Options(65536)), flag) or "")[key]
        assert (rope["rope_type"], rope["factor"]) == ("yarn", 2.0)
        assert rope["original_max_position_embeddings"] == 32768
    words = command("Qwen/Qwen3-8B", "llama.cpp", Options(131072))
    assert value(words, "--rope-scale") == "4"
    words = command("Qwen/Qwen3.6-27B", "vllm", Options(524288))
    assert words[0] == "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1"
    text = json.loads(value(words, "--hf-overrides") or "")["text_config"]["rope_parameters"]
    assert (text["factor"], text["mrope_section"]) == (2.0, [11, 11, 10])


def test_servers_that_cap_a_stretched_context_are_told_its_length() -> None:
    overrides = json.loads(value(command("Qwen/Qwen3-8B", "vllm", Options(131072)), "--hf-overrides") or "")
    assert overrides["max_position_embeddings"] == 131072
    for model, key in (("Qwen/Qwen3-8B", "qwen3"), ("Qwen/Qwen3-30B-A3B", "qwen3moe")):
        words = command(model, "llama.cpp", Options(131072))
        assert value(words, "--override-kv") == f"{key}.context_length=int:131072"
    assert "--override-kv" not in command("Qwen/Qwen3-8B", "llama.cpp")


def test_whole_texts_fit_a_batch_where_they_are_embedded_or_ranked() -> None:
    for model in ("Qwen/Qwen3-Embedding-4B", "Qwen/Qwen3-Reranker-4B"):
        words = command(model, "llama.cpp")
        assert (value(words, "-b"), value(words, "-ub")) == ("8192", "8192")
    [line] = serve_lines("Qwen/Qwen3-Reranker-4B", "llama.cpp")
    assert "Qwen3-Reranker" in line.note


def test_gpus_and_fp8() -> None:
    for server in ("vllm", "sglang"):
        words = command("Qwen/Qwen3-32B", server, Options(gpus=4, fp8=True))
        assert (value(words, "--tensor-parallel-size"), value(words, "--quantization")) == ("4", "fp8")
    assert value(command("Qwen/Qwen3-32B", "llama.cpp", Options(gpus=3)), "-sm") == "row"
    [line] = serve_lines("Qwen/Qwen3-32B", "llama.cpp", Options(fp8=True))
    assert (line.command, line.use) == ("", "")
    assert "Q8_0" in line.note


@pytest.mark.parametrize(
    ("model", "server", "options", "says"),
    [
        ("Qwen/Nothing", None, Options(), "not in the catalog; expected"),
        (
            "nano",
            None,
            Options(),
            "'nano' needs no server: .* run in this process. Type `qwen-agentkit demo`",
        ),
        ("nano-chat", "vllm", Options(), "'nano-chat' needs no server"),
        ("8b", "tgi", Options(), "Unknown server 'tgi'; expected one of vllm, sglang"),
        ("Qwen/Qwen3-8B", None, Options(200000), "more than 4 times the 32768 tokens"),
        ("Qwen/Qwen3-4B-Instruct-2507", None, Options(300000), "Ask for 262144 or fewer"),
        (
            "Qwen/Qwen3-8B",
            None,
            Options(gpus=7),
            "gpus=7: .*'Qwen/Qwen3-8B' evenly; expected one of 1, 2, 4, 8. Pass",
        ),
        ("8b", "sglang", Options(gpus=3), "expected one of 1, 2, 4, 8. Pass"),
        ("Qwen/Qwen2.5-0.5B-Instruct", "vllm", Options(gpus=4), "expected one of 1, 2. Pass"),
        ("Qwen/Qwen2.5-7B-Instruct", "vllm", Options(gpus=8), "expected one of 1, 2, 4. Pass"),
    ],
)
def test_what_cannot_be_is_said(model: str, server: str | None, options: Options, says: str) -> None:
    with pytest.raises(InputError, match=says):
        serve_lines(model, server, options)
