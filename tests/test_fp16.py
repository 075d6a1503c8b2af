"""Weights in fp16 beside fp32 activations: as exact as whole ones, and chosen where bf16 is slow."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.checkpoint import dtypes
from qwen_agentkit.engine.checkpoint.dtypes import choose_dtype
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.model_config import read_config
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.fp16 import fits_fp16, fp16_is_usable
from tests.conftest import SaveModel

TOKENS = list(range(20, 70))

FP16_IS_THERE = pytest.mark.skipif(not fp16_is_usable(), reason="needs x86 with AVX2 and F16C")

SHAPE = {"hidden_size": 128, "intermediate_size": 192, "head_dim": 32}


def hidden(loaded: Loaded, tokens: list[int] = TOKENS) -> Tensor:
    return loaded.compute(lambda: forward(loaded.model, [Segment(tokens)]))


def stock_logits(folder: Path) -> Tensor:
    """The logits of the last token by transformers' own code, in fp32."""
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        logits: Tensor = model(torch.tensor([TOKENS])).logits[0, -1:]
    return logits


def logits(loaded: Loaded) -> Tensor:
    head = loaded.model.get_output_embeddings()
    result: Tensor = loaded.compute(lambda: head(forward(loaded.model, [Segment(TOKENS)])[-1:]))
    return result


def off(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other.double()).norm() / other.double().norm())


def rewrite(folder: Path, change: dict[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Write other weights into a checkpoint, and all of them in another number type."""
    weights = load_file(folder / "model.safetensors")
    for name, rows in change.items():
        weights[name][: len(rows)] = rows
    if dtype is not None:
        weights = {name: weight.to(dtype) for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@FP16_IS_THERE
@pytest.mark.parametrize("tied", [False, True])
def test_weights_of_fp32_are_rounded_within_the_bound(save_random_model: SaveModel, tied: bool) -> None:
    folder = save_random_model(**SHAPE, tie_word_embeddings=tied, seed=31)
    half = load(str(folder), device="cpu", dtype="float16", chat=True)
    assert half.dtype == torch.float32
    assert 0 < off(logits(half), stock_logits(folder)) < 2e-3  # 2e-4 a product, over three layers


@FP16_IS_THERE
@pytest.mark.parametrize("tied", [False, True])
def test_weights_of_bf16_lose_nothing(save_random_model: SaveModel, tied: bool) -> None:
    folder = save_random_model(**SHAPE, tie_word_embeddings=tied, seed=32)
    rewrite(folder, {}, torch.bfloat16)
    half = load(str(folder), device="cpu", dtype="float16", chat=True)
    assert off(logits(half), stock_logits(folder)) < 1e-5
    whole = load(str(folder), device="cpu", dtype="float32", chat=True)

    def write(loaded: Loaded) -> list[int]:
        return list(generate(loaded, TOKENS, Sampling(), max_tokens=12))

    assert write(half) == write(whole)


@FP16_IS_THERE
@pytest.mark.parametrize("kind", ["Qwen2", "Qwen3_5"])
def test_biases_and_hybrid_models_write_what_transformers_writes(
    tmp_path: Path, nano_chat_dir: Path, kind: str
) -> None:
    """Qwen2 has biases; Qwen3.5 mixes linear attention in, and transformers' own code runs it."""
    tokenizer = AutoTokenizer.from_pretrained(nano_chat_dir)
    sizes = {
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 192,
            "num_hidden_layers": 4,
        },
        **{"num_attention_heads": 4, "num_key_value_heads": 2},
    }
    if kind == "Qwen3_5":
        sizes |= {"head_dim": 32, "linear_num_value_heads": 4, "linear_num_key_heads": 2}
        sizes |= {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
    config_class = {"Qwen2": "Qwen2Config", "Qwen3_5": "Qwen3_5TextConfig"}[kind]
    config = getattr(transformers, config_class)(**sizes)
    torch.manual_seed(35)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    for name, weight in model.named_parameters():
        weight.data = weight.data * 4 if weight.dim() == 2 else weight.data
        if name.endswith("bias"):
            weight.data.normal_()
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    stock = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    told = stock.generate(torch.tensor([TOKENS]), max_new_tokens=12, do_sample=False, eos_token_id=None)
    half = load(str(tmp_path), device="cpu", dtype="float16", chat=True)
    assert half.dtype == torch.float32
    assert list(generate(half, TOKENS, Sampling(), max_tokens=12)) == told[0, len(TOKENS) :].tolist()


@FP16_IS_THERE
@pytest.mark.parametrize(
    "row",
    [
        pytest.param([1e5] * 128, id="too large"),
        pytest.param([-7e4] + [0.1] * 127, id="one too large"),
        pytest.param([3e-8] * 128, id="tiny"),
    ],
)
def test_a_layer_that_fp16_does_not_hold_stays_in_fp32(
    save_random_model: SaveModel, row: list[float]
) -> None:
    folder = save_random_model(**SHAPE, seed=33)
    rewrite(folder, {"model.layers.1.mlp.gate_proj.weight": torch.tensor([row])})
    with pytest.warns(UserWarning, match=r"2 of 22 linear layers .* fp32") as said:
        half = load(str(folder), device="cpu", dtype="float16", chat=True)
    assert len([one for one in said if "fp16" in str(one.message)]) == 1
    assert off(logits(half), stock_logits(folder)) < 2e-3


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        ([0.0, 0.0, 0.0], True),
        ([65504.0, 1.0, -1.0], True),
        ([65536.0, 1.0, -1.0], False),
        ([float("inf"), 0.0, 0.0], False),
        ([float("nan"), 0.0, 0.0], False),
        ([1.0, 1e-9, 1e-9], True),  # what is lost is nothing beside the one
        ([1e-9, 1e-9, 1e-9], False),
        ([1e-7, 2e-7, -1e-7], False),
    ],
)
def test_what_fp16_holds(row: list[float], fits: bool) -> None:
    assert fits_fp16(torch.tensor([[1.0, 2.0, 3.0], row])) is fits


