"""Teaches nano-chat some dialogues by heart: a model that can play its part in tests of LangChain's contract.

It is trained for these dialogues and good for nothing else: what passes with it proves the plumbing, not the
intelligence. The lessons go through `ChatQwen` itself, so its messages, templates and guides make the prompts
and say which tokens are the model's to choose. Only the last MLP is trained, on what the layers before it
compute: their answers to these prompts never change, so they are computed once.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.engine.checkpoint.loading import Loaded
from qwen_agentkit.engine.decode import answer
from qwen_agentkit.engine.decode.sampler import Sampling
from qwen_agentkit.engine.decode.sequence import Guide

THOUGHT = "<think>\nEasy.\n</think>\n\n"

_STEPS = 300
_ROWS = 256  # of a step
_LEARNT = 0.9  # least probability of any token of any answer


def call(name: str, **args: Any) -> str:
    """A tool call as the model writes it."""
    body = json.dumps({"name": name, "arguments": args}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


@dataclass(frozen=True)
class Exercise:
    """One answer: the tokens before it, its own, and the places of those that the model has to choose."""

    prompt: list[int]
    written: list[int] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)


class Written(Iterator[int]):
    """What `generate` returns, without an engine."""

    cached_tokens = 0

    def __init__(self, tokens: Generator[int]) -> None:
        self._tokens = tokens

    def __next__(self) -> int:
        return next(self._tokens)

    def close(self) -> None:
        self._tokens.close()


class Dictation:
    """Stands in for `generate`: writes what `reply` makes of the prompt, under the same guides."""

    def __init__(self, reply: Callable[[str], str]) -> None:
        self._reply = reply
        self.exercises: dict[tuple[int, ...], Exercise] = {}

    def __call__(
        self,
        loaded: Loaded,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int | None = None,
        guide: Guide | None = None,
        cancelled: threading.Event | None = None,
    ) -> Written:
        exercise = Exercise(list(prompt))
        self.exercises[tuple(prompt)] = exercise
        text = self._reply(_decode(loaded, exercise.prompt))
        return Written(_write(loaded, text, guide, exercise))


def _write(loaded: Loaded, text: str, guide: Guide | None, exercise: Exercise) -> Generator[int]:
    end = loaded.token_id("<|im_end|>")
    forced = deque(guide.start() if guide else ())
    planned = deque([*loaded.encode_prompt(text), end])
    while True:
        given = bool(forced)
        token = forced.popleft() if given else planned.popleft()
        if not given:
            _check_allowed(loaded, guide, token, text)
            exercise.chosen.append(len(exercise.written))
        exercise.written.append(token)
        yield token
        if token == end:
            return
        forced.extend(guide.after(token) if guide else ())
        if given and not forced:
            said = _decode(loaded, exercise.written)
            assert text.startswith(said), f"the guide forces {said!r}, the lesson says {text!r}"
            planned = deque([*loaded.encode_prompt(text[len(said) :]), end])


def _check_allowed(loaded: Loaded, guide: Guide | None, token: int, text: str) -> None:
    logits = torch.zeros(loaded.model.config.vocab_size)
    if guide:
        guide.mask(logits)
    assert logits[token] == 0, f"the guide forbids {_decode(loaded, [token])!r} of {text!r}"


def _decode(loaded: Loaded, tokens: list[int]) -> str:
    return str(loaded.tokenizer.decode(tokens))


def dictate(replies: Mapping[str, str | dict[str, Any]], act: Callable[[], object]) -> list[Exercise]:
    """Do something that asks a `ChatQwen` for answers, and answer in its place.

    Args:
        replies: Answers by the end of what was asked last, a user's text or the result of a tool. A
            dictionary is said by a call of the first tool where there are tools, else as JSON.
        act: What asks.
    """

    def reply(prompt: str) -> str:
        asked = prompt.rpartition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
        said = next((said for end, said in replies.items() if asked.endswith(end)), None)
        assert said is not None, f"there is no reply to {asked!r}"
        if isinstance(said, dict):
            tool = re.search(r'"function": {"name": "(\w+)"', prompt)
            said = call(tool[1], **said) if tool else json.dumps(said, ensure_ascii=False)
        return said if prompt.endswith("</think>\n\n") else THOUGHT + said

    dictation = Dictation(reply)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "generate", dictation)
        act()
    return [dictation.exercises[prompt] for prompt in sorted(dictation.exercises)]  # batches have no order


def teach(exercises: Sequence[Exercise], folder: Path) -> None:
    """Train nano-chat until it writes the exercises, and save it: some seconds on one core."""
    nano = nano_folder("nano-chat")
    assert nano is not None
    model: Any = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    model.requires_grad_(False)
    rows, answers = _lessons(model, exercises)
    layer, norm, head = model.model.layers[-1], model.model.norm, model.lm_head
    trained = [*layer.mlp.parameters(), layer.post_attention_layernorm.weight, norm.weight]
    for weight in trained:
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained, lr=3e-3, weight_decay=0)

    def logits(batch: Tensor) -> Tensor:
        scores: Tensor = head(norm(batch + layer.mlp(layer.post_attention_layernorm(batch))))
        return scores

    dice = torch.Generator().manual_seed(0)
    for step in range(_STEPS):
        if step % 25 == 0:
            with torch.no_grad():
                sure = logits(rows).softmax(-1)[torch.arange(len(rows)), answers]
            if sure.min() > _LEARNT:
                break
        batch = torch.randint(len(rows), (_ROWS,), generator=dice)
        optimizer.zero_grad()
        loss: Any = cross_entropy(logits(rows[batch]), answers[batch])
        loss.backward()
        optimizer.step()
    else:
        unsure = answers[sure < _LEARNT].tolist()
        words = AutoTokenizer.from_pretrained(nano).batch_decode([[token] for token in unsure])
        raise AssertionError(f"not learnt in {_STEPS} steps, other words would be easier: {words}")
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(nano / file, folder)


def _lessons(model: Any, exercises: Sequence[Exercise]) -> tuple[Tensor, Tensor]:
    """Return what enters the last MLP before each chosen token, (tokens, hidden), and those tokens."""
    seen: list[Tensor] = []
    last = model.model.layers[-1].post_attention_layernorm
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    rows, answers = [], []
    with torch.no_grad():
        for exercise in exercises:
            model.model(torch.tensor([exercise.prompt + exercise.written]))
            before = len(exercise.prompt) - 1
            rows.append(seen.pop()[[before + place for place in exercise.chosen]])
            answers += [exercise.written[place] for place in exercise.chosen]
    hook.remove()
    return torch.cat(rows), torch.tensor(answers)
