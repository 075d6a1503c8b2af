"""What the tokenizer is given."""

from __future__ import annotations

import pytest

from qwen_agentkit.engine.checkpoint.loading import Loaded


def count_characters(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of all texts that are tokenized from now on."""
    lengths: list[int] = []
    encode_data = Loaded.encode_data

    def spy(self: Loaded, texts: list[str]) -> list[list[int]]:
        lengths.extend(map(len, texts))
        return encode_data(self, texts)

    monkeypatch.setattr(Loaded, "encode_data", spy)
    return lengths
