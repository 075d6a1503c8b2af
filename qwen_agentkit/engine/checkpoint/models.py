"""A model built from its files, in this package's own modules or in transformers' code. Knows no prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from qwen_agentkit.engine.checkpoint.gguf_files import gguf_model, is_gguf
from qwen_agentkit.engine.checkpoint.identity import Identity
from qwen_agentkit.engine.checkpoint.weights_files import read_weights
from qwen_agentkit.engine.forward.modules import QwenModel
from qwen_agentkit.engine.forward.rotary import Rotary
from qwen_agentkit.engine.model_config import Model, ModelConfig
from qwen_agentkit.engine.weights.table import keep_table
from qwen_agentkit.errors import ModelUnsupportedError

__all__ = ["build_model"]

# Loading less than this takes no time worth a progress bar.
_SMALL_BYTES = 200e6

_TABLE, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def build_model(identity: Identity, *, head: bool, chat: bool = False) -> Model:
    """Build a model and read its weights to the memory of the CPU.

    Args:
        identity: What to load.
        head: Whether it has the head that its files have.
        chat: Whether it will multiply by its head, of which a reranker reads two rows.

    Raises:
        ModelUnsupportedError: Weights are missing, of other shapes, or not readable.
    """
    classifies = any(
        name.endswith("ForSequenceClassification") for name in identity.config.architectures or ()
    )
    if isinstance(identity.config, ModelConfig):
        kind = ("score" if classifies else "lm_head") if head else None
        return _own_model(identity, identity.config, kind, chat=chat)
    return _stock_model(identity, head=head, classifies=classifies)


def _own_model(identity: Identity, config: ModelConfig, head: str | None, *, chat: bool) -> QwenModel:
    model = QwenModel(config, head)
    # Of weights that are to be rounded, or are read row by row, no converted copy is made.
    dtype = config.dtype if identity.rounds_later else identity.dtype
    whole = chat or identity.adapter or identity.rounds_later  # an adapter is added in one type
    weights = read_weights(identity.folder, dtype, narrow=() if whole else (_TABLE, _HEAD))
    if head == "lm_head" and config.tie_word_embeddings:
        _tie(weights)
    expected = model.state_dict()
    _check(identity, weights, expected)
    model.load_state_dict({name: weights[name] for name in expected}, assign=True)
    if head == "lm_head" and weights[_HEAD] is weights[_TABLE]:
        # One parameter, not two of the same memory: it is copied and quantized once.
        model.lm_head.weight = model.model.embed_tokens.weight
    model.model.rotary_emb = Rotary(config.rope_parameters, config.head_dim, torch.device("cpu"))
    if dtype and weights[_TABLE].dtype != dtype:
        keep_table(model, dtype)
    return model


def _tie(weights: dict[str, Tensor]) -> None:
    """Let the head be the table of the embeddings, unless the files hold another head."""
    table, head = weights.get(_TABLE), weights.get(_HEAD)
    if table is not None and (head is None or torch.equal(head, table)):
        weights[_HEAD] = table


def _check(identity: Identity, weights: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    if missing := sorted(expected.keys() - weights.keys()):
        raise ModelUnsupportedError(
            f"{identity.name!r} lacks {len(missing)} of the weights of its model, such as {missing[0]!r}. "
            "Download it again, or take the checkpoint that it was made from."
        )
    for name, weight in expected.items():
        found, wanted = tuple(weights[name].shape), tuple(weight.shape)
        if found != wanted:
            raise ModelUnsupportedError(
                f"The weight {name!r} of {identity.name!r} has the shape {found}; its config.json says "
                f"{wanted}. Download the checkpoint again."
            )


def _stock_model(identity: Identity, *, head: bool, classifies: bool) -> Any:
    """Load with transformers, which takes seconds to import."""
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

    # Any other class than the one with the head of the files would fill it with noise.
    with_head = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    kind: Any = with_head if head else AutoModel
    settings: dict[str, Any] = {
        "config": identity.config,
        "dtype": "auto" if identity.rounds_later else identity.dtype,
    }
    with _no_progress_bar() if identity.size < _SMALL_BYTES else nullcontext():
        if is_gguf(identity.folder):
            return gguf_model(kind, identity.folder, **settings)
        return kind.from_pretrained(identity.folder, use_safetensors=True, **settings)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    from transformers import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