def test_a_processor_without_the_instructions_is_not_asked() -> None:
    """FBGEMM itself would end the process on one without F16C."""
    features = kernels.cpu_features()
    assert kernels.can_pack_fp16(features) is fp16_is_usable()
    for lacking in ("f16c", "avx2", "fma3"):
        assert not kernels.can_pack_fp16(features - {lacking})
    assert not kernels.can_pack_fp16(frozenset())


@FP16_IS_THERE
def test_a_row_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    packed = kernels.pack_fp16(torch.randn(96, 300), torch.randn(96))
    rows = torch.randn(2, 20, 300)
    whole = kernels.multiply_fp16(rows, packed)
    assert whole.shape == (2, 20, 96)
    torch.testing.assert_close(
        whole[1, 7:8], kernels.multiply_fp16(rows[1, 7:8], packed), rtol=1e-6, atol=1e-5
    )
    assert kernels.multiply_fp16(rows[:, :0], packed).shape == (2, 0, 96)


@FP16_IS_THERE
def test_vectors_and_scores_are_those_of_fp32(tmp_path: Path) -> None:
    texts = [
        "The boat leaves at nine.",
        "يغادر القارب في التاسعة.",
        "船九点开。",
        "नाव नौ बजे जाती है।",
        "เรือออกเก้าโมง",
    ]
    half, whole = (QwenEmbeddings(model="nano", device="cpu", dtype=kind) for kind in ("float16", "float32"))
    assert (half.embed_array(texts) * whole.embed_array(texts)).sum(1).min() > 0.9999
    assert half.fingerprint == whole.fingerprint  # a store takes both, as it takes bf16
    pairs = [("When does the boat leave?", text) for text in texts]
    scores = [
        QwenReranker(model="nano", device="cpu", dtype=kind).score(pairs) for kind in ("float16", "float32")
    ]
    np.testing.assert_allclose(*scores, atol=2e-3)


@FP16_IS_THERE
def test_mixtures_of_experts_are_loaded_as_before(save_random_model: SaveModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(str(save_random_model("qwen3_moe")), device="cpu", dtype="float16", chat=True)
    assert loaded.dtype == torch.float16


@pytest.mark.parametrize(
    ("size", "quantized", "experts", "chosen"),
    [
        (1e9, False, False, torch.float16),
        (1e10, False, False, torch.float16),
        (1e10, True, False, torch.float32),
        (1e8, False, False, torch.float32),
        (1e9, False, True, torch.float32),
    ],
)
def test_fp16_is_the_default_where_bf16_is_slow(
    save_random_model: SaveModel,
    monkeypatch: pytest.MonkeyPatch,
    size: float,
    quantized: bool,
    experts: bool,
    chosen: torch.dtype,
) -> None:
    folder = save_random_model("qwen3_moe") if experts else save_random_model()
    config = read_config(folder, "tiny", chat=True)
    monkeypatch.setattr(dtypes, "bf16_is_fast", lambda: False)
    monkeypatch.setattr(dtypes, "fp16_is_fast", lambda: True)
    assert choose_dtype(None, config, "cpu", int(size), chat=False, quantized=quantized) == chosen
    monkeypatch.setattr(dtypes, "bf16_is_fast", lambda: True)
    stored = config.dtype if size > 2e8 else torch.float32
    assert choose_dtype(None, config, "cpu", int(size), chat=False, quantized=quantized) == stored
