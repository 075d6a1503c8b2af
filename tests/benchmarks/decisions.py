"""Typed questions about one state: `QwenDecisions` against one call of the stock model a question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from langchain_core.decisions import Noul
from transformers import AutoModelForCausalLM

from qwen_agentkit.chat.decisions import ask, write_prompt
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.checkpoint.template import chat_template
from qwen_agentkit.engine.decode.options import letter_probabilities
from tests.benchmarks import shape
from tests.benchmarks.machine import computed, interleaved, machine, say
from tests.benchmarks.work import Effort, texts

# A random model of bf16 gives letters nearly equal logits; both sides round differently on the way to them.
_TOLERANCE = 0.02


def measure(effort: Effort) -> dict[str, Any]:
    """Ten questions with yes or no about a state of about 1,000 tokens.

    Ours asks each in both orders; the peer in the first, ten whole prompts, each with the logits of its last
    token alone. The probabilities of the first order are compared.
    """
    place = str(shape.chat(effort.size))
    loaded = load(place, device="cpu", dtype="bfloat16", chat=True)
    [state] = texts([80 if effort.quick else 640])
    asked = [ask(str(n), Noul(instructions=f"Does the text say number {n}?")) for n in range(10)]
    prompts = [write_prompt(state, one.write(order)) for one in asked for order in one.orders]
    template = chat_template(loaded)
    tokens = [template.prompt(prompt, thinking=False).tokens for prompt in prompts[::2]]
    letters = [loaded.encode_prompt(letter)[0] for letter in "AB"]
    stock = _stock(place)

    def ours() -> list[float]:
        rows, _ = letter_probabilities(loaded, prompts, ["AB"] * len(prompts))
        return [row[0] for row in rows[::2]]

    def theirs() -> list[float]:
        found = []
        with torch.inference_mode():
            for row in tokens:
                logits = stock(torch.tensor([row]), logits_to_keep=1).logits[0, -1].float()
                found.append(torch.softmax(logits[letters], 0)[0].item())
        return found

    result = interleaved(
        {"qwen_agentkit": ours, "ten_calls": theirs}, effort.rounds, apart=_apart, tolerance=_TOLERANCE
    )
    say(f"  decisions: {result['times_slower_than_ours']}")
    return {
        **machine(),
        "prompt_tokens": len(tokens[0]),
        "cases": {"ten": {"what": measure.__doc__, **result}},
    }


def _apart(left: list[float], right: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


@computed
def _stock(place: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(Path(place), dtype=torch.bfloat16).eval()
