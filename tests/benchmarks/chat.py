"""TokenStream: `engine.generate` against transformers' `generate`, on the 0.6B shape in bf16.

Weights are random, so what is written is decided beforehand and forced on everyone: all write the same
tokens, and how many guesses come true is a matter of the text, not of the weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.engine.weights.bf16_speed import bf16_is_fast
from tests.benchmarks import shape
from tests.benchmarks.machine import Timed, computed, interleaved, machine, read_gigabytes, say
from tests.benchmarks.work import Effort
from tests.fakes.guides import Says

GREEDY = Sampling()


class Forced(LogitsProcessor):
    """The same for transformers."""

    def __init__(self, prompt: int, tokens: Sequence[int]) -> None:
        self._prompt, self._tokens = prompt, list(tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        at = input_ids.shape[1] - self._prompt
        forced = torch.full_like(scores, float("-inf"))
        forced[:, self._tokens[min(at, len(self._tokens) - 1)]] = 0
        return forced


class Bench:
    """The model twice: in this engine, and as transformers runs it.

    Args:
        effort: How much to do.
        place: Folder of the checkpoint.
    """

    def __init__(self, effort: Effort, place: str) -> None:
        self.effort = effort
        self.loaded: Loaded = load(place, device="cpu", chat=True)
        self.stock = _stock(place)
        handbook = Path(str(files("qwen_agentkit") / "data" / "handbook"))
        self.pages = [page.read_text(encoding="utf-8") for page in sorted(handbook.rglob("*.md"))]

    def ids(self, text: str) -> list[int]:
        return self.loaded.encode_prompt(text)

    def ours(self, prompt: Sequence[int], said: Sequence[int], **options: Any) -> list[int]:
        return list(generate(self.loaded, prompt, GREEDY, max_tokens=len(said), guide=Says(said), **options))

    def forget(self) -> None:
        get_scheduler(self.loaded).prefixes.clear()

    @computed
    def theirs(
        self, prompts: Sequence[Sequence[int]], said: Sequence[int], **options: Any
    ) -> list[list[int]]:
        with torch.inference_mode():
            written = self.stock.generate(
                torch.tensor(prompts),
                attention_mask=torch.ones(len(prompts), len(prompts[0]), dtype=torch.long),
                do_sample=False,
                max_new_tokens=len(said),
                eos_token_id=None,
                pad_token_id=0,
                logits_processor=LogitsProcessorList([Forced(len(prompts[0]), said)]),
                **options,
            )
        rows: list[list[int]] = written[:, len(prompts[0]) :].tolist()
        return rows

    def less_first(
        self, write: Callable[[Sequence[int]], list[int]], said: Sequence[int]
    ) -> Callable[[], Timed]:
        """Time the tokens after the first, which is the prompt's."""

        def run() -> Timed:
            self.forget()
            start = time.perf_counter()
            write(said[:1])
            first = time.perf_counter() - start
            self.forget()
            start = time.perf_counter()
            whole = write(said)
            return Timed(whole, time.perf_counter() - start - first)

        return run


@computed
def _stock(place: str) -> Any:
    dtype = torch.bfloat16 if bf16_is_fast() else torch.float32  # the faster for the peer, too
    return AutoModelForCausalLM.from_pretrained(place, dtype=dtype).eval()


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of this module."""
    return compare(Bench(effort, str(shape.folder(effort.size))), (decode, _quote, eight, turns))


def compare(bench: Bench, benchmarks: Sequence[Callable[[Bench], dict[str, Any]]]) -> dict[str, Any]:
    """Run benchmarks, with the speed of the machine's memory before and after."""
    before = read_gigabytes()
    cases = {}
    for benchmark in benchmarks:
        name = benchmark.__name__.removeprefix("_")
        cases[name] = {"what": benchmark.__doc__, **benchmark(bench)}
        say(f"  {name}: {cases[name]['times_slower_than_ours']}")
    return {**machine(), "memory_gigabytes_a_second": [before, read_gigabytes()], "cases": cases}


