"""The engine beside llama.cpp, with the same random weights in types of the same width, on the 0.6B shape.

llama.cpp runs in this process, as GGUF files do in the package. Both read and write as many tokens. Which
ones does not matter to either.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.scheduler import get_scheduler
from qwen_agentkit.engine.llama.binding import missing_binding
from qwen_agentkit.engine.llama.model import LlamaModel, load_llama
from qwen_agentkit.engine.weights.quantize import cpu_quantizations
from qwen_agentkit.engine.weights.speed import default_path
from tests.benchmarks import shape
from tests.benchmarks.machine import (
    OURS,
    Limits,
    Timed,
    add_shares,
    interleaved,
    machine,
    read_gigabytes,
    say,
    share_of_memory,
)
from tests.benchmarks.work import Effort, gigaflop
from tests.fakes.guides import Says
from tests.gguf_files import write_gguf

# Types of llama.cpp, each beside ours of the same width: default, int8 and int4.
_KINDS = ("F16", "Q8_0", "Q4_0")

_WRITTEN = 17


def measure(effort: Effort) -> dict[str, Any]:
    """Both benchmarks, with what the machine can do before and after."""
    if reason := missing_binding():
        return {"skipped": reason}
    limits, before = Limits(quick=effort.quick), read_gigabytes()
    models = _Models(effort)
    cases = {
        "decode": {"what": models.decode.__doc__, **models.decode()},
        "prefill": {"what": models.prefill.__doc__, **models.prefill()},
    }
    found, after = limits.after(), read_gigabytes()
    add_shares(cases, found["limit_gigaflops"])
    read = {name: (_WRITTEN - 1) * size for name, size in models.gigabytes().items()}
    cases["decode"]["share_of_memory"] = share_of_memory(cases["decode"], read, max(before, after))
    say(f"  decode: {cases['decode']['tokens_a_second']} tokens/s")
    say(f"  share of {max(before, after)} GB/s: {cases['decode']['share_of_memory']}")
    say(f"  prefill: {cases['prefill']['tokens_a_second']} tokens/s")
    say(f"  share of {found['limit_gigaflops']} GFLOP/s: {cases['prefill']['share_of_limit']}")
    return {**machine(), **found, "memory_gigabytes_a_second": [before, after], "cases": cases}


class _Models:
    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        folder = shape.chat(effort.size)
        self._ours: dict[str, Loaded] = {OURS: load(str(folder), device="cpu", chat=True)}
        for kind in cpu_quantizations():
            self._ours[f"{OURS}_{kind}"] = load(str(folder), device="cpu", chat=True, quantize=kind)
        self._theirs: dict[str, LlamaModel] = {}
        for kind in _KINDS:
            file = folder.parent / f"{folder.name}-{kind}.gguf"
            if not file.exists():
                write_gguf(folder, file, kind)
            self._theirs[f"llama.cpp_{kind}"] = load_llama(str(file), "chat", device="cpu")

    def decode(self) -> dict[str, Any]:
        """16 tokens after 64 and one more."""
        result = interleaved(self._runs(64, _WRITTEN), self._effort.rounds)
        return {**result, "tokens_a_second": _rates(result, _WRITTEN - 1)}

    def prefill(self) -> dict[str, Any]:
        """The first token after 512."""
        result = interleaved(self._runs(512, 1), self._effort.rounds)
        work: Any = self._ours[OURS].model
        arithmetic = gigaflop(work, [(0, 512)])
        return {**result, "gigaflop": arithmetic, "tokens_a_second": _rates(result, 512)}

    def gigabytes(self) -> dict[str, float]:
        """What each reads for a token: all its weights, of which the table is the head, too."""
        model: Any = self._ours[OURS].model
        count = gigaflop(model, [(0, 1)]) / 2 + model.config.vocab_size * model.config.hidden_size / 1e9
        widths = {OURS: default_path().width, f"{OURS}_int8": 1.0, f"{OURS}_int4": 0.6}
        ours = {name: count * widths[name] for name in self._ours}
        return ours | {name: one.file.path.stat().st_size / 1e9 for name, one in self._theirs.items()}

    def _runs(self, read: int, written: int) -> dict[str, Callable[[], Timed]]:
        runs: dict[str, Callable[[], Timed]] = {}
        for name, loaded in self._ours.items():
            runs[name] = lambda loaded=loaded: _time_ours(loaded, read, written)
        for name, model in self._theirs.items():
            runs[name] = lambda model=model: _time_theirs(model, read, written)
        return runs


def _prompt(count: int) -> list[int]:
    return [300 + number % 5000 for number in range(count)]


def _time_ours(loaded: Loaded, read: int, written: int) -> Timed:
    """Seconds until the first token, or from the first to the last."""
    get_scheduler(loaded).prefixes.clear()
    said = _prompt(written)
    tokens = generate(loaded, _prompt(read), Sampling(), max_tokens=written, guide=Says(said), lookup=False)
    start = time.perf_counter()
    next(tokens)
    first = time.perf_counter()
    count = 1 + sum(1 for _ in tokens)
    return Timed(count, time.perf_counter() - first if written > 1 else first - start)


def _time_theirs(model: LlamaModel, read: int, written: int) -> Timed:
    """The same by llama.cpp's own clock, which leaves out what is around its steps."""
    body = {
        "prompt": _prompt(read),
        "max_tokens": written,
        "temperature": 0.0,
        "ignore_eos": True,
        "cache_prompt": False,
    }
    told = model.ask("completions", read + written + 1, body)["timings"]
    return Timed(int(told["predicted_n"]), told["predicted_ms" if written > 1 else "prompt_ms"] / 1000)


def _rates(result: dict[str, Any], tokens: int) -> dict[str, float]:
    return {name: round(tokens / seconds, 1) for name, seconds in result["seconds_min"].items()}
