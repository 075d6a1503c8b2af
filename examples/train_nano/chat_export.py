"""Writes a nano-chat checkpoint folder as transformers, vLLM and others read it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, Qwen3ForCausalLM

TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def export(
    model: Qwen3ForCausalLM, tokenizer_folder: Path, tokenizer: PreTrainedTokenizerBase, out: Path
) -> None:
    """Saves weights in bfloat16 with tokenizer.

    Template and Qwen's recommended sampling; `model` stays as it is.
    """
    out.mkdir(parents=True, exist_ok=True)
    copy = Qwen3ForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy = copy.to(torch.bfloat16)
    copy.config.dtype = torch.bfloat16
    end, stop = (tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>"))
    copy.generation_config = GenerationConfig(
        do_sample=True, temperature=0.6, top_p=0.95, top_k=20, eos_token_id=[end, stop], pad_token_id=stop
    )
    copy.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if tokenizer_folder.resolve() != out.resolve():
            shutil.copyfile(tokenizer_folder / name, out / name)
    shutil.copyfile(TEMPLATE, out / "chat_template.jinja")
    settings = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["eos_token"], settings["pad_token"] = "<|im_end|>", "<|endoftext|>"
    (out / "tokenizer_config.json").write_text(
        json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8"
    )
