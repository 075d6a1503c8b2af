"""What a command imports: a search does without the libraries that take the most time to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_agentkit.embeddings import QwenEmbeddings
from qwen_agentkit.vectorstores.store import QwenVectorStore

HEAVY = ("transformers", "sentence_transformers", "qdrant_client", "torch._dynamo")

RUN = """
import json, sys
from qwen_agentkit.cli import commands
from qwen_agentkit.stack import Stack
from pathlib import Path
stack = Stack("nano", Path(sys.argv[2]))
question = "When does the library open?"
if sys.argv[1] == "search":
    found = commands.search(stack, question, candidates=5, limit=1)[0]["text"]
else:
    found = commands.ask(stack, question)["answer"]
print(json.dumps({"found": found, "modules": list(sys.modules)}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one passage."""
    path = tmp_path_factory.mktemp("cold") / "store"
    with QwenVectorStore(QwenEmbeddings(model="nano"), path=path) as store:
        store.add_texts(["The library opens at 9:30."], [{"source": "hours.md"}])
    return path


@pytest.mark.parametrize(
    ("command", "absent"), [("search", (*HEAVY, "langgraph", "jinja2", "httpx")), ("ask", HEAVY)]
)
def test_a_command_imports_no_library_that_it_does_not_use(
    folder: Path, command: str, absent: tuple[str, ...]
) -> None:
    run = [sys.executable, "-c", RUN, command, str(folder)]
    result = json.loads(subprocess.run(run, capture_output=True, check=True, text=True).stdout)
    assert "9:30" in result["found"]
    assert not set(absent) & set(result["modules"])


def test_a_graph_imports_no_other_graph() -> None:
    code = "import sys; from qwen_agentkit.graphs import create_rag_graph; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    modules = set(run.stdout.split())
    assert "qwen_agentkit.graphs.rag.graph" in modules
    assert not {"qwen_agentkit.graphs.research.graph", "langchain"} & modules
