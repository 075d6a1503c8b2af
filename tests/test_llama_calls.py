"""Calls of GGUF files that are longer than a part of an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_agentkit import ChatQwen
from qwen_agentkit.engine.llama import tokens
from tests.conftest import bundled
from tests.gguf_files import write_gguf


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_call_may_be_as_long_as_max_tokens_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_WHOLE", 8)  # less than any call has
    file = write_gguf(bundled("nano-chat"), tmp_path / "nano.gguf")
    llm = ChatQwen(model=str(file), engine="llama.cpp", temperature=0, thinking=False)
    forced = llm.bind_tools([add], tool_choice="any")
    with pytest.raises(ValueError, match="Raise max_tokens"):
        forced.invoke("Add 2 and 3.")
    assert forced.invoke("Add 2 and 3.", max_tokens=80).tool_calls[0]["name"] == "add"
