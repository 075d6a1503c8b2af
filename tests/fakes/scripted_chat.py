"""A `ChatQwen` of random weights that is made to write a given text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import pytest
from torch import Tensor

from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.checkpoint.template import Prompt
from qwen_agentkit.engine.grammar.turn_guide import TurnGuide


class Script(TurnGuide):
    """Makes a model want to write a given text, whatever it thinks; what is forbidden stays forbidden."""

    texts: ClassVar[WeakKeyDictionary[Loaded, str]] = WeakKeyDictionary()

    def __init__(self, loaded: Loaded, prompt: Prompt, **settings: Any) -> None:
        super().__init__(loaded, prompt, **settings)
        self._loaded = loaded
        self._seen: list[int] = []

    def after(self, token: int) -> Sequence[int]:
        self._seen.append(token)
        return super().after(token)

    def mask(self, logits: Tensor) -> None:
        logits.clamp_(-1e3, 1e3)
        super().mask(logits)
        logits[self._wanted()] += 1e6

    def _wanted(self) -> int:
        text, seen = self.texts[self._loaded], self._loaded.tokenizer.decode(self._seen)
        tokens = self._loaded.encode_prompt(text)
        if tokens[: len(self._seen)] == self._seen:  # the text may end inside a character
            return [*tokens, self._loaded.token_id("<|im_end|>")][len(self._seen)]
        if not text.startswith(seen):  # its thought was closed, or its call put right
            tag = "</tool_call>" if "</tool_call>" in seen else "</think>\n\n"
            text, seen = (part.rpartition(tag)[2] for part in (text, seen))
        tokens = self._loaded.encode_prompt(text.removeprefix(seen))
        return tokens[0] if tokens else self._loaded.token_id("<|im_end|>")


Scripted = Callable[..., ChatQwen]


@pytest.fixture
def scripted(tiny_qwen3_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A `ChatQwen` that writes the given text, at temperature 0."""
    shared = load(str(tiny_qwen3_dir), device="cpu", dtype="float32")
    monkeypatch.setattr("qwen_agentkit.engine.decode.answer.TurnGuide", Script)

    def make(text: str, **settings: Any) -> ChatQwen:
        loaded = replace(shared)  # with a scheduler of its own
        Script.texts[loaded] = text
        llm = ChatQwen(model=str(tiny_qwen3_dir), **{"temperature": 0, **settings})
        llm._held[llm._key()] = loaded
        return llm

    return make
