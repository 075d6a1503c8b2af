"""Private operations of torch: where one is gone, refuses, is wrong or slow, results are right or refused."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.forward.packed import Segment, forward
from qwen_agentkit.engine.weights import kernels
from qwen_agentkit.engine.weights.fp16 import fp16_is_usable
from qwen_agentkit.engine.weights.quantize import cpu_quantizations
from qwen_agentkit.errors import InputError
from tests.conftest import SaveModel
from tests.processors import NEAR_INT8

PACKAGE = Path(kernels.__file__).parents[2]

PROBES = (
    *(kernels.can_pack, kernels.can_pack_fp16, kernels.can_multiply_int8, kernels.can_pack_int8),
    *(kernels.can_pack_int8_rows, kernels.can_multiply_int4),
)

# What those are asked for that take something.
ARGUMENTS = {kernels.can_pack_fp16: (kernels.cpu_features(),), kernels.can_pack_int8_rows: (127,)}

# Each operation, and what cannot be used without it.
OPERATIONS: dict[str, Callable[[], bool]] = {
    "ops.mkldnn._reorder_linear_weight": lambda: kernels.can_pack(torch.float32),
    "ops.mkldnn._linear_pointwise": lambda: kernels.can_pack(torch.float32),
    "_int_mm": kernels.can_multiply_int8,
    "ops.onednn.qlinear_prepack": kernels.can_pack_int8,
    "ops.onednn.qlinear_pointwise": kernels.can_pack_int8,
    "ops.quantized.linear_prepack_fp16": fp16_is_usable,
    "ops.quantized.linear_dynamic_fp16": fp16_is_usable,
    "_make_per_channel_quantized_tensor": lambda: kernels.can_pack_int8_rows(64),
    "ops.quantized.linear_prepack": lambda: kernels.can_pack_int8_rows(64),
    "ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32": lambda: kernels.can_pack_int8_rows(64),
    "ops.aten._convert_weight_to_int4pack_for_cpu": kernels.can_multiply_int4,
    "ops.aten._weight_int4pack_mm_for_cpu": kernels.can_multiply_int4,
}

TOKENS = list(range(20, 60))


class Operations:
    """A namespace of torch with one operation replaced, or without it."""

    def __init__(self, whole: Any, name: str, replacement: Callable[..., Any] | None) -> None:
        self._whole, self._name, self._replacement = whole, name, replacement

    def __getattr__(self, name: str) -> Any:
        if name != self._name:
            return getattr(self._whole, name)
        if self._replacement is None:
            raise AttributeError(name)
        return self._replacement


@pytest.fixture(autouse=True)
def _fresh_probes() -> Iterator[None]:
    """What a probe found with an operation replaced is true of no other test."""
    for probe in PROBES:
        probe.cache_clear()
    yield
    for probe in PROBES:
        probe.cache_clear()


def replace(patch: pytest.MonkeyPatch, operation: str, replacement: Callable[..., Any] | None) -> None:
    *path, name = operation.split(".")
    if not path:
        if replacement is None:
            patch.delattr(torch, name)
        else:
            patch.setattr(torch, name, replacement)
        return
    namespace = path[1]
    patch.setattr(torch.ops, namespace, Operations(getattr(torch.ops, namespace), name, replacement))


@pytest.fixture(scope="module")
def folder(save_random_model: SaveModel) -> str:
    return str(save_random_model(hidden_size=128, intermediate_size=192, head_dim=32, seed=22))


@pytest.fixture(scope="module")
def wanted(folder: str) -> torch.Tensor:
    """The hidden state of the last token by transformers' own code."""
    with torch.inference_mode():
        state: torch.Tensor = (
            AutoModelForCausalLM.from_pretrained(folder)
            .model(torch.tensor([TOKENS]))
            .last_hidden_state[0, -1:]
        )
    return state


def refuse(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("not implemented for this processor")


def test_private_operations_stand_in_one_file() -> None:
    private = re.compile(r"\btorch\.(?:_(?!_version)\w+|ops\b)|torch\.\w+(?:\.\w+)*\._[a-z]")
    files = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if private.search(file.read_text(encoding="utf-8"))
    }
    assert files == {"engine/weights/kernels.py"}


@pytest.mark.parametrize("replacement", [None, refuse], ids=["gone", "refuses"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_an_operation_results_are_right_or_refused(
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    wanted: torch.Tensor,
    operation: str,
    replacement: Callable[..., Any] | None,
) -> None:
    replace(monkeypatch, operation, replacement)
    assert not OPERATIONS[operation]()

    def similarity(**options: Any) -> float:
        loaded = load(folder, device="cpu", chat=True, **options)
        found = loaded.compute(lambda: forward(loaded.model, [Segment(TOKENS)]))
        return float(torch.cosine_similarity(found.float(), wanted))

    assert similarity(dtype="float32") > 1 - 1e-6
    assert similarity(dtype="bfloat16") > 0.999
    assert similarity(dtype="float16") > 0.9999
    for quantize, near in (("int8", NEAR_INT8), ("int4", 0.95)):
        if quantize in cpu_quantizations():
            assert similarity(dtype="float32", quantize=quantize) > near
        else:
            with pytest.raises(InputError, match=r"Leave quantize out, |Pass quantize='int8'\."):
                similarity(quantize=quantize)


@pytest.mark.parametrize(
    "operation",
    [
        "ops.mkldnn._linear_pointwise",
        "_int_mm",
        "ops.onednn.qlinear_pointwise",
        "ops.quantized.linear_dynamic_fp16",
        "ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32",
        "ops.aten._weight_int4pack_mm_for_cpu",
    ],
)
def test_an_operation_with_wrong_results_is_not_used(monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    right = operator.attrgetter(operation)(torch)

    def wrong(*args: Any, **kwargs: Any) -> torch.Tensor:
        return right(*args, **kwargs) + 1

    replace(monkeypatch, operation, wrong)
    assert not OPERATIONS[operation]()


@pytest.mark.parametrize("probe", PROBES[1:])
def test_an_operation_that_takes_much_longer_than_plain_torch_is_not_used(
    monkeypatch: pytest.MonkeyPatch, probe: Any
) -> None:
    monkeypatch.setattr(kernels, "has_avx512", lambda: True)
    monkeypatch.setattr(kernels, "_equal", lambda *_: True)
    monkeypatch.setattr(kernels, "_passes", lambda check: check())
    for seconds, usable in ((100.0, False), (1.0, True)):
        probe.cache_clear()
        times = iter([seconds, 1.0])
        monkeypatch.setattr(kernels, "shortest_seconds", lambda _, times=times: next(times))
        assert probe(*ARGUMENTS.get(probe, ())) is usable


def test_a_probe_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = kernels.can_multiply_int8()
    monkeypatch.setattr(kernels, "run_on_one_core", refuse)
    assert kernels.can_multiply_int8() is first
