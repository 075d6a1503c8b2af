"""Weights in 8 and 4 bits: near the plain ones, smaller, told apart, and refused where they cannot run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qwen_agentkit import ChatQwen, QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.checkpoint.identity import identify
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.model_config import read_config
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights import quantize as quantization
from qwen_agentkit.engine.weights.quantize import (
    check_quantization,
    cpu_quantizations,
    int8_bits,
    quantized_linear,
)
from qwen_agentkit.engine.weights.replacing import find_joined, replace_linears
from qwen_agentkit.engine.weights.rounding import to_int4
from qwen_agentkit.errors import InputError, ModelUnsupportedError
from tests.processors import INT4, INT8, NEAR_INT8, needs_int4, needs_int8, needs_int8_vectors

TEXTS = [
    "The library opens at nine.",
    "The boat leaves at half past seven.",
    "Lamps are lit at dusk, and the harbour master keeps the keys.",
    "窑炉最高温度为1230度。",
    "يغادر القارب في السابعة والنصف.",
    "Bread is baked before dawn; the oven needs two hours.",
]


FEWER_BITS = [pytest.param(False, marks=needs_int8), pytest.param(True, marks=needs_int4)]


def bytes_of(loaded: Loaded) -> int:
    tensors = [*loaded.model.parameters(), *loaded.model.buffers()]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    """The error of the worst row, as a share of the row."""
    one, other = one.detach().float(), other.detach().float()
    return float(((one - other).norm(dim=-1) / other.norm(dim=-1)).max())


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(256, 128)
    with torch.no_grad():
        layer.weight[3] *= 5  # a row of its own scale
        layer.weight[5] = 0
        layer.weight[7, :32] = 0  # a group of zeros
    return layer


@needs_int8
@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize(("fine", "bound"), [(True, 0.01), (False, 0.05)])
def test_a_layer_in_8_bits_is_near(linear: nn.Linear, fine: bool, bound: float, many: bool) -> None:
    rows = torch.randn(2, 5, 256) * torch.tensor([1e-3, 1.0, 1.0, 30.0, 0.0])[:, None]
    near = quantized_linear([linear], int4=False, fine=fine, many_rows=many)(rows)
    assert near.shape == (2, 5, 128)
    assert off(near, linear(rows)) < bound


@needs_int8
@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("fine", [True, False])
def test_a_row_in_8_bits_does_not_depend_on_its_neighbours(linear: nn.Linear, fine: bool, many: bool) -> None:
    layer = quantized_linear([linear], int4=False, fine=fine, many_rows=many)
    rows = torch.randn(40, 256)
    assert torch.equal(layer(rows)[7:8], layer(rows[7:8]))


@needs_int8
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("many", [True, False])
def test_rows_of_16_bits_neither_overflow_nor_vanish(
    linear: nn.Linear, many: bool, dtype: torch.dtype
) -> None:
    rows = torch.randn(4, 256).mul(torch.tensor([1e-5, 1e-2, 1.0, 1e3])[:, None]).to(dtype)
    linear.bias = None
    near = quantized_linear([linear], int4=False, fine=False, many_rows=many)(rows)
    assert near.dtype == dtype
    assert off(near, linear(rows.float())) < 0.05


@needs_int4
def test_a_layer_in_4_bits_is_near_and_reads_alike_for_few_rows_and_many(linear: nn.Linear) -> None:
    layer = quantized_linear([linear], int4=True, fine=True, many_rows=False)
    rows = torch.randn(64, 256)
    exact = linear(rows)
    many, few = layer(rows), torch.cat([layer(part) for part in rows.split(4)])
    assert off(many, exact) < 0.12
    assert off(few, many) < 0.02


@needs_int4
def test_widening_4_bits_loses_nothing(linear: nn.Linear) -> None:
    weight = linear.weight.detach()
    steps, scales, numbers = to_int4(weight)
    whole = numbers.view(128, 8, 32) * steps[..., None]
    layer = quantized_linear([linear], int4=True, fine=True, many_rows=False)
    assert torch.equal(layer.widen().t().float(), whole.view(128, 256))
    alive = weight.norm(dim=1) > 0
    assert off((whole.view(128, 256) * scales)[alive], weight[alive]) < 0.1


@pytest.mark.parametrize("four", FEWER_BITS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_layers_joined_give_what_each_gives(four: bool, bias: bool, many: bool) -> None:
    torch.manual_seed(1)
    layers = [nn.Linear(96, rows, bias=bias) for rows in (128, 64, 64)]
    rounded = partial(quantized_linear, int4=four, fine=False, many_rows=many)
    alone = [rounded([layer]) for layer in layers]
    model = nn.ModuleDict(dict(zip(("q_proj", "k_proj", "v_proj"), layers, strict=True)))
    replace_linears(model, rounded)
    parts = list(model.values())
    whole = find_joined(parts)
    for rows in (torch.randn(1, 1, 96), torch.randn(1, 40, 96)):
        for part, layer in zip(parts, alone, strict=True):
            assert torch.equal(part(rows), layer(rows))
    assert whole
    assert not vars(whole._held)  # no activations stay in memory
    rows = torch.randn(2, 96)
    assert torch.equal(parts[0](rows), alone[0](rows))
    assert torch.equal(parts[1](-rows), alone[1](-rows))


@pytest.mark.parametrize("quantize", [INT8, INT4])
def test_chat_weights_are_smaller_and_write_the_same_with_and_without_guesses(
    save_random_model, quantize: str
) -> None:
    folder = save_random_model(hidden_size=128, intermediate_size=192, head_dim=32, seed=3)
    plain = load(str(folder), device="cpu", dtype="float32", chat=True)
    small = load(str(folder), device="cpu", dtype="float32", chat=True, quantize=quantize)
    assert bytes_of(small) < 0.4 * bytes_of(plain)
    prompt = plain.encode_prompt("The library opens at nine. The boat leaves at nine.")

    def write(lookup: bool) -> Sequence[int]:
        return list(generate(small, prompt, Sampling(), max_tokens=12, lookup=lookup))

    assert write(True) == write(False)


@pytest.mark.parametrize("quantize", [INT8, INT4])
def test_untied_heads_and_tables_of_any_shape(save_random_model, quantize: str) -> None:
    folder = save_random_model(tie_word_embeddings=False, seed=4)
    plain = load(str(folder), device="cpu", chat=True)
    small = load(str(folder), device="cpu", chat=True, quantize=quantize)
    ids = plain.encode_prompt(TEXTS[0])
    hidden = [forward(loaded.model, [Segment(ids)]) for loaded in (plain, small)]
    assert torch.cosine_similarity(*hidden).min() > (NEAR_INT8 if quantize == "int8" else 0.95)
    logits = [loaded.model.get_output_embeddings()(hidden[0]) for loaded in (plain, small)]
    assert off(logits[1], logits[0]) < 0.03


@pytest.mark.parametrize("quantize", [INT8, INT4])
def test_nano_chat_answers(quantize: str) -> None:
    plain = ChatQwen(model="nano", device="cpu", temperature=0, max_tokens=24, thinking=False)
    small = ChatQwen(
        model="nano", device="cpu", temperature=0, max_tokens=24, thinking=False, quantize=quantize
    )
    assert small.invoke("Hello!").content == plain.invoke("Hello!").content


@needs_int8_vectors
def test_vectors_in_8_bits_are_near_and_rank_alike() -> None:
    plain = QwenEmbeddings(model="nano", device="cpu").embed_array(TEXTS)
    small = QwenEmbeddings(model="nano", device="cpu", quantize="int8").embed_array(TEXTS)
    assert (plain * small).sum(1).min() > 0.995
    off_diagonal = ~np.eye(len(TEXTS), dtype=bool)
    assert np.corrcoef((plain @ plain.T)[off_diagonal], (small @ small.T)[off_diagonal])[0, 1] > 0.99


@needs_int8_vectors
def test_scores_in_8_bits_are_near(tiny_qwen3_dir: Path) -> None:
    pairs = [("When does the boat leave?", text) for text in TEXTS]
    plain = QwenReranker(model=str(tiny_qwen3_dir), device="cpu").score(pairs)
    small = QwenReranker(model=str(tiny_qwen3_dir), device="cpu", quantize="int8").score(pairs)
    assert np.abs(np.array(plain) - np.array(small)).max() < 0.1
    assert np.corrcoef(plain, small)[0, 1] > 0.999


def test_a_reranker_of_exact_numbers_is_not_rounded() -> None:
    with pytest.raises(ModelUnsupportedError, match="its scores would be wrong"):
        QwenReranker(model="nano", quantize="int8").score([("When does the boat leave?", TEXTS[0])])


@needs_int8_vectors
def test_quantised_weights_and_vectors_are_told_apart(tiny_qwen3_dir: Path, tmp_path: Path) -> None:
    place = str(tiny_qwen3_dir)
    plain, small = load(place, device="cpu"), load(place, device="cpu", quantize="int8")
    assert small is not plain
    assert load(place, device="cpu", quantize="int8") is small
    assert small.revision == f"{plain.revision}+int{int8_bits()}"
    embeddings = QwenEmbeddings(model=place, device="cpu", cache=tmp_path)
    rounded = QwenEmbeddings(model=place, device="cpu", cache=tmp_path, quantize="int8")
    assert embeddings.fingerprint != rounded.fingerprint
    assert (embeddings.embed_array(TEXTS) != rounded.embed_array(TEXTS)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int3"}, "expected 'int8', 'int4' or 'fp8'"),
        ({"quantize": "fp8", "device": "cpu"}, "On a CPU pass 'int8'"),
    ],
)
def test_what_there_is_not_is_refused(tiny_qwen3_dir: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(str(tiny_qwen3_dir), **options)


def test_a_processor_without_the_instructions_is_told_so(tiny_qwen3_dir: Path, monkeypatch) -> None:
    monkeypatch.setattr(quantization, "times_of_none", lambda *_, **__: 0.5)
    monkeypatch.setattr(kernels, "can_multiply_int4", lambda: False)
    monkeypatch.setattr(kernels, "has_avx512", lambda: False)
    if cpu_quantizations() == ("int8",):
        with pytest.raises(InputError, match=r"AVX-512.*qwen-agentkit\[gguf\]"):
            identify(str(tiny_qwen3_dir), device="cpu", quantize="int4")
    for probe in ("can_multiply_int8", "can_pack_int8"):
        monkeypatch.setattr(kernels, probe, lambda: False)
    monkeypatch.setattr(kernels, "can_pack_int8_rows", lambda largest: False)
    assert cpu_quantizations() == ()
    with pytest.raises(InputError, match="AVX2 or VNNI"):
        identify(str(tiny_qwen3_dir), device="cpu", quantize="int8")


@needs_int8
@pytest.mark.parametrize("chat", [False, True])
def test_what_would_be_slower_than_no_quantization_is_refused(
    tiny_qwen3_dir: Path, monkeypatch, chat: bool
) -> None:
    monkeypatch.setattr(quantization, "times_of_none", lambda *_, **__: 4.2)
    assert cpu_quantizations(chat=chat) == ()
    with pytest.raises(InputError, match=r"slower than no quantization.*Leave quantize out.*GGUF"):
        identify(str(tiny_qwen3_dir), device="cpu", quantize="int8", chat=chat)


@pytest.mark.parametrize("four", FEWER_BITS)
@pytest.mark.parametrize("many", [False, True])
def test_no_rows_give_no_rows(linear: nn.Linear, four: bool, many: bool) -> None:
    layer = quantized_linear([linear], int4=four, fine=False, many_rows=many)
    assert layer(torch.zeros(1, 0, 256)).shape == (1, 0, 128)


@pytest.mark.parametrize("quantize", [INT8, INT4])
def test_a_prompt_of_several_steps_is_read(quantize: str) -> None:
    chat = ChatQwen(model="nano", quantize=quantize, temperature=0, max_tokens=4)
    long = "The library opens at nine. " * 200
    assert chat.get_num_tokens(long) > chat._load().token_budget
    assert chat.invoke(long).usage_metadata["output_tokens"] > 0


@needs_int8_vectors
@pytest.mark.parametrize("deterministic", [False, True])
def test_heads_are_read_apart_from_documents(two_cores, tiny_qwen3_dir: Path, deterministic: bool) -> None:
    reranker = QwenReranker(model=str(tiny_qwen3_dir), quantize="int8", deterministic=deterministic)
    pairs = [(f"When does boat {number} leave?", TEXTS[1]) for number in range(12)]
    together = reranker.score(pairs)
    reranker._backend.prompts.clear()
    assert together == pytest.approx([reranker.score([pair])[0] for pair in pairs], abs=0.01)


def test_experts_are_refused_on_gpus(save_random_model) -> None:
    config = read_config(save_random_model("qwen3_moe"), "x", chat=True)
    with pytest.raises(ModelUnsupportedError, match=r"experts of 'qwen3_moe'.*device='cpu'"):
        check_quantization("int8", config, "cuda", chat=True)


def test_a_server_has_its_own_weights() -> None:
    for make in (ChatQwen, QwenEmbeddings, QwenReranker):
        with pytest.raises(ValueError, match="quantize='int8'"):
            make(model="x", base_url="http://localhost:1/v1", quantize="int8")
