"""What the README claims is run: its example, its table, its tree, its commands."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from qwen_agentkit.catalog import CHECKPOINTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_prints_what_stands_below_it() -> None:
    code, printed = blocks("python")[0], blocks("text")[0]
    assert len(code.strip().splitlines()) <= 13
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=ROOT)
    assert result.stdout == printed


class Says(GenericFakeChatModel):
    """Says what it is told to, whatever tools it is given."""

    def bind_tools(self, tools, **kwargs):
        return self


class Ticket(BaseModel):
    """What the README wants to be answered with."""

    title: str


@tool
def search(query: str) -> str:
    """Search."""
    return "The library opens at nine."


@tool
def send_mail(text: str) -> str:
    """Send a mail."""
    return "sent"


def test_every_block_of_python_runs() -> None:
    names = {"search": search, "send_mail": send_mail, "Ticket": Ticket}
    for code in blocks("python"):
        if "create_rag_agent" in code:  # the one block that asks a model, whose weights are not here
            call = {"name": "search", "args": {"query": "library"}, "id": "1"}
            answer = "تفتح المكتبة في التاسعة [1]."
            names["llm"] = Says(messages=iter([AIMessage("", tool_calls=[call]), AIMessage(answer)]))
        exec(compile(code, "README.md", "exec"), names)
    assert names["state"]["answer"] == answer
    assert names["state"]["citations"][0]["quote"] == "The library opens at nine."


def test_the_example_stands_in_the_examples_folder() -> None:
    script = (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")
    assert blocks("python")[0] in script


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.name)
def test_the_table_of_checkpoints_is_the_catalog(row) -> None:
    size = f"{row.parameters / 1000:.1f} B"
    memory = f"{row.bf16_gigabytes:.1f} GB"
    dimensions = row.dimensions or ""
    assert f"| `{row.name}` | {size} | {memory} | {row.context:,} | {dimensions} |" in README


def test_every_command_and_option_exists() -> None:
    help_of: dict[str, str] = {}
    for block in blocks("bash"):
        for command, rest in re.findall(r"qwen-agentkit ([\w-]+)(.*)", block):
            if command not in help_of:
                arguments = [sys.executable, "-m", "qwen_agentkit.cli", command, "--help"]
                help_of[command] = subprocess.run(
                    arguments, capture_output=True, encoding="utf-8", check=True
                ).stdout
            for option in re.findall(r"--[a-z-]+", rest):
                assert option in help_of[command]


def test_the_constraints_pin_what_the_project_needs() -> None:
    pins = (ROOT / "tests" / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in requires("qwen-agentkit") or []:
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name is not None
        optional = "extra ==" in requirement and '"test"' not in requirement.replace("'", '"')
        assert optional or f"\n{name[0].lower()}==" in pins, f"{name[0]} has no pin"
