"""`qwen-agentkit new`: a project whose own tests pass at once, and what it is not written over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwen_agentkit import graphs
from qwen_agentkit.cli.entry import app
from qwen_agentkit.cli.scaffold import TEMPLATES, create_project
from qwen_agentkit.errors import InputError

FACTORY = {"rag": "create_rag_graph", "research": "create_research_graph", "agent": "create_rag_agent"}


@pytest.mark.parametrize("graph", [name for name in TEMPLATES if hasattr(graphs, FACTORY[name])])
def test_the_tests_of_a_new_project_pass(tmp_path: Path, graph: str) -> None:
    folder = tmp_path / "my-app"
    files = create_project(folder, graph)
    assert Path("my_app/graph.py") in files
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "7 passed" in ran.stdout


@pytest.mark.parametrize("graph", TEMPLATES)
def test_every_template_is_filled_in_clean_and_short(tmp_path: Path, graph: str) -> None:
    folder = tmp_path / "my-app"
    written = create_project(folder, graph)
    present = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert set(written) == present
    assert {".env.example", ".gitignore", "README.md", "langgraph.json", "pyproject.toml"} <= {
        str(path) for path in written
    }
    for path in written:
        text = (folder / path).read_text(encoding="utf-8")
        assert text.strip()
        assert "$" not in text
        if path.suffix == ".py":
            compile(text, str(path), "exec")
    requires = "qwen-agentkit[agent]" if graph == "agent" else "qwen-agentkit"
    assert f'dependencies = ["{requires}"]' in (folder / "pyproject.toml").read_text()
    config = json.loads((folder / "langgraph.json").read_text())
    assert config["graphs"]["my_app"]["path"] == "my_app.graph:graph"
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "110", "--no-cache"]
    checked = subprocess.run(ruff, cwd=folder, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    code = (folder / "my_app" / "graph.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in code) <= 25


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "my-app"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        create_project(folder, "rag")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    assert create_project(folder, "rag")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("9lives", "cannot name"),
        ("my app", "cannot name"),
        ("class", "cannot name"),
        ("مكتبة", "cannot name"),
        ("json", "that name is taken"),
        ("qwen-agentkit", "that name is taken"),
        ("tests", "that name is taken"),
        ("ingest", "that name is taken"),
        ("store", "that name is taken"),
        ("Documents", "that name is taken"),
    ],
)
def test_a_name_that_is_no_package_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_project(tmp_path / name, "rag")
    assert not (tmp_path / name).exists()


def test_an_unknown_template_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rag, research, agent"):
        create_project(tmp_path / "my-app", "chat")


def test_the_command_says_what_it_wrote_and_what_to_type(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["new", str(tmp_path / "my-app")])
    assert ran.exit_code == 0
    assert "graph.py" in ran.output
    assert "langgraph dev" in ran.output
