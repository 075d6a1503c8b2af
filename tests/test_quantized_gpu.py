"""Weights that torchao rounds for GPUs: refused where they cannot run, near the plain ones where they can."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from qwen_agentkit import ChatQwen, QwenEmbeddings
from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.engine.forward.decoder import pack_decoder
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.weights import quantize_gpu
from qwen_agentkit.engine.weights.quantize_gpu import quantize_on_gpu
from qwen_agentkit.errors import InputError, MissingExtraError

KINDS = ("int8", "int4", "fp8")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A GPU of compute capability 8.0, as far as questions go."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    return monkeypatch


def test_what_is_missing_is_named(tiny_qwen3_dir: Path, gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr(quantize_gpu, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"qwen-agentkit\[torchao\]"):
        identify(str(tiny_qwen3_dir), device="cuda:0", quantize="int8")


def test_an_old_gpu_is_told_what_it_can_run(tiny_qwen3_dir: Path, gpu: pytest.MonkeyPatch) -> None:
    place = str(tiny_qwen3_dir)
    assert identify(place, device="cuda:0", quantize="int4").dtype == torch.bfloat16
    with pytest.raises(InputError, match=r"has 8\.0\. Pass quantize='int8'"):
        identify(place, device="cuda:0", quantize="fp8")
    gpu.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    with pytest.raises(InputError, match=r"has 6\.1\. Leave quantize out"):
        identify(place, device="cuda:0", quantize="int8")


def test_another_number_type_is_refused(tiny_qwen3_dir: Path, gpu: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="not in dtype='float32'"):
        identify(str(tiny_qwen3_dir), device="cuda:0", quantize="int8", dtype="float32")


@pytest.mark.filterwarnings("ignore")  # torchao's own, about torch's next releases
def test_rounded_layers_give_nearly_the_same(save_random_model) -> None:
    folder = save_random_model(hidden_size=128, intermediate_size=192, head_dim=32, seed=5)
    plain, small = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval().requires_grad_(False)
        for _ in range(2)
    )
    quantize_on_gpu(small, "int8", torch.device("cpu"))
    layer = small.model.layers[0].mlp.gate_proj
    assert type(layer.weight).__module__.startswith("torchao.")
    assert type(small.lm_head.weight) is torch.nn.Parameter
    for model in (plain, small):
        pack_decoder(model)
    assert small.model.rotary_emb.inv_freq.dtype == torch.float32
    segments = [Segment(list(range(3, 40))), Segment([5, 6]), Segment([7, 8, 9] * 300)]
    exact, near = (forward(model, segments).float() for model in (plain, small))
    assert float(((exact - near).norm(dim=1) / exact.norm(dim=1)).max()) < 0.03


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_torchao_knows_the_settings(kind: str) -> None:
    assert quantize_gpu._config(kind).set_inductor_config is False
    assert util.find_spec("torchao")


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_writes_and_reads_with_them(kind: str) -> None:
    if torch.cuda.get_device_capability() < quantize_gpu._CAPABILITIES[kind]:
        pytest.skip(f"no {kind} on this GPU")
    chat = ChatQwen(model="nano", device="cuda", quantize=kind, temperature=0, max_tokens=20)
    assert chat.invoke("Say hello.").content
    if kind != "int4":
        texts = ["The library opens at nine.", "窑炉最高温度为1230度。"]
        exact, near = (
            QwenEmbeddings(model="nano", device="cuda", quantize=quantize).embed_array(texts)
            for quantize in (None, kind)
        )
        assert float((exact * near).sum(1).min()) > 0.97
