"""Which hub checkpoints come from. The client is a stand-in: no hub can be reached from tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qwen_agentkit.engine.checkpoint import finding
from qwen_agentkit.engine.checkpoint.finding import find
from qwen_agentkit.errors import InputError, MissingExtraError, ModelNotFoundError

# With the names of modelscope 1.40; raises unless the model is "there", or may be downloaded.
CLIENT = """
import json, pathlib

def snapshot_download(model_id, revision=None, *, allow_patterns, local_files_only):
    here = pathlib.Path(__file__).parent
    with (here / "asked.jsonl").open("a") as file:
        file.write(json.dumps([model_id, revision, allow_patterns, local_files_only]) + "\\n")
    if model_id == "Qwen/absent" or (local_files_only and model_id != "Qwen/cached"):
        raise LookupError(model_id)
    return str(here)
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "modelscope"
    folder.mkdir()
    (folder / "__init__.py").write_text(CLIENT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("QWEN_AGENTKIT_HUB", "modelscope")
    yield folder
    sys.modules.pop("modelscope", None)


def test_modelscope_is_asked_for_safetensors_only(client: Path) -> None:
    assert find("Qwen/Qwen3-0.6B", revision="v1") == client
    offline, online = (client / "asked.jsonl").read_text().splitlines()
    assert offline.startswith('["Qwen/Qwen3-0.6B", "v1", ["*.json", "*.safetensors"')
    assert (offline.endswith("true]"), online.endswith("false]")) == (True, True)


def test_what_is_on_disk_is_not_asked_for_again(client: Path) -> None:
    assert find("Qwen/cached") == client
    assert len((client / "asked.jsonl").read_text().splitlines()) == 1


def test_folders_and_bundled_models_ask_nobody(client: Path, nano_chat_dir: Path) -> None:
    assert find("nano-chat") == find(str(nano_chat_dir)) == nano_chat_dir
    assert not (client / "asked.jsonl").exists()


def test_what_it_does_not_have_is_named(client: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"'Qwen/absent' at revision 'v2'.*from ModelScope"):
        find("Qwen/absent", revision="v2")


def test_its_client_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_AGENTKIT_HUB", "modelscope")
    monkeypatch.setattr(finding, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"qwen-agentkit\[modelscope\]"):
        find("Qwen/Qwen3-0.6B")


def test_another_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_AGENTKIT_HUB", "elsewhere")
    with pytest.raises(InputError, match="QWEN_AGENTKIT_HUB='elsewhere' is unknown; expected one of"):
        find("Qwen/Qwen3-0.6B")