def turns(bench: Bench) -> dict[str, Any]:
    """Time to the first token of an agent's fourth turn: 600 tokens, then 150 of tool results a turn."""
    text = bench.ids("\n\n".join(bench.pages))
    answer = text[-8:]
    prompts = [text[:600]]
    for turn in range(1, 4):
        prompts.append([*prompts[-1], *answer, *text[600 + 150 * turn : 750 + 150 * turn]])

    def cached() -> Timed:
        bench.forget()
        for prompt in prompts[:3]:
            bench.ours(prompt, answer)
        start = time.perf_counter()
        first = bench.ours(prompts[3], answer[:1])
        return Timed(first, time.perf_counter() - start)

    def uncached() -> list[int]:
        bench.forget()
        return bench.ours(prompts[3], answer[:1])

    return interleaved(
        {
            "qwen_agentkit": cached,
            "qwen_agentkit_without_cache": uncached,
            "generate": lambda: bench.theirs([prompts[3]], answer[:1])[0],
        },
        bench.effort.rounds,
    )


def decode(bench: Bench) -> dict[str, Any]:
    """32 tokens after 128, less the first, which is the prompt's."""
    text = bench.ids("\n\n".join(bench.pages))
    prompt, said = text[:128], text[5000:5032]

    result = interleaved(
        {
            "qwen_agentkit": bench.less_first(lambda tokens: bench.ours(prompt, tokens, lookup=False), said),
            "generate": bench.less_first(lambda tokens: bench.theirs([prompt], tokens)[0], said),
        },
        bench.effort.rounds,
    )
    return {**result, "tokens_a_second": _rates(result, len(said) - 1)}


def _quote(bench: Bench) -> dict[str, Any]:
    """An answer of two quotes from the passages in its prompt, joined by words of its own."""
    passages = bench.pages[:2]
    prompt = bench.ids("\n\n".join(f"[{n}] {page}" for n, page in enumerate(passages, 1)))
    quotes = [max(page.split("\n\n"), key=len) for page in passages]
    said = bench.ids(f"The handbook says so in two places: {quotes[0]} [1] Then we read: {quotes[1]} [2]")
    said = said[: 40 if bench.effort.quick else None]
    result = interleaved(
        {
            "qwen_agentkit": bench.less_first(lambda tokens: bench.ours(prompt, tokens), said),
            "generate": bench.less_first(lambda tokens: bench.theirs([prompt], tokens)[0], said),
            "generate_prompt_lookup": bench.less_first(
                lambda tokens: bench.theirs([prompt], tokens, prompt_lookup_num_tokens=10)[0], said
            ),
        },
        bench.effort.rounds,
    )
    return {**result, "prompt_tokens": len(prompt), "tokens_a_second": _rates(result, len(said) - 1)}


def eight(bench: Bench) -> dict[str, Any]:
    """Eight requests of 32 tokens that write 48 each: at once, in a row, and as a padded batch."""
    text = bench.ids("\n\n".join(bench.pages))
    prompts = [text[100 * n : 100 * n + 32] for n in range(8)]
    said = text[5000:5048]

    def one(prompt: Sequence[int]) -> list[int]:
        return bench.ours(prompt, said, lookup=False)

    def at_once() -> list[list[int]]:
        bench.forget()
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(one, prompts))

    def in_a_row() -> list[list[int]]:
        bench.forget()
        return [one(prompt) for prompt in prompts]

    return interleaved(
        {
            "qwen_agentkit": at_once,
            "qwen_agentkit_in_a_row": in_a_row,
            "generate_batch_of_8": lambda: bench.theirs(prompts, said),
        },
        bench.effort.rounds,
    )


def _rates(result: dict[str, Any], tokens: int) -> dict[str, float]:
    return {name: round(tokens / seconds, 1) for name, seconds in result["seconds_min"].items()}
