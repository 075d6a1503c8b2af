"""Hybrid models in our loop: equal to stock `generate`, with every saving on and off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from qwen_agentkit import ChatQwen
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.checkpoint.tokens import end_ids
from qwen_agentkit.engine.decode import scheduler as scheduler_module
from qwen_agentkit.engine.decode.generate import TokenStream, generate
from qwen_agentkit.engine.decode.lookup import PromptLookup
from qwen_agentkit.engine.decode.options import letter_probabilities
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.engine.forward.kv import KVCache
from qwen_agentkit.engine.forward.packed import Segment, forward
from tests.fakes.guides import Says
from tests.fakes.hybrids import HYBRIDS, save_hybrid

GREEDY = Sampling()


class Pair:
    """One random model, in our loop and as transformers runs it."""

    def __init__(self, folder: Path) -> None:
        self.loaded: Loaded = load(str(folder), device="cpu", dtype="float32", chat=True)
        self.stock: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.end = self.loaded.token_id("<|im_end|>")

    def told(self, prompt: Sequence[int], count: int) -> list[int]:
        """What stock `generate` writes."""
        ends = sorted(end_ids(self.loaded))
        ids = torch.tensor([prompt])
        written = self.stock.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=0,
        )
        return written[0, len(prompt) :].tolist()

    def message(self, seed: int, length: int) -> list[int]:
        """A message of random tokens, ended as messages of a chat are."""
        dice = torch.Generator().manual_seed(seed)
        return [*torch.randint(300, 4000, (length,), generator=dice).tolist(), self.end]

    def write(self, prompt: Sequence[int], count: int, **options: Any) -> TokenStream:
        return generate(self.loaded, prompt, GREEDY, max_tokens=count, **options)

    def forget(self) -> None:
        get_scheduler(self.loaded).prefixes.clear()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    held: dict[str, Pair] = {}

    def make(kind: str) -> Pair:
        if kind not in held:
            held[kind] = Pair(save_hybrid(kind, tmp_path_factory.mktemp(kind)))
        return held[kind]

    return make


@pytest.fixture(params=HYBRIDS)
def pair(request: pytest.FixtureRequest, pairs: Callable[[str], Pair]) -> Iterator[Pair]:
    found = pairs(request.param)
    found.forget()
    yield found
    assert not get_scheduler(found.loaded)._active, "a sequence was left behind"


@pytest.fixture
def dense(pairs: Callable[[str], Pair]) -> Pair:
    found = pairs("qwen3_5_text")
    found.forget()
    return found


def together(calls: Sequence[Callable[[], TokenStream]]) -> list[list[int]]:
    """Read all of them at once, one thread each."""
    start = threading.Barrier(len(calls))

    def read(call: Callable[[], TokenStream]) -> list[int]:
        writing = call()
        start.wait()
        return list(writing)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(read, calls))


@pytest.mark.parametrize("lookup", [True, False])
@pytest.mark.parametrize("length", [5, 90, 200])
def test_greedy_tokens_equal_stock_generate(pair: Pair, lookup: bool, length: int) -> None:
    prompt = pair.message(length, length)[:-1]
    assert list(pair.write(prompt, 40, lookup=lookup)) == pair.told(prompt, 40)


def test_a_turn_reads_only_what_is_new(pair: Pair) -> None:
    """The template writes the last answer anew, so the prompts part after the last message before it."""
    system, question = pair.message(1, 40), pair.message(2, 30)
    first = [*system, *question, 7, 8, 9]
    list(pair.write(first, 12))
    second = [*system, *question, 7, 8, *pair.message(3, 10), *pair.message(4, 20), 7, 8, 9]
    writing = pair.write(second, 12)
    assert list(writing) == pair.told(second, 12)
    assert writing.cached_tokens == len(system) + len(question)
    other = [*system, *pair.message(5, 25), 7, 8, 9]  # another conversation of the same assistant
    writing = pair.write(other, 12)
    assert list(writing) == pair.told(other, 12)
    assert writing.cached_tokens == len(system)


@pytest.mark.parametrize("lookup", [True, False])
def test_a_prompt_goes_on_where_an_answer_ended(pair: Pair, lookup: bool) -> None:
    first = pair.message(6, 50)
    answer = list(pair.write(first, 10, lookup=lookup))
    second = [*first, *answer, *pair.message(7, 9)]
    writing = pair.write(second, 20, lookup=lookup)
    assert list(writing) == pair.told(second, 20)
    known = len(first) + len(answer) - 1
    assert (
        writing.cached_tokens == known
        if not lookup
        else writing.cached_tokens in range(len(first), known + 1)
    )


def test_eight_at_once_write_what_each_writes_alone(pair: Pair) -> None:
    prompts = [pair.message(seed, 10 + 13 * seed) for seed in range(8)]
    alone = [pair.told(prompt, 16) for prompt in prompts]
    rows: list[int] = []
    hook = pair.loaded.model.base_model.register_forward_pre_hook(
        lambda _, __, given: rows.append(len(given["segments"])), with_kwargs=True
    )
    try:
        assert together([lambda p=prompt: pair.write(p, 16, lookup=False) for prompt in prompts]) == alone
    finally:
        hook.remove()
    assert len(rows) < 8 * 16 / 2
    assert max(rows) > 4


def test_answers_to_one_prompt_share_its_states(pair: Pair) -> None:
    prompt = [*pair.message(8, 120), *pair.message(9, 60), 7, 8]
    streams = [pair.write(prompt, 8, lookup=False) for _ in range(4)]
    found = together([lambda s=stream: s for stream in streams])
    assert found == [pair.told(prompt, 8)] * 4
    assert sorted(stream.cached_tokens for stream in streams) == [0, 182, 182, 182]


def test_wrong_guesses_leave_no_trace(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of each draft is right: the state goes back to before it, and the right half is run again."""
    prompt = pair.message(10, 40)
    expected = pair.told(prompt, 30)
    whole = [*prompt, *expected]
    judged: list[tuple[int, int]] = []

    def draft(_: PromptLookup, tokens: Sequence[int], limit: int) -> list[int]:
        right = whole[len(tokens) : len(tokens) + min(limit, 3)]
        return [*right, *[11] * (len(tokens) % 3)][:limit]

    monkeypatch.setattr(PromptLookup, "draft", draft)
    monkeypatch.setattr(PromptLookup, "record", lambda _, *counts: judged.append(counts))
    assert list(pair.write(prompt, len(expected))) == expected
    assert any(0 < accepted < drafted for drafted, accepted in judged)
    assert any(0 < accepted == drafted for drafted, accepted in judged)
    again = [*whole[:-1], *pair.message(11, 5)]
    writing = pair.write(again, 6)
    assert list(writing) == pair.told(again, 6)
    assert writing.cached_tokens >= len(prompt)


