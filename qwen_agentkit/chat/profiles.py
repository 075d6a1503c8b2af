"""The model profile that `ChatQwen` gives to LangChain. Knows the catalog and small files, loads nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from langchain_core.language_models.model_profile import ModelProfile

from qwen_agentkit.catalog import CHECKPOINTS, nano_folder

__all__ = ["profile_of"]


# The key of the context in a GGUF file, the number of its type (32 bits, unsigned) and the value.
_GGUF_CONTEXT = re.compile(rb"[.]context_length\x04\x00\x00\x00(.{4})", re.DOTALL)
_GGUF_START = 1 << 16  # bytes; the settings come before the vocabulary


def profile_of(model: str, context_window: int | None, *, served: bool = False) -> ModelProfile:
    """Return the profile of a checkpoint. One outside the catalog gets what all checkpoints have in common.

    `structured_output` says whether a model can be given tools and a response format together, as LangChain's
    agents do: servers hold the answer to the format from its first token, so that no tool is ever called.
    Agents then force a call of a tool that takes the object.

    Args:
        model: Hub id, name of a nano checkpoint, or any other name, folder or GGUF file.
        context_window: Longest sequence, in tokens; None for the checkpoint's own.
        served: Whether a server has it; then only the server knows the context of other names.
    """
    known = ModelProfile(
        open_weights=True,
        text_inputs=True,
        text_outputs=True,
        image_inputs=False,
        audio_inputs=False,
        video_inputs=False,
        tool_calling=True,
        tool_choice=True,
        tool_call_streaming=False,  # a call is emitted whole
        structured_output=not served,
        temperature=True,
    )
    if context := context_window or (None if served else _context(model)):
        known["max_input_tokens"] = context
    row = next((row for row in CHECKPOINTS if row.name == model), None)
    if row is None:
        return known
    known["name"] = row.name
    known["reasoning_output"] = row.thinks
    known["max_input_tokens"] = context_window or row.context
    if row.efforts:
        known["reasoning_effort_levels"] = list(row.efforts)
        known["reasoning_effort_default"] = row.efforts[-1]
    return known


def _context(model: str) -> int | None:
    """Return the context of a checkpoint on this disk, in tokens; None if its files do not say."""
    place = nano_folder(model) or Path(model).expanduser()
    try:
        if place.is_file():
            with place.open("rb") as file:
                found = _GGUF_CONTEXT.search(file.read(_GGUF_START))
            return int.from_bytes(found[1], "little") if found else None
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        tokens = (config.get("text_config") or config).get("max_position_embeddings")
    except (AttributeError, OSError, ValueError):
        return None
    return tokens if isinstance(tokens, int) else None
