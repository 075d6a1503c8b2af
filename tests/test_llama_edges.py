"""GGUF files at the edges: characters of several tokens, and texts that fill the room of llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qwen_agentkit import ChatQwen, QwenEmbeddings
from tests.conftest import bundled
from tests.gguf_files import write_gguf


def search(query: str) -> str:
    """Search the handbook."""
    return query


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> list[ChatQwen]:
    file = write_gguf(bundled("nano-chat"), tmp_path_factory.mktemp("gguf") / "nano-chat.gguf")
    return [
        ChatQwen(model=str(file), engine=engine, temperature=0, max_tokens=80)
        for engine in ("torch", "llama.cpp")
    ]


@pytest.mark.parametrize("question", ["你好 قارب 窑", "ዓሣ"])
def test_characters_of_several_tokens(chats: list[ChatQwen], question: str) -> None:
    called, free = [], []
    for llm in chats:
        message = llm.bind_tools([search], tool_choice="any").invoke(question)
        called.append([(call["name"], call["args"]) for call in message.tool_calls])
        free.append(llm.invoke(question).text)
    assert called[0] == called[1]
    assert question in called[1][0][1]["query"]  # as this model copies it
    assert free[0] == free[1]


def test_texts_that_fill_the_room(tmp_path: Path) -> None:
    file = str(write_gguf(bundled("nano-embedding"), tmp_path / "nano-embedding.gguf"))
    torch, llama = (QwenEmbeddings(model=file, engine=engine) for engine in ("torch", "llama.cpp"))
    one = torch.count_tokens(["a"])[0]
    texts = ["a" + " a" * (size - one) for size in (510, 511, 512)]
    assert torch.count_tokens(texts)[-1] in (511, 512)
    assert np.allclose(torch.embed_array(texts), llama.embed_array(texts), atol=1e-3)
