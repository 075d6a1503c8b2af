"""Grammars of GGUF files: long calls, and models with other vocabularies one after the other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit import ChatQwen
from qwen_agentkit.engine.llama import tokens
from qwen_agentkit.engine.llama.model import LlamaModel, load_llama
from tests.conftest import bundled
from tests.gguf_files import write_gguf


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def turned(folder: Path, target: Path) -> Path:
    """Copy a checkpoint with the ordinary tokens in the opposite order; its weights stay as they are."""
    shutil.copytree(folder, target)
    file = target / "tokenizer.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    added = {token["id"] for token in state["added_tokens"]}
    words = {word: number for word, number in state["model"]["vocab"].items() if number not in added}
    opposite = dict(zip(words, reversed(list(words.values())), strict=True))
    state["model"]["vocab"].update(opposite)
    file.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
    return target


def write(model: LlamaModel, grammar: str) -> str:
    chunks: list[dict[str, Any]] = []
    body = {"prompt": [100], "max_tokens": 12, "stream": True, "grammar": f"%llguidance {{}}\n{grammar}"}
    model.complete(20, body, lambda chunk: bool(chunks.append(chunk)))
    return "".join(choice["text"] for chunk in chunks for choice in chunk.get("choices", ()))


def test_a_model_is_never_held_to_the_vocabulary_of_an_earlier_one(tmp_path: Path) -> None:
    other = turned(bundled("nano-chat"), tmp_path / "turned")
    folders = [bundled("nano-chat"), other]
    models = [
        load_llama(str(write_gguf(one, tmp_path / f"{one.name}.gguf")), "chat", context_window=600)
        for one in folders
    ]
    for model in (*models, *models):
        assert write(model, 'start: "open sesame"') == "open sesame"
        model._server, model._room = None, 0  # as when its memory is given back; the next takes its place


def test_a_call_may_be_as_long_as_max_tokens_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_WHOLE", 8)  # less than any call has
    file = write_gguf(bundled("nano-chat"), tmp_path / "nano.gguf")
    llm = ChatQwen(model=str(file), engine="llama.cpp", temperature=0, thinking=False)
    forced = llm.bind_tools([add], tool_choice="any")
    with pytest.raises(ValueError, match="Raise max_tokens"):
        forced.invoke("Add 2 and 3.")
    assert forced.invoke("Add 2 and 3.", max_tokens=80).tool_calls[0]["name"] == "add"