def test_lookup_takes_right_guesses(pair: Pair) -> None:
    """An answer that quotes its prompt takes fewer steps."""
    page = pair.message(12, 60)[:-1]
    quote = page[10:50]
    steps: list[int] = []
    hook = pair.loaded.model.base_model.register_forward_pre_hook(
        lambda _, __, given: steps.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        assert list(pair.write(page, len(quote), guide=Says(quote))) == quote
    finally:
        hook.remove()
    assert len(steps) < len(quote) / 2


def test_a_failed_step_puts_the_states_back(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head fails once, after the layers have gone on."""
    prompt = pair.message(13, 30)
    stream = pair.write(prompt, 12, lookup=False)
    begun = [next(stream) for _ in range(4)]
    compute, calls = scheduler_module._compute_logits, []

    def fail_once(*arguments: Any) -> torch.Tensor:
        logits = compute(*arguments)
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return logits

    monkeypatch.setattr(scheduler_module, "_compute_logits", fail_once)
    get_scheduler(pair.loaded).prefixes.put(list(range(50)), _read(pair, list(range(50))))
    assert [*begun, *stream] == pair.told(prompt, 12)


def test_a_stopped_answer_leaves_a_prompt_to_go_on_from(pair: Pair) -> None:
    prompt = [*pair.message(14, 50), 7, 8]
    stop = threading.Event()
    stream = pair.write(prompt, 50, cancelled=stop, lookup=False)
    next(stream)
    stop.set()
    assert len(list(stream)) < 20
    again = pair.write(prompt, 10)
    assert list(again) == pair.told(prompt, 10)
    assert again.cached_tokens == 51


def test_a_copy_keeps_its_states_while_the_other_goes_on(pair: Pair) -> None:
    tokens = pair.message(20, 40)
    cache = _read(pair, tokens[:20])
    copied = cache.copy(20)
    for token in tokens[20:26]:
        forward(pair.loaded.model, [Segment([token], cache)])
    for one in (cache, copied):
        for token in tokens[one.length : 30]:
            rows = forward(pair.loaded.model, [Segment([token], one)])
        with torch.inference_mode():
            expected = pair.stock.base_model(input_ids=torch.tensor([tokens[:30]])).last_hidden_state[0, -1:]
        torch.testing.assert_close(rows, expected, atol=1e-4, rtol=1e-4)


def _read(pair: Pair, tokens: Sequence[int]) -> KVCache:
    cache = KVCache(pair.loaded.model.config, pair.loaded.dtype, pair.loaded.device)
    forward(pair.loaded.model, [Segment(tokens, cache)])
    return cache


def test_a_sequence_can_be_cut_into_any_pieces(pair: Pair) -> None:
    tokens = pair.message(15, 150)
    with torch.inference_mode():
        expected = pair.stock.base_model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
    cache = KVCache(pair.loaded.model.config, pair.loaded.dtype, pair.loaded.device)
    start = 0
    for length in (1, 1, 3, 70, 1, 64, 11):
        piece = tokens[start : start + length]
        rows = forward(pair.loaded.model, [Segment(piece, cache, read=length)])
        torch.testing.assert_close(rows, expected[start : start + length], atol=1e-4, rtol=1e-4)
        start += length
    assert start == len(tokens)


def test_segments_do_not_see_each_other(pair: Pair) -> None:
    """Prompts, single tokens after a past, and tails that share a past and keep nothing, all in one row."""
    past = pair.message(16, 33)
    shared, own = _read(pair, past), _read(pair, past[:20])
    tails = [pair.message(17, 5), [9], pair.message(18, 80)]
    segments = [
        *(Segment(tail, shared, keep=False) for tail in tails),
        Segment([past[20]], own),
        Segment(tails[2]),
    ]
    rows = forward(pair.loaded.model, segments)
    whole = [*([*past, *tail] for tail in tails), past[:21], tails[2]]
    for row, tokens in zip(rows, whole, strict=True):
        with torch.inference_mode():
            expected = pair.stock.base_model(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
        torch.testing.assert_close(row, expected, atol=1e-4, rtol=1e-4)
    assert (shared.length, own.length) == (34, 21)


def test_typed_questions_share_the_states_of_what_they_ask_about(pair: Pair) -> None:
    prompts = [
        [{"role": "user", "content": f"The weather is fine today. {q}"}] for q in ("A or B?", "B or A?")
    ]
    both, read = letter_probabilities(pair.loaded, prompts, ["AB", "AB"])
    each = [letter_probabilities(pair.loaded, [prompt], ["AB"]) for prompt in prompts]
    assert both == [pytest.approx(alone[0], abs=1e-5) for alone, _ in each]
    assert read < sum(count for _, count in each)


def test_states_count_as_memory_and_are_thinned(dense: Pair) -> None:
    """Three linear layers: the inputs of three tokens, and 4 heads of 16 x 8 numbers, in fp32."""
    state = 3 * 4 * (3 * (2 * 2 * 16 + 4 * 8) + 4 * 16 * 8)
    cache = KVCache(dense.loaded.model.config, torch.float32, torch.device("cpu"))
    assert cache.bytes == 0
    cache.keep_states_at(range(10, 100, 10))
    for _ in range(10):
        forward(dense.loaded.model, [Segment(list(range(10)), cache)])
    slab = 2 * 2 * 16 * 4 * 160  # one layer of keys and values for 10 * 2 ** 4 tokens
    # Of the nine boundaries the first and the last five, the end, and the start of the last step (90).
    assert cache.bytes == slab + 7 * state
    assert [cache.usable(length) for length in (9, 10, 45, 59, 100)] == [0, 10, 10, 50, 100]
    cache.shrink()
    assert cache.bytes == 2 * 2 * 16 * 4 * 100 + 3 * state
    assert cache.usable(99) == 90
    copied = cache.copy(cache.usable(30))
    assert (copied.length, copied.usable(30)) == (10, 10)


def test_keys_and_values_of_linear_layers_take_no_room(dense: Pair) -> None:
    stream = dense.write(dense.message(19, 40), 3, lookup=False)
    list(stream)
    [(_, cache)] = get_scheduler(dense.loaded).prefixes._entries
    assert cache._slab.shape[0] == 1  # three of four layers are linear


def test_a_chat_reports_what_it_did_not_read(dense: Pair) -> None:
    """The second turn of a conversation begins after the last message of the first."""
    folder = dense.stock.config.name_or_path
    llm = ChatQwen(model=folder, dtype="float32", temperature=0, max_tokens=6, thinking=False)
    asked = [("system", "You are a librarian. " * 10), ("human", "When does the library open?")]
    first = llm.invoke(asked)
    assert first.usage_metadata["input_token_details"]["cache_read"] == 0
    turn = [*asked, ("ai", "At nine."), ("human", "And on Sunday?")]
    second = llm.invoke(turn)
    shared = second.usage_metadata["input_token_details"]["cache_read"]
    assert 0 < shared < first.usage_metadata["input_tokens"] < second.usage_metadata["input_tokens"]
    dense.forget()
    assert llm.invoke(turn).content == second.content
