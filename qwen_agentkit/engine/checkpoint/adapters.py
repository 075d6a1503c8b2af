"""LoRA adapters, merged into a checkpoint as it is loaded. Knows peft's files, no prompts.

Layout: https://huggingface.co/docs/peft/developer_guides/checkpoint, adapter_config.json beside
adapter_model.safetensors.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from qwen_agentkit.engine.checkpoint.finding import find, revision_of
from qwen_agentkit.engine.model_config import Model
from qwen_agentkit.errors import MissingExtraError, ModelUnsupportedError

__all__ = ["Adapter", "find_adapter", "merge"]

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

# What trainers append to the name of a base model that they quantize first.
_QUANTIZED = re.compile(r"(-unsloth)?(-bnb-4bit)$")


@dataclass(frozen=True)
class Adapter:
    """An adapter on this disk.

    Attributes:
        folder: Where its files are.
        name: Hub id or folder name.
    """

    folder: Path
    name: str

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a digest of the files of a local folder."""
        return revision_of(self.folder)


def find_adapter(name: str, base: str) -> Adapter:
    """Find an adapter, downloading it if need be, and check that it is for the model `base`.

    Args:
        name: Hub id or local folder.
        base: Hub id or folder name of the checkpoint it is for. Hub ids are compared without their owner;
            where one of the two is a folder, the shapes of the weights have to tell, in `merge`.

    Raises:
        ModelNotFoundError: Neither on disk nor downloadable.
        ModelUnsupportedError: It is no LoRA adapter in safetensors, or for another model.
    """
    folder = find(name)
    if not (folder / _CONFIG).is_file() or not (folder / _WEIGHTS).is_file():
        raise ModelUnsupportedError(
            f"{name!r} has no {_CONFIG} and {_WEIGHTS}; expected a LoRA adapter as peft saves it. Other "
            "weight formats can run code and are not loaded: save it again with `save_pretrained`."
        )
    try:
        config = dict(json.loads((folder / _CONFIG).read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise _damaged(name, _CONFIG, error) from error
    kind, trained_on = config.get("peft_type"), str(config.get("base_model_name_or_path") or "")
    if kind != "LORA":
        raise ModelUnsupportedError(
            f"{name!r} is an adapter of the kind {kind!r}; expected LORA. Merge it into its model with peft, "
            "and pass the folder of the result as model."
        )
    if _is_hub_id(trained_on) and _is_hub_id(base) and _stem(trained_on) != _stem(base):
        raise ModelUnsupportedError(
            f"The adapter {name!r} was trained on {trained_on!r}, not on {base!r}. Pass "
            f"model={trained_on!r}, or an adapter for this model."
        )
    return Adapter(folder, folder.name if Path(name).expanduser().is_dir() else name)


def merge(model: Model, adapter: Adapter) -> Model:
    """Add the adapter's weights to the model's and return the model, which then is as fast as before.

    Raises:
        MissingExtraError: The extra `lora` is not installed.
        ModelUnsupportedError: The weights do not fit the model's.
    """
    if find_spec("peft") is None:
        raise MissingExtraError(
            f"adapter={adapter.name!r} needs peft, which is not installed: pip install 'qwen-agentkit[lora]'."
        )
    from peft import LoraConfig, LoraModel, set_peft_model_state_dict

    config = LoraConfig.from_pretrained(str(adapter.folder))
    config.inference_mode = True
    try:
        stored = load_file(adapter.folder / _WEIGHTS)
    except SafetensorError as error:
        raise _damaged(adapter.name, _WEIGHTS, error) from error
    weights = _renamed(stored, headless=model.base_model is model)
    try:
        with_adapter = LoraModel(model, config, "default")
        report: Any = set_peft_model_state_dict(model, weights)
    except (ValueError, RuntimeError) as error:
        raise _misfit(adapter, str(error)) from error
    absent = [name for name in report.missing_keys if ".lora_" in name]
    if strange := [*report.unexpected_keys, *absent]:
        raise _misfit(adapter, f"{len(strange)} weights without a counterpart, such as {strange[0]!r}")
    return with_adapter.merge_and_unload(safe_merge=True)


def _renamed(weights: dict[str, Tensor], *, headless: bool) -> dict[str, Tensor]:
    """Name weights for a model with or without a head, whichever they were trained on."""
    body = re.compile(r"^(model\.)?(?=layers\.|embed_tokens\.|norm\.)")
    named = {name.removeprefix("base_model.model."): value for name, value in weights.items()}
    return {body.sub("" if headless else "model.", name): value for name, value in named.items()}


def _misfit(adapter: Adapter, reason: str) -> ModelUnsupportedError:
    return ModelUnsupportedError(
        f"The adapter {adapter.name!r} does not fit this model ({' '.join(reason.split())[:300]}). Pass the "
        "model that its adapter_config.json names."
    )


def _damaged(name: str, file: str, error: Exception) -> ModelUnsupportedError:
    return ModelUnsupportedError(
        f"{file} of the adapter {name!r} cannot be read ({error}). Download it again, with Git LFS if it is "
        "in a repository."
    )


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _stem(name: str) -> str:
    return _QUANTIZED.sub("", name.rpartition("/")[2].lower())
