"""What older processors run, in processes that are kept from newer instructions: right within bounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from qwen_agentkit.engine.weights.fp16 import fp16_is_usable
from tests.conftest import SaveModel

TOKENS = list(range(20, 70))

# What limits torch, oneDNN, FBGEMM and MKL, in this order.
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
AVX_VNNI = {**AVX2, "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"}
SKYLAKE = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "FBGEMM_ENABLE_INSTRUCTIONS": "AVX512"}

PROGRAM = """
import json, sys
import torch
from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.weights import kernels, products, quantize
from qwen_agentkit.engine.weights.fp16 import fp16_is_usable
from qwen_agentkit.errors import InputError

folder, tokens = sys.argv[1], json.loads(sys.argv[2])
quantize.times_of_none = lambda *_, **__: 0.5  # how busy the machine is does not count here

def hidden(**options):
    loaded = load(folder, device="cpu", **options)
    return loaded.compute(lambda: forward(loaded.model, [Segment(tokens)])).float().tolist()

try:
    identify(folder, device="cpu", quantize="int4", chat=True)
    int4 = "runs"
except InputError as error:
    int4 = str(error)
print(json.dumps({
    "fp16": fp16_is_usable(),
    "exact": [product.name for product in products.exact_products()],
    "bits": quantize.int8_bits(),
    "revision": identify(folder, device="cpu", quantize="int8").revision.partition("+")[2],
    "int4": int4,
    "hidden": {
        "float32": hidden(dtype="float32"),
        "float16": hidden(dtype="float16"),
        "int8 chat": hidden(dtype="float32", quantize="int8", chat=True),
        "int8 vectors": hidden(dtype="float32", quantize="int8", head=False),
        "int8 scores": hidden(dtype="float32", quantize="int8"),
    },
}))
"""

# The error that each may have, as a share of the length of the hidden state.
BOUNDS = {"float32": 1e-5, "float16": 1e-5, "int8 chat": 0.1, "int8 vectors": 0.1, "int8 scores": 0.05}


@pytest.fixture(scope="module")
def folder(save_random_model: SaveModel) -> Path:
    """A checkpoint in bf16, as they are published."""
    place = save_random_model(vocab_size=19986, hidden_size=256, intermediate_size=384, head_dim=32, seed=41)
    weights = load_file(place / "model.safetensors")
    save_file(
        {name: weight.bfloat16() for name, weight in weights.items()},
        place / "model.safetensors",
        metadata={"format": "pt"},
    )
    return place


def run(folder: Path, limits: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), json.dumps(TOKENS)],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not fp16_is_usable(), reason="needs x86 with AVX2 and F16C")
@pytest.mark.parametrize(
    "limits", [AVX2, AVX_VNNI, SKYLAKE], ids=["AVX2", "AVX-VNNI", "AVX-512 without VNNI"]
)
def test_results_are_those_of_transformers(folder: Path, limits: dict[str, str]) -> None:
    found = run(folder, limits)
    assert found["fp16"]
    eight = "oneDNN, packed" in found["exact"]
    if limits is not AVX_VNNI:
        assert found["exact"] == ["FBGEMM, 7 bits"]
    assert found["bits"] == (8 if eight else 7)
    assert found["revision"] == ("int8" if eight else "int7")
    if limits is not SKYLAKE:
        assert "AVX-512" in found["int4"]
        assert "qwen-agentkit[gguf]" in found["int4"]
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        wanted = model.model(torch.tensor([TOKENS])).last_hidden_state[0, -1:]
    for kind, bound in BOUNDS.items():
        result = torch.tensor(found["hidden"][kind])
        assert float((result - wanted).norm() / wanted.norm()) < bound, kind
        assert torch.cosine_similarity(result, wanted).min() > 0.995, kind
