"""Stores on both back ends, and documents to fill them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

LIBRARY = [
    Document(
        page_content="The library opens at nine in the morning.",
        metadata={"source": "hours.md", "year": 2020},
    ),
    Document(
        page_content="Fines are ten cents a day.", metadata={"source": "fines.md", "year": 2022, "paid": True}
    ),
    Document(
        page_content="تفتح المكتبة في التاسعة صباحا.",
        metadata={"source": "ar/hours.md", "year": 2024, "score": 0.5},
    ),
]

Place = dict[str, Any]


def embedded(tmp_path: Path) -> Place:
    return {"path": tmp_path / "store"}


def memory(tmp_path: Path) -> Place:
    return {"path": ":memory:"}


@pytest.fixture(params=[embedded, memory])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    where: Place = request.param(tmp_path)
    return where


@pytest.fixture
def store(place: Place) -> Iterator[QwenVectorStore]:
    with QwenVectorStore(BagOfWords(), **place) as store:
        yield store
