"""The packed forward equals the stock model: in fp32 to 1e-5, for every way of cutting a sequence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.forward import attention, packed
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, compute_logits, forward, token_batches


@pytest.fixture(scope="module", params=["qwen3", "qwen3_moe"])
def pair(request: pytest.FixtureRequest, save_random_model) -> tuple[Loaded, torch.nn.Module]:
    """Our loaded model and the stock one, of the same weights."""
    folder: Path = save_random_model(request.param)
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return load(str(folder), dtype="float32", device="cpu"), stock


def stock_hidden(stock: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return stock.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]


def random_ids(length: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(10, 3000, (length,), generator=generator).tolist()


LENGTHS = [1, 2, 7, 64, 255, 256, 257, 600]


def test_a_packed_row_equals_each_sequence_alone(pair) -> None:
    loaded, stock = pair
    sequences = [random_ids(length, seed) for seed, length in enumerate(LENGTHS)]
    hidden = forward(loaded.model, [Segment(ids) for ids in sequences])
    for ids, row in zip(sequences, hidden, strict=True):
        torch.testing.assert_close(row, stock_hidden(stock, ids), atol=1e-5, rtol=0)


def test_a_sequence_in_pieces_equals_it_whole(pair) -> None:
    loaded, stock = pair
    ids = random_ids(300, 1)
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    for start, end in [(0, 120), (120, 121), (121, 290), (290, 300)]:
        hidden = forward(loaded.model, [Segment(ids[start:end], cache)])
        torch.testing.assert_close(hidden[0], stock_hidden(stock, ids[:end]), atol=1e-5, rtol=0)
    assert cache.length == 300


def test_segments_share_a_prefix_that_none_changes(pair) -> None:
    loaded, stock = pair
    prefix = random_ids(76, 2)
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    forward(loaded.model, [Segment(prefix, cache)])
    tails = [random_ids(length, 10 + length) for length in (1, 40, 300)]
    for _ in range(2):
        hidden = forward(loaded.model, [Segment(tail, cache, keep=False) for tail in tails])
        for tail, row in zip(tails, hidden, strict=True):
            torch.testing.assert_close(row, stock_hidden(stock, prefix + tail), atol=1e-5, rtol=0)
    assert cache.length == 76


def test_truncating_a_cache_goes_back_to_an_earlier_turn(pair) -> None:
    loaded, stock = pair
    first, other = random_ids(50, 3), random_ids(20, 4)
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    forward(loaded.model, [Segment(first, cache)])
    cache.truncate(30)
    hidden = forward(loaded.model, [Segment(other, cache)])
    torch.testing.assert_close(hidden[0], stock_hidden(stock, first[:30] + other), atol=1e-5, rtol=0)


def test_the_fused_kernel_computes_the_same(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU runs, run here: same segments, same numbers."""
    loaded, _ = pair
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    forward(loaded.model, [Segment(random_ids(33, 5), cache)])
    segments = [Segment(random_ids(n, n), cache if n % 2 else None, keep=False) for n in (1, 2, 31, 260)]
    expected = forward(loaded.model, segments)
    monkeypatch.setattr(attention, "_attend_cpu", attention._attend_sdpa)
    torch.testing.assert_close(forward(loaded.model, segments), expected, atol=1e-5, rtol=0)


def test_bf16_stays_within_its_own_rounding(save_random_model) -> None:
    """bf16 has eight bits of mantissa: the packed path may differ from fp32 as much as stock bf16 does."""
    folder = save_random_model()
    exact = load(str(folder), dtype="float32", device="cpu")
    rounded = load(str(folder), dtype="bfloat16", device="cpu")
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    sequences = [random_ids(length, length) for length in (5, 64, 300)]
    truth = forward(exact.model, [Segment(ids) for ids in sequences])
    ours = forward(rounded.model, [Segment(ids) for ids in sequences]).float()
    theirs = torch.stack([stock_hidden(stock, ids) for ids in sequences]).float()
    assert (ours - truth).norm() < 1.5 * (theirs - truth).norm() + 1e-3


def test_batches_hold_the_budget_and_every_item_once() -> None:
    lengths = [5, 900, 30, 2048, 2500, 1, 700, 700]
    batches = token_batches(lengths, 2048)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[i] for i in batch) <= 2048 or len(batch) == 1
    assert token_batches([], 2048) == []


def test_batches_are_no_more_and_no_less_equal_than_they_can_be() -> None:
    batches = token_batches([130] * 12, 1024)
    assert sorted(map(len, batches)) == [6, 6]
    batches = token_batches([600] * 5, 1000)  # two do not fit in one
    assert sorted(map(len, batches)) == [1] * 5


