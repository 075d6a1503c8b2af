"""Where a checkpoint is, and which version of it. Knows folders and the hub, no tensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.errors import ModelNotFoundError

__all__ = ["find", "revision_of", "weight_files"]

_FILES = ["*.json", "*.safetensors", "*.jinja", "merges.txt", "vocab.json"]


def find(name: str, *, revision: str | None = None) -> Path:
    """Folder of a checkpoint on this disk, downloading it from the Hugging Face hub when it is on none.

    Raises:
        ModelNotFoundError: neither on disk nor downloadable.
    """
    bundled = nano_folder(name)
    folder = bundled or Path(name).expanduser()
    if folder.is_dir():
        return folder
    if bundled or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelNotFoundError(
            f"No checkpoint at {name!r}: there is no such folder, and a hub id looks like "
            "'Qwen/Qwen3-Embedding-0.6B'. To run without any download, use --preset nano."
        )
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        return _download(name, revision)
    except HFValidationError as error:
        raise ModelNotFoundError(f"{name!r} is not a hub id: {error}") from error


def _download(name: str, revision: str | None) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError, RuntimeError) as error:
        # RuntimeError: what a closed network raises in sandboxes, and a client closed by a failed try.
        at = f" at revision {revision!r}" if revision else ""
        raise ModelNotFoundError(
            f"Checkpoint {name!r}{at} is not on this disk and could not be downloaded "
            f"({type(error).__name__}). Check the name and the network, or pass a local folder as model, "
            "or use the bundled models: --preset nano."
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """The weights of a checkpoint; other formats than safetensors can run code and are not looked at."""
    return sorted(folder.glob("*.safetensors"))


def revision_of(folder: Path) -> str:
    """The commit of a hub snapshot, else a digest of the configuration and samples of the weights."""
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in weight_files(folder):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with path.open("rb") as file:
            # Sixteen blocks tell two trainings apart without reading gigabytes at every start.
            for block in range(16):
                file.seek(size * block // 16)
                digest.update(file.read(65536))
    return digest.hexdigest()[:16]
