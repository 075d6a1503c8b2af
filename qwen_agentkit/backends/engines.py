"""Which engine runs a model in this process: torch, or llama.cpp for GGUF files. Loads nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["check_engine", "runs_in_llama"]


def check_engine(model: str, torch_settings: Mapping[str, Any]) -> None:
    """Check that llama.cpp can run a model.

    Args:
        model: As the caller names it.
        torch_settings: What is set that torch alone has.

    Raises:
        InputError: It is no GGUF file, or something is set that torch alone has.
    """
    if not _is_gguf(model):
        raise InputError(
            f"engine='llama.cpp' runs GGUF files, and model={model!r} is none. Leave engine out, or pass the "
            "path of a file that ends in '.gguf'."
        )
    for name, value in torch_settings.items():
        raise InputError(
            f"{name}={value!r} is not a setting of engine='llama.cpp', which runs a GGUF file as it is. "
            "Leave it out, or pass engine='torch'."
        )


def runs_in_llama(model: str, engine: str | None, torch_settings: Mapping[str, Any]) -> bool:
    """Return whether llama.cpp runs a model; a warning says where only the binding is missing.

    Args:
        model: As the caller names it.
        engine: What the caller asks for; None for the best there is.
        torch_settings: What is set that torch alone has.
    """
    if engine is not None or not _is_gguf(model):
        return engine == "llama.cpp"
    if torch_settings:
        return False
    from qwen_agentkit.engine.llama.binding import missing_binding

    if reason := missing_binding():
        warnings.warn(
            f"torch runs {model!r}, with its weights written out in full size: {reason}. Then llama.cpp maps "
            "the file from the disk. Or pass engine='torch'.",
            stacklevel=2,
        )
    return not reason


def _is_gguf(model: str) -> bool:
    return model.lower().endswith(".gguf")
