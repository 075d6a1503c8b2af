"""The model profile that `ChatQwen` gives to LangChain. Knows the catalog, loads nothing."""

from __future__ import annotations

from langchain_core.language_models.model_profile import ModelProfile

from qwen_agentkit.catalog import CHECKPOINTS

__all__ = ["profile_of"]


def profile_of(model: str, context_window: int | None) -> ModelProfile:
    """Return the profile of a checkpoint. One outside the catalog gets what all checkpoints have in common.

    Args:
        model: Hub id, name of a nano checkpoint, or any other name or folder.
        context_window: Longest sequence, in tokens; None for the checkpoint's own.
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
        structured_output=True,
        temperature=True,
    )
    if context_window:
        known["max_input_tokens"] = context_window
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
