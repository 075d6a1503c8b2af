"""The table of the embeddings stays as narrow as its file, and what is computed from it does not change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.weights.kernels import can_pack_int8_rows
from qwen_agentkit.engine.weights.table import in_own_memory
from tests.conftest import SaveModel

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]
SHAPE = {"hidden_size": 128, "intermediate_size": 192, "head_dim": 32, "seed": 41}
NARROW = torch.bfloat16


def written(folder: Path, dtype: torch.dtype) -> Path:
    weights = {name: weight.to(dtype) for name, weight in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "dtype": str(dtype).removeprefix("torch.")}))
    return folder


def table(loaded: Loaded) -> torch.Tensor:
    weight: torch.Tensor = loaded.model.get_input_embeddings().weight
    return weight


def stock(folder: Path) -> torch.Tensor:
    transformers.logging.set_verbosity_error()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        hidden: torch.Tensor = model(torch.tensor([TOKENS])).last_hidden_state[0, -1:]
    return hidden


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_a_reader_in_fp32_keeps_bf16(save_random_model: SaveModel, tied: bool, head: bool) -> None:
    folder = written(save_random_model(**SHAPE, tie_word_embeddings=tied), NARROW)
    loaded = load(str(folder), device="cpu", dtype="float32", head=head)
    assert table(loaded).dtype == NARROW
    assert loaded.dtype == torch.float32
    hidden = loaded.compute(lambda: forward(loaded.model, [Segment(TOKENS)]))
    torch.testing.assert_close(hidden, stock(folder), atol=1e-5, rtol=1e-5)
    if head:  # whose rows are read
        stored = load_file(folder / "model.safetensors")
        rows = stored["model.embed_tokens.weight" if tied else "lm_head.weight"]
        assert torch.equal(loaded.model.get_parameter("lm_head.weight"), rows)


def test_nothing_is_kept_wider_than_it_was_asked_for(save_random_model: SaveModel) -> None:
    folder = written(save_random_model(**SHAPE), torch.float32)
    assert table(load(str(folder), device="cpu", dtype="bfloat16", head=False)).dtype == NARROW


@pytest.mark.skipif(not can_pack_int8_rows(64), reason="no product of 8-bit numbers is exact here")
@pytest.mark.parametrize("kind", [torch.float32, NARROW])
def test_a_quantized_reader_keeps_it_too(save_random_model: SaveModel, kind: torch.dtype) -> None:
    folder = written(save_random_model(**SHAPE), NARROW)
    name = str(kind).removeprefix("torch.")
    loaded = load(str(folder), device="cpu", dtype=name, head=True, quantize="int8")
    assert table(loaded).dtype == NARROW
    hidden = loaded.compute(lambda: forward(loaded.model, [Segment(TOKENS)]))
    assert hidden.dtype == kind
    assert float(torch.cosine_similarity(hidden.float(), stock(folder))) > 0.99


def test_what_is_mapped_or_a_part_is_copied_and_nothing_else(tmp_path: Path) -> None:
    whole = torch.arange(8.0)
    save_file({"some": whole, "more": whole + 1}, tmp_path / "weights.safetensors")
    assert in_own_memory(whole) is whole
    for part in (whole[2:5], load_file(tmp_path / "weights.safetensors")["more"]):
        own = in_own_memory(part)
        assert torch.equal(own, part)
        assert own.data_ptr() != part.data_ptr()
