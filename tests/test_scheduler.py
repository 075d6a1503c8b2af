"""Answers written side by side: equal to those written alone, with every saving on and off."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode import generate as generate_module
from qwen_agentkit.engine.decode.generate import TokenStream, generate
from qwen_agentkit.engine.decode.lookup import PromptLookup
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.engine.forward.kv import KVCache, token_bytes
from qwen_agentkit.engine.forward.prefixes import PrefixStore
from qwen_agentkit.errors import OutOfMemoryError
from tests.conftest import SaveModel
from tests.fakes.guides import Says

GREEDY = Sampling()


def prompt(seed: int, length: int = 60) -> list[int]:
    dice = torch.Generator().manual_seed(seed)
    return torch.randint(20, 2000, (length,), generator=dice).tolist()


@pytest.fixture
def loaded(tiny_qwen3_dir: Path) -> Iterator[Loaded]:
    found = load(str(tiny_qwen3_dir), device="cpu", dtype="float32")
    get_scheduler(found).prefixes.clear()
    yield found
    assert not get_scheduler(found)._active, "a sequence was left behind"


@contextmanager
def counted(loaded: Loaded) -> Iterator[list[int]]:
    """Tokens of every forward while the block runs."""
    lengths: list[int] = []

    def count(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        lengths.append(kwargs["input_ids"].shape[1])

    hook = loaded.model.base_model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield lengths
    finally:
        hook.remove()


def together(calls: Sequence[Callable[[], TokenStream]]) -> list[list[int]]:
    """Read all of them at once, one thread each; the first steps wait until everyone has come."""
    start = threading.Barrier(len(calls))

    def read(call: Callable[[], TokenStream]) -> list[int]:
        writing = call()
        start.wait()
        return list(writing)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(read, calls))


@pytest.mark.parametrize("architecture", ["qwen3", "qwen3_moe"])
@pytest.mark.parametrize(
    "sampling", [GREEDY, Sampling(temperature=0.8, top_k=20, presence_penalty=1.0, seed=5)]
)
def test_side_by_side_writes_what_each_writes_alone(
    save_random_model: SaveModel, architecture: str, sampling: Sampling
) -> None:
    loaded = load(str(save_random_model(architecture, seed=8)), device="cpu", dtype="float32")
    prompts = [prompt(seed, 20 + 15 * seed) for seed in range(6)]
    alone = [list(generate(loaded, one, sampling, max_tokens=24, lookup=False)) for one in prompts]
    get_scheduler(loaded).prefixes.clear()
    with counted(loaded) as lengths:
        side_by_side = together(
            [lambda one=one: generate(loaded, one, sampling, max_tokens=24) for one in prompts]
        )
    assert side_by_side == alone
    assert len(lengths) < 3 * 24  # six rows of 24 steps would be 144 forwards


def test_a_prompt_goes_on_where_an_earlier_one_ended(loaded: Loaded) -> None:
    first = prompt(1)
    answer = list(generate(loaded, first, GREEDY, max_tokens=10))
    second = [*first, *answer, *prompt(2, 9)]
    scheduler_of = get_scheduler(loaded)
    with counted(loaded) as lengths:
        writing = generate(loaded, second, GREEDY, max_tokens=10, lookup=False)
        reused = list(writing)
    assert writing.cached_tokens == len(first) + len(answer) - 1  # the last token written was never run
    assert lengths[0] == len(second) - writing.cached_tokens
    scheduler_of.prefixes.clear()
    assert reused == list(generate(loaded, second, GREEDY, max_tokens=10))


def test_a_branch_leaves_the_stored_prefix_alone(loaded: Loaded) -> None:
    trunk = prompt(3)
    list(generate(loaded, trunk, GREEDY, max_tokens=4))
    branches = [[*trunk, *prompt(seed, 5)] for seed in (4, 5)]
    again = []
    for branch in branches:
        writing = generate(loaded, branch, GREEDY, max_tokens=6)
        again.append(list(writing))
        assert writing.cached_tokens == len(trunk)
    get_scheduler(loaded).prefixes.clear()
    assert again == [list(generate(loaded, branch, GREEDY, max_tokens=6)) for branch in branches]


def test_newcomers_share_a_prefix_that_is_being_computed(loaded: Loaded) -> None:
    trunk = prompt(6, 200)
    branches = [[*trunk, *prompt(seed, 6)] for seed in range(10, 14)]
    with counted(loaded) as lengths:
        found = together(
            [
                lambda branch=branch: generate(loaded, branch, GREEDY, max_tokens=5, lookup=False)
                for branch in branches
            ]
        )
    assert sum(lengths) < 2 * len(trunk)  # without sharing, four times
    get_scheduler(loaded).prefixes.clear()
    assert found == [list(generate(loaded, branch, GREEDY, max_tokens=5)) for branch in branches]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.7, seed=3)])
def test_guesses_save_steps_and_change_nothing(loaded: Loaded, sampling: Sampling) -> None:
    passage = prompt(7, 90)
    asked = [*passage, *prompt(8, 10)]
    quote = passage[20:80]
    runs = {}
    for lookup in (False, True):
        with counted(loaded) as lengths:
            writing = generate(
                loaded, asked, sampling, max_tokens=len(quote), guide=Says(quote), lookup=lookup
            )
            runs[lookup] = (list(writing), len(lengths))
    assert runs[True][0] == runs[False][0] == quote
    assert runs[True][1] < runs[False][1] / 4


def test_a_wrong_guess_is_taken_back(loaded: Loaded) -> None:
    asked = [7, 8, 9, 30, 31, 32, 33, 34, 7, 8, 9]
    said = [30, 31, 50, 51, 52, 53]  # begins like the prompt, then differs
    guessed = generate(loaded, asked, GREEDY, max_tokens=6, guide=Says(said))
    assert list(guessed) == said
    follow = [*asked, *said, 40]
    reused = list(generate(loaded, follow, GREEDY, max_tokens=8, lookup=False))
    get_scheduler(loaded).prefixes.clear()
    assert reused == list(generate(loaded, follow, GREEDY, max_tokens=8, lookup=False))


def test_closing_stops_within_a_step(loaded: Loaded) -> None:
    writing = generate(loaded, prompt(9), GREEDY, lookup=False)
    with counted(loaded) as lengths:
        next(writing), next(writing)
        writing.close()
    assert len(lengths) == 2
    assert next(writing, None) is None


def test_an_abandoned_stream_is_taken_out(loaded: Loaded) -> None:
    next(generate(loaded, prompt(9), GREEDY))
    gc.collect()
    assert not get_scheduler(loaded)._active


def test_one_cancelled_call_does_not_stop_the_others(loaded: Loaded) -> None:
    cancelled = threading.Event()
    stopped = generate(loaded, prompt(10), GREEDY, max_tokens=500, cancelled=cancelled)
    goes_on = generate(loaded, prompt(11), GREEDY, max_tokens=12)
    next(stopped), next(goes_on)
    cancelled.set()
    assert len(list(goes_on)) == 11
    assert len(list(stopped)) < 30


class Trips(Says):
    """A guide that breaks at its third token."""

    def after(self, token: int) -> Sequence[int]:
        super().after(token)
        if self._at == 3:
            raise RuntimeError("tripped")
        return []


def test_a_broken_guide_fails_its_own_call_only(loaded: Loaded) -> None:
    broken = generate(loaded, prompt(12), GREEDY, guide=Trips([5] * 9))
    whole = generate(loaded, prompt(13), GREEDY, max_tokens=9)
    next(whole)
    assert next(broken) == 5
    with pytest.raises(RuntimeError, match="tripped"):
        list(broken)
    assert len(list(whole)) == 8


def test_out_of_memory_fails_one_call_and_the_others_finish(loaded: Loaded) -> None:
    greedy_one = prompt(14, 40)

    def no_memory(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if greedy_one[5] in kwargs["input_ids"][0].tolist():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    others = [prompt(seed, 30) for seed in (15, 16)]
    expected = [list(generate(loaded, one, GREEDY, max_tokens=8)) for one in others]
    get_scheduler(loaded).prefixes.clear()
    hook = loaded.model.base_model.register_forward_pre_hook(no_memory, with_kwargs=True)
    try:
        writings = [generate(loaded, one, GREEDY, max_tokens=8) for one in (greedy_one, *others)]
        with ThreadPoolExecutor(3) as pool:
            failed, *fine = [pool.submit(list, writing) for writing in writings]
            with pytest.raises(OutOfMemoryError, match="Lower max_tokens"):
                failed.result()
            assert [future.result() for future in fine] == expected
    finally:
        hook.remove()


def out_of_memory() -> RuntimeError:
    return RuntimeError("DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("lookup", [True, False])
def test_no_memory_for_the_logits_computes_no_token_twice(loaded: Loaded, lookup: bool) -> None:
    prompts = [prompt(seed, 10) * 3 for seed in (15, 16)]  # repeats, so that there is something to look up
    expected = [list(generate(loaded, one, GREEDY, max_tokens=12, lookup=False)) for one in prompts]
    get_scheduler(loaded).prefixes.clear()
    failures: list[int] = []

    def no_memory(module: Any, args: Any) -> None:
        if args[0].shape[0] > 1:
            failures.append(args[0].shape[0])
            raise out_of_memory()

    hook = loaded.model.lm_head.register_forward_pre_hook(no_memory)
    try:
        writings = [generate(loaded, one, GREEDY, max_tokens=12, lookup=lookup) for one in prompts]
        first = [next(writing) for writing in writings]  # the second reader's steps are of both
        assert [[token, *writing] for token, writing in zip(first, writings, strict=True)] == expected
    finally:
        hook.remove()
    assert any(rows > 2 for rows in failures) == lookup  # there were drafts


def test_no_memory_for_a_newcomer_fails_it_alone(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [prompt(seed, 30) for seed in (15, 16)]
    expected = [list(generate(loaded, one, GREEDY, max_tokens=20)) for one in others]
    reserve = KVCache.reserve

    def no_memory(self: KVCache, capacity: int) -> None:
        if capacity > 400:
            raise out_of_memory()
        reserve(self, capacity)

    monkeypatch.setattr(KVCache, "reserve", no_memory)
    writings = [generate(loaded, one, GREEDY, max_tokens=20) for one in others]
    first = [next(writing) for writing in writings]
    with pytest.raises(OutOfMemoryError, match="Lower max_tokens"):
        list(generate(loaded, prompt(14, 300), GREEDY, max_tokens=200))
    assert [[token, *writing] for token, writing in zip(first, writings, strict=True)] == expected


def test_leaving_in_the_middle_of_a_step_keeps_what_was_written(loaded: Loaded) -> None:
    repeats = (prompt(20, 10) * 4)[:36]
    told = list(generate(loaded, repeats, GREEDY, max_tokens=30, guide=Says(repeats[6:36])))
    get_scheduler(loaded).prefixes.clear()
    writing = generate(loaded, repeats, GREEDY, max_tokens=30, guide=Says(repeats[6:36]))
    next(writing)

    def leave(module: Any, args: Any) -> None:
        writing._sequence.finished = True  # as `_remove` does while another reader runs the step

    hook = loaded.model.lm_head.register_forward_pre_hook(leave)
    try:
        list(writing)
    finally:
        hook.remove()
    for tokens, cache in get_scheduler(loaded).prefixes._entries:
        assert cache.length == len(tokens)
        assert tokens.tolist() == [*repeats, *told][: len(tokens)]


def test_what_was_left_behind_counts_as_free(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    size = token_bytes(loaded.model.config, loaded.dtype)
    writing = generate(loaded, prompt(17, 60), GREEDY, max_tokens=40)
    next(writing)
    writing.close()
    monkeypatch.setattr(generate_module, "free_memory", lambda device: 10 * size)
    generate(loaded, prompt(18, 60), GREEDY, max_tokens=40)


def test_what_cannot_fit_fails_before_it_starts(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    size = token_bytes(loaded.model.config, loaded.dtype)
    monkeypatch.setattr(
        generate_module, "free_memory", lambda device: 100 * size - get_scheduler(loaded).bytes
    )
    generate(loaded, prompt(17, 60), GREEDY, max_tokens=40)
    with counted(loaded) as lengths, pytest.raises(OutOfMemoryError, match="At most 100 tokens fit"):
        generate(loaded, prompt(17, 60), GREEDY, max_tokens=41)
    assert lengths == []


def test_the_store_is_bounded_and_forgets_the_oldest(loaded: Loaded) -> None:
    config, size = loaded.model.config, token_bytes(loaded.model.config, loaded.dtype)
    store = PrefixStore(limit=100 * size)

    def filled(length: int) -> KVCache:
        cache = KVCache(config, loaded.dtype, loaded.device)
        cache.reserve(2 * length)
        cache.length = length
        return cache

    for seed in range(4):
        store.put(prompt(seed, 40), filled(40))
        assert store.bytes <= store.limit
    assert [store.longest(prompt(seed, 40)) for seed in range(4)] == [0, 0, 40, 40]
    store.put([*prompt(3, 40), 1, 2], filled(42))  # replaces what it continues
    assert store.bytes == 82 * size
    assert store.take(prompt(0, 40)) is None


def test_lookup_guesses_what_followed_before() -> None:
    lookup = PromptLookup()
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert lookup.draft(text, 9) == []
    assert lookup.draft([*text, 1, 2, 3], 9) == [4, 5, 6, 7]
    lookup.record(4, 4)
    assert lookup.draft([*text, 1, 2, 3], 9) == [4, 5, 6, 7, 8, 9, 1, 2]
    lookup.record(8, 0)
    assert lookup.draft([*text, 1, 2, 3], 9) == [4, 5]
    assert lookup.draft([*text, 1, 2, 3], 1) == [4]
