"""DoRA adapters, whose magnitudes transformers' own loader leaves behind."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from qwen_agentkit.engine.checkpoint.loading import load
from tests.weights import weights_of


def test_the_magnitudes_are_merged(tiny_qwen3_dir: Path, tmp_path: Path) -> None:
    settings = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], use_dora=True)
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks the model in words of transformers 4
        trained = get_peft_model(
            AutoModelForCausalLM.from_pretrained(tiny_qwen3_dir, dtype="float32"), settings
        )
    for name, weight in trained.named_parameters():
        if ".lora_" in name:
            torch.nn.init.uniform_(weight, 0.1, 0.5)
    trained.save_pretrained(tmp_path)
    expected = dict(trained.merge_and_unload().named_parameters())
    merged = weights_of(load(str(tiny_qwen3_dir), adapter=str(tmp_path)).model)
    compared = [name for name in merged if name in expected]
    assert sum("q_proj" in name or "down_proj" in name for name in compared) >= 2
    for name in compared:
        assert torch.allclose(merged[name], expected[name], atol=1e-5), name
