"""Every `>>>` in a docstring of the package runs, and prints what stands below it."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

import qwen_agentkit
from tests.source_tree import modules

TEXTS = {"hours.md": "The library opens at nine.", "boat.md": "The boat leaves at half past seven."}


def examples() -> dict[str, tuple[str, str]]:
    """Module and docstring by the name of what it describes, found in the source: nothing is imported."""
    found = {}
    for name, file in modules():
        if ">>>" in file.read_text(encoding="utf-8"):
            module = import_module(f"qwen_agentkit.{name}")
            for test in doctest.DocTestFinder(exclude_empty=True).find(module):
                if test.examples:
                    found[test.name] = (module.__name__, test.docstring or "")
    return found


EXAMPLES = examples()


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What examples may use without making it: public names, documents, a store of them, a reranker."""
    monkeypatch.chdir(tmp_path)
    public = {name: getattr(qwen_agentkit, name) for name in qwen_agentkit.__all__}
    documents = [Document(text, metadata={"source": source}) for source, text in TEXTS.items()]
    store = qwen_agentkit.QwenVectorStore(qwen_agentkit.QwenEmbeddings(model="nano"), path=":memory:")
    store.add_documents(documents)
    reranker = qwen_agentkit.QwenReranker(model="nano")
    return {**public, "documents": documents, "store": store, "reranker": reranker}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_docstring_is_true(name: str, names: dict[str, Any]) -> None:
    module, text = EXAMPLES[name]
    test = doctest.DocTestParser().get_doctest(
        text, {**vars(import_module(module)), **names}, name, module, None
    )
    printed: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=printed.append)
    assert not printed, "".join(printed)


def test_the_classes_show_examples() -> None:
    assert {"qwen_agentkit.embeddings.QwenEmbeddings", "qwen_agentkit.chat.parsing.parse"} <= EXAMPLES.keys()
