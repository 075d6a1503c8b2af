"""`qwen-agentkit serve` and `token`: what they refuse before they start."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from qwen_agentkit.catalog import PRESETS
from qwen_agentkit.cli import hosting
from qwen_agentkit.cli.entry import app
from qwen_agentkit.errors import AccessError, InputError
from qwen_agentkit.serve.access import TokenFile
from qwen_agentkit.stack import Stack

NANO = "nano"


def start(folder: Path, **settings: object) -> None:
    hosting.serve(Stack(NANO, folder / "store"), hosting.Hosting(**settings), lambda address: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_need_tokens(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match="--tokens FILE"):
        start(tmp_path, host=host)


@pytest.mark.enable_socket
def test_a_port_in_use_a_missing_file_and_an_unknown_graph_are_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"The port {port} of 127.0.0.1 cannot be used"):
            start(tmp_path, port=port)
    with pytest.raises(InputError, match="expected one of rag, corrective_rag, research, agent"):
        start(tmp_path, port=0, graph="compare")
    with pytest.raises(AccessError, match="cannot be read"):
        start(tmp_path, port=0, tokens=tmp_path / "none.json")
    assert not (tmp_path / "store").exists()


def test_a_token_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens.json"
    words = ["token", "anna", "--tokens", str(file), "--group", "crew", "--group", "staff", "--write"]
    app(words, standalone_mode=False)
    user = TokenFile(file).find(capsys.readouterr().out.strip())
    assert user is not None
    assert (user.groups, user.writes) == (("crew", "staff"), True)
    with pytest.raises(InputError, match="cannot be added"):
        app(["token", "ben", "--tokens", str(file)], standalone_mode=False)


@pytest.mark.parametrize("command", ["serve", "mcp"])
def test_the_preset_that_made_the_store_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stacks: list[Stack] = []
    for name in ("serve", "serve_mcp"):
        monkeypatch.setattr(hosting, name, lambda stack, *rest, **settings: stacks.append(stack))
    maker = tmp_path / "documents" / "embedder.json"
    maker.parent.mkdir()
    maker.write_text(json.dumps({"model": PRESETS[NANO]["embedding"]}), encoding="utf-8")
    app([command, "--store", str(tmp_path)], standalone_mode=False)
    app([command, "--store", str(tmp_path / "new")], standalone_mode=False)
    assert [stack.preset for stack in stacks] == [NANO, "0.6b"]