def rows_run(loaded: Loaded, segments: list[Segment], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of each packed row of a forward."""
    rows: list[int] = []
    run = packed._run

    def counted(model: Any, part: list[Segment]) -> torch.Tensor:
        rows.append(sum(len(segment.tokens) for segment in part))
        return run(model, part)

    with monkeypatch.context() as patch:
        patch.setattr(packed, "_run", counted)
        loaded.compute(lambda: forward(loaded.model, segments))
    return rows


def test_each_core_gets_an_equal_share(pair, two_cores, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, _ = pair
    texts = [Segment(random_ids(length, length)) for length in (20, 140, 60, 110, 70)]
    assert rows_run(loaded, texts, monkeypatch) == [200, 200]


def test_what_is_small_or_cannot_be_shared_stays_one_row(
    pair, two_cores, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, _ = pair
    written = [Segment([7]) for _ in range(8)]  # a step of eight answers reads the weights once
    assert rows_run(loaded, written, monkeypatch) == [8]
    monkeypatch.setattr(packed, "_NARROW", 0)
    uneven = [Segment(random_ids(length, length)) for length in (400, 100)]
    assert rows_run(loaded, uneven, monkeypatch) == [500]


def test_cores_wait_for_each_other_at_no_product_of_a_small_row(
    pair, two_cores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside other work, waiting takes a hundred times as long as such a product."""
    loaded, _ = pair
    cores: list[int] = []
    run = packed._run

    def counted(model: Any, part: list[Segment]) -> torch.Tensor:
        cores.append(torch.get_num_threads())
        return run(model, part)

    def cores_of(*lengths: int) -> list[int]:
        cores.clear()
        segments = [Segment(random_ids(length, length)) for length in lengths]
        loaded.compute(lambda: forward(loaded.model, segments))
        loaded.compute(lambda: compute_logits(loaded.model, segments))
        return cores

    monkeypatch.setattr(packed, "_run", counted)
    assert cores_of(1) == [1] * 2
    assert cores_of(400, 100) == [1] * 4
    monkeypatch.setattr(packed, "_ALONE", 50 * loaded.model.config.hidden_size**2)
    assert cores_of(50) == [1] * 2
    assert cores_of(51) == [2] * 2
    monkeypatch.setattr(packed, "_NARROW", 0)  # as for a wide model, whose weights both cores have to read
    assert cores_of(1) == [2] * 2


def test_caches_grow_and_rows_keep_their_order_on_many_cores(pair, two_cores) -> None:
    loaded, stock = pair
    sequences = [random_ids(length, length) for length in (90, 110, 80, 120)]
    caches = [KVCache(loaded.model.config, loaded.dtype, loaded.device) for _ in sequences]
    segments = [Segment(ids, cache, read=2) for ids, cache in zip(sequences, caches, strict=True)]
    hidden = loaded.compute(lambda: forward(loaded.model, segments))
    for number, ids in enumerate(sequences):
        expected = torch.stack([stock_hidden(stock, ids[:-1]), stock_hidden(stock, ids)])
        torch.testing.assert_close(hidden[2 * number : 2 * number + 2], expected, atol=1e-5, rtol=0)
    assert [cache.length for cache in caches] == [90, 110, 80, 120]
    hidden = forward(loaded.model, [Segment([5], cache) for cache in caches])
    for ids, row in zip(sequences, hidden, strict=True):
        torch.testing.assert_close(row, stock_hidden(stock, [*ids, 5]), atol=1e-5, rtol=0)


def test_a_segment_reads_what_one_before_it_keeps(pair) -> None:
    loaded, stock = pair
    head, tails = random_ids(9, 1), [random_ids(4, 2), random_ids(7, 3)]
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    segments = [Segment(head, cache, read=0), *(Segment(tail, cache, keep=False) for tail in tails)]
    hidden = forward(loaded.model, segments)
    expected = torch.stack([stock_hidden(stock, head + tail) for tail in tails])
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=0)
    assert cache.length == len(head)


def test_a_forward_that_fails_keeps_nothing(pair, two_cores) -> None:
    loaded, _ = pair
    cache = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    forward(loaded.model, [Segment([5, 6, 7], cache)])
    other = KVCache(loaded.model.config, loaded.dtype, loaded.device)
    for tail in ([8, 10**6], [10**6] * 300):  # there is no such token; the second is a row for each core
        segments = [Segment([9] * len(tail), other), Segment(tail, cache)]
        with pytest.raises(IndexError):
            loaded.compute(partial(forward, loaded.model, segments))
        assert (cache.length, other.length) == (3, 0)
