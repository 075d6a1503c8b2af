"""The weights of a checkpoint, read from safetensors. Knows names of files and tensors, no modules.

Format: https://huggingface.co/docs/safetensors. Weights in parts have an index, model.safetensors.index.json.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from qwen_agentkit.engine.model_config import read_json
from qwen_agentkit.errors import ModelUnsupportedError

__all__ = ["read_weights"]

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"

# A weight of one expert; transformers keeps those of all experts of a layer in one tensor.
_EXPERT = re.compile(r"(.*\.mlp\.experts)\.(\d+)\.(gate|up|down)_proj\.weight")


def read_weights(
    folder: Path, dtype: torch.dtype | None, *, narrow: Collection[str] = ()
) -> dict[str, Tensor]:
    """Read all weights of a checkpoint to the memory of the CPU.

    Args:
        folder: Where the files are.
        dtype: Number type to convert them to, one by one; None keeps each as it is.
        narrow: Names of weights that keep a type with fewer bits than `dtype`.

    Returns:
        The weights by the names that they have in a model with a head, such as "model.norm.weight". The
        matrices of a layer's experts are joined: "gate_up_proj", (experts, 2 * width, hidden), and
        "down_proj", (experts, hidden, width).

    Raises:
        ModelUnsupportedError: There are no weights in safetensors, or they cannot be read.
    """
    weights: dict[str, Tensor] = {}
    experts: dict[str, dict[tuple[int, str], Tensor]] = defaultdict(dict)
    for path in _files(folder):
        for name, stored in _tensors(path):
            keeps = not dtype or (_full_name(name) in narrow and stored.dtype.itemsize < dtype.itemsize)
            weight = stored.to(dtype) if not keeps and stored.is_floating_point() else stored
            if found := _EXPERT.fullmatch(name):
                experts[found[1]][int(found[2]), found[3]] = weight
            else:
                weights[_full_name(name)] = weight
    for name in list(experts):
        parts = experts.pop(name)  # freed layer by layer: all experts twice would be too much
        numbers = range(1 + max(number for number, _ in parts))
        try:
            gate_up = [torch.cat((parts[number, "gate"], parts[number, "up"])) for number in numbers]
            down = [parts[number, "down"] for number in numbers]
        except KeyError as error:
            raise _unreadable(folder, f"{name} lacks the weights {error}") from error
        weights[_full_name(f"{name}.gate_up_proj")] = torch.stack(gate_up)
        weights[_full_name(f"{name}.down_proj")] = torch.stack(down)
    return weights


def _full_name(name: str) -> str:
    """Return a weight's name with "model." in front, which checkpoints without a head leave out."""
    headless = name.startswith(("layers.", "embed_tokens.", "norm."))
    return f"model.{name}" if headless else name


def _files(folder: Path) -> list[Path]:
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    try:
        names = read_json(folder / _INDEX)["weight_map"].values()
    except FileNotFoundError as error:
        raise ModelUnsupportedError(
            f"{str(folder)!r} has neither {_WHOLE} nor {_INDEX}. Download the checkpoint again, or save it "
            "with `save_pretrained`."
        ) from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(folder / _INDEX, str(error)) from error
    files = sorted({folder / str(name) for name in names})
    if strange := [path for path in files if path.parent != folder or path.suffix != ".safetensors"]:
        raise _unreadable(folder / _INDEX, f"it names {str(strange[0])!r}, expected a file beside it")
    return files


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, reason: str) -> ModelUnsupportedError:
    return ModelUnsupportedError(
        f"{str(path)!r} cannot be read ({reason}). Download it again, with Git LFS if it is in a repository."
    )
