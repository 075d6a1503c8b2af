"""Weights in 8 and 4 bits against the default type, on the 0.6B shape: writing, reading, memory, embedding.

Weights are random, so this says nothing about quality beyond how near the vectors are.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from qwen_agentkit import QwenEmbeddings
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.weights.quantize import cpu_quantizations
from qwen_agentkit.engine.weights.speed import default_path
from tests.benchmarks import peers, shape
from tests.benchmarks.chat import Bench, _rates
from tests.benchmarks.machine import (
    OURS,
    Timed,
    interleaved,
    machine,
    read_gigabytes,
    say,
    share_of_memory,
)
from tests.benchmarks.work import Effort

_MEMORY = """
import sys
from pathlib import Path

def resident():
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0])

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.decode.generate import generate
from qwen_agentkit.engine.decode.sampler import Sampling

folder, kind = sys.argv[1:]
before = resident()
if kind == "generate":
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=4, do_sample=False, pad_token_id=0)
else:
    quantize = None if kind == "default" else kind
    loaded = load(folder, device="cpu", chat=True, quantize=quantize)
    list(generate(loaded, [1, 2, 3], Sampling(), max_tokens=4))
print((resident() - before) / 1e6)
"""


def measure(effort: Effort) -> dict[str, Any]:
    """Every benchmark of this module, with the speed of the machine's memory before and after."""
    before = read_gigabytes()
    for kind in {"int8", "int4"} - set(cpu_quantizations()):
        say(f"  {kind}: this processor does not run it, or runs it slower, so it is left out")
    memory = _memory(effort)
    say(f"  GB while writing: {memory}")
    bench = Bench(effort, str(shape.folder(effort.size)))
    quantized = _Quantized(bench)
    cases = {}
    for name, case in (("decode", quantized.decode), ("prefill", quantized.prefill)):
        cases[name] = {"what": case.__doc__, **case()}
        say(f"  {name}: {cases[name]['times_slower_than_ours']}")
    read = {name: 16 * size for name, size in quantized.gigabytes().items()}
    cases["decode"]["share_of_memory"] = share_of_memory(cases["decode"], read, before)
    say(f"  share of {before} GB/s: {cases['decode']['share_of_memory']}")
    pages = bench.pages
    del bench, quantized
    cases["embed"] = {"what": _embed.__doc__, **_embed(pages, effort)}
    say(f"  embed: {cases['embed']['times_slower_than_ours']}")
    return {
        **machine(),
        "memory_gigabytes_a_second": [before, read_gigabytes()],
        "gigabytes_while_writing": memory,
        "cases": cases,
    }


class _Quantized:
    """The same checkpoint in what this processor runs of 8 and 4 bits, by default, and in transformers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        place = str(shape.folder(bench.effort.size))
        self.kinds: dict[str, Loaded] = {
            f"{OURS}_{kind}": load(place, device="cpu", chat=True, quantize=kind)
            for kind in cpu_quantizations()
        }
        self.kinds[OURS] = self.bench.loaded
        self.text = self.bench.ids("\n\n".join(self.bench.pages))

    def decode(self) -> dict[str, Any]:
        """16 tokens after 64, less the first, which is the prompt's."""
        prompt, said = self.text[:64], self.text[5000:5017]
        runs = {name: self._timed(name, prompt, said) for name in self.kinds}
        runs["generate"] = self.bench.less_first(lambda some: self.bench.theirs([prompt], some)[0], said)
        result = interleaved(runs, self.bench.effort.rounds)
        return {**result, "tokens_a_second": _rates(result, len(said) - 1)}

    def prefill(self) -> dict[str, Any]:
        """The first token after 512."""
        prompt, said = self.text[:512], self.text[5000:5001]
        runs: dict[str, Callable[[], Any]] = {}
        for name in self.kinds:
            runs[name] = lambda name=name: self._write(name, prompt, said)
        runs["generate"] = lambda: self.bench.theirs([prompt], said)[0]
        return interleaved(runs, self.bench.effort.rounds)

    def gigabytes(self) -> dict[str, float]:
        """What each reads for a token: every weight but the table, of which it reads a row."""
        config = self.bench.loaded.model.config
        count = sum(weight.numel() for weight in self.bench.stock.parameters()) / 1e9
        if not config.tie_word_embeddings:
            count -= config.vocab_size * config.hidden_size / 1e9
        size = {f"{OURS}_int8": 1.0, f"{OURS}_int4": 0.6}
        itemsize = default_path().width
        return {name: count * size.get(name, itemsize) for name in self.kinds}

    def _timed(self, name: str, prompt: list[int], said: list[int]) -> Callable[[], Timed]:
        return self.bench.less_first(lambda some: self._write(name, prompt, some), said)

    def _write(self, name: str, prompt: list[int], said: Any) -> list[int]:
        self.bench.loaded = self.kinds[name]
        self.bench.forget()
        return self.bench.ours(prompt, said, lookup=False)


def _memory(effort: Effort) -> dict[str, float]:
    """Resident memory that loading and writing added, in a process of its own each, GB."""
    command = [sys.executable, "-W", "ignore", "-c", _MEMORY, str(shape.folder(effort.size))]
    found = {}
    for kind in (*cpu_quantizations(), "default", "generate"):
        done = subprocess.run([*command, kind], capture_output=True, text=True, check=True)
        found[kind] = round(float(done.stdout), 2)
    return found


def _embed(pages: list[str], effort: Effort) -> dict[str, Any]:
    """Twelve texts of the handbook; how near the vectors in 8 bits are to those without."""
    texts = [text for page in pages for text in page.split("\n\n") if len(text) > 80][:12]
    place = str(shape.embedder(effort.size))
    kinds: dict[str, QwenEmbeddings] = {}
    if "int8" in cpu_quantizations():
        kinds[f"{OURS}_int8"] = QwenEmbeddings(model=place, device="cpu", quantize="int8")
    kinds |= {
        OURS: QwenEmbeddings(model=place, device="cpu", dtype="float32"),
        f"{OURS}_bf16": QwenEmbeddings(model=place, device="cpu", dtype="bfloat16"),
    }
    theirs = peers.sentence_transformer(place, "cpu", "bfloat16")
    vectors: dict[str, Any] = {}

    def run(name: str) -> None:
        vectors[name] = kinds[name].embed_array(texts)

    def encode(size: int) -> None:
        theirs.encode(texts, batch_size=size, show_progress_bar=False)

    runs: dict[str, Callable[[], Any]] = {}
    for name in kinds:
        runs[name] = lambda name=name: run(name)
    for size in (1, 2, 4):
        runs[f"sentence_transformers_bf16_batch_{size}"] = lambda size=size: encode(size)
    result = interleaved(runs, effort.rounds)
    tokens = sum(kinds[OURS].count_tokens(texts)) + len(texts)
    alike = {name: vectors[name] @ vectors[name].T for name in kinds}
    off = ~np.eye(len(texts), dtype=bool)
    return {
        **result,
        "tokens": tokens,
        "cosine_min": {
            name: round(float((vectors[name] * vectors[OURS]).sum(1).min()), 5)
            for name in kinds
            if name != OURS
        },
        "correlation_of_similarities": {
            name: round(float(np.corrcoef(alike[name][off], alike[OURS][off])[0, 1]), 4)
            for name in kinds
            if name != OURS
        },
    }
