"""Finds a checkpoint on disk or on a hub, and names its version. Knows files, no tensors."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

from qwen_agentkit.catalog import nano_folder
from qwen_agentkit.errors import InputError, MissingExtraError, ModelNotFoundError

__all__ = ["find", "revision_of", "weight_files"]

_FILES = ["*.json", "*.safetensors", "*.jinja", "merges.txt", "vocab.json", "vocab.txt", "*.model"]

# The environment variable that names the hub, and the hubs.
_HUB, _HUBS = "QWEN_AGENTKIT_HUB", ("huggingface", "modelscope")


def find(name: str, *, revision: str | None = None) -> Path:
    """Return the folder of a checkpoint on this disk, or its GGUF file; download it where it is missing.

    Downloads come from Hugging Face, or from ModelScope where the environment variable QWEN_AGENTKIT_HUB is
    "modelscope". Only safetensors weights are downloaded.

    Raises:
        ModelNotFoundError: The checkpoint is neither on disk nor downloadable.
        MissingExtraError: ModelScope is asked for and its client is not installed.
        InputError: The variable names another hub.
    """
    bundled = nano_folder(name)
    folder = bundled or Path(name).expanduser()
    if folder.is_dir() or (name.lower().endswith(".gguf") and folder.is_file()):
        return folder
    local = name.startswith((".", "/", "~")) or name.lower().endswith(".gguf")
    if bundled or local or name.count("/") != 1:
        raise ModelNotFoundError(
            f"No checkpoint at {name!r}: there is no such folder or GGUF file, and a hub id looks like "
            "'Qwen/Qwen3-Embedding-0.6B'. To run without any download, use --preset nano."
        )
    if _hub() == "modelscope":
        return _from_modelscope(name, revision)
    return _from_hugging_face(name, revision)


def _from_hugging_face(name: str, revision: str | None) -> Path:
    # Checkpoints in folders, such as the nano family, do without the client, which is slow to import.
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    def take(*, offline: bool) -> Path:
        found = snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=offline)
        return Path(found)

    try:
        return take(offline=True)
    except LocalEntryNotFoundError:
        pass  # not downloaded yet
    except HFValidationError as error:
        raise ModelNotFoundError(f"{name!r} is not a hub id: {error}") from error
    try:
        return take(offline=False)
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError, RuntimeError) as error:
        # RuntimeError: what a closed network raises in sandboxes, and a client closed by a failed try.
        raise _not_downloaded(name, revision, "Hugging Face", error) from error


def _hub() -> str:
    hub = os.environ.get(_HUB) or _HUBS[0]
    if hub not in _HUBS:
        raise InputError(f"{_HUB}={hub!r} is unknown; expected one of {', '.join(_HUBS)}.")
    return hub


def _from_modelscope(name: str, revision: str | None) -> Path:
    if find_spec("modelscope") is None:
        raise MissingExtraError(
            f"{_HUB}=modelscope, but its client is not installed: pip install 'qwen-agentkit[modelscope]'."
        )
    from modelscope import snapshot_download

    def take(*, offline: bool) -> Path:
        return Path(
            snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=offline)
        )

    try:
        return take(offline=True)
    except Exception:  # noqa: S110  # not downloaded yet; the client's errors have no common class
        pass
    try:
        return take(offline=False)
    except Exception as error:
        raise _not_downloaded(name, revision, "ModelScope", error) from error


def _not_downloaded(name: str, revision: str | None, hub: str, error: Exception) -> ModelNotFoundError:
    at = f" at revision {revision!r}" if revision else ""
    return ModelNotFoundError(
        f"Checkpoint {name!r}{at} is not on this disk and could not be downloaded from {hub} "
        f"({type(error).__name__}). Check the name and the network, or pass a local folder as model, or "
        "use the bundled models: --preset nano."
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a checkpoint. Formats that can run code are ignored."""
    return [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))


def revision_of(folder: Path) -> str:
    """Return the commit of a hub snapshot, else a digest of the settings and of samples of the weights."""
    if folder.parent.name == "snapshots":
        return folder.name
    configs = (folder / "config.json", folder / "adapter_config.json")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in configs if path.is_file()))
    for path in weight_files(folder):
        size = path.stat().st_size
        digest.update(json.dumps([path.name, size]).encode())
        with path.open("rb") as file:
            # Sixteen blocks tell two trainings apart without reading gigabytes at each start.
            for block in range(16):
                file.seek(size * block // 16)
                digest.update(file.read(65536))
    return digest.hexdigest()[:16]
