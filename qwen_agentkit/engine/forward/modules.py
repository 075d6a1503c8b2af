"""Qwen2 and Qwen3, dense and MoE, as torch modules. Knows the shapes and names of weights.

Parameters have the names of the checkpoints, which are those of transformers. The modules only hold them:
`decoder` computes with them, after linear layers were packed, quantized or joined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from qwen_agentkit.engine.forward.rotary import Rotary
from qwen_agentkit.engine.model_config import Config, Experts, ModelConfig

__all__ = ["QwenDecoder", "QwenModel"]


class _NoInitialization(TorchFunctionMode):
    """Leaves out the random values of new modules, which on "meta" would import torch's compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return None
        return func(*args, **(kwargs or {}))


class QwenModel(nn.Module):
    """A decoder with or without a head.

    Attributes:
        config: Settings of the model.
        base_model: The decoder.
    """

    def __init__(self, config: ModelConfig, head: str | None) -> None:
        """Make a model without weights, on the device "meta".

        Args:
            config: Settings of the model.
            head: "lm_head" for logits of tokens, "score" for a classifier, None for none.
        """
        super().__init__()
        self.config: Config = config
        with torch.device("meta"), _NoInitialization():
            self.model = QwenDecoder(config)
            if head == "lm_head":
                self.lm_head: nn.Module = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
            elif head == "score":
                self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)

    @property
    def base_model(self) -> QwenDecoder:
        """The decoder."""
        return self.model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number type of what is not quantized."""
        return self.model.norm.weight.dtype

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of the embeddings."""
        return self.model.embed_tokens

    def set_input_embeddings(self, table: nn.Module) -> None:
        """Replace the table of the embeddings."""
        self.model.embed_tokens = table

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the language model head; None where there is none."""
        return getattr(self, "lm_head", None)

    def set_output_embeddings(self, head: nn.Module) -> None:
        """Replace the language model head."""
        self.lm_head = head


class QwenDecoder(nn.Module):
    """Embeddings, layers and the final norm. Its `forward` is a `decoder.Decoder`."""

    rotary_emb: Rotary

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)


class Layer(nn.Module):
    """One layer: attention, then an MLP or experts."""

    def __init__(self, config: ModelConfig, number: int) -> None:
        super().__init__()
        experts = config.experts
        self.self_attn = Attention(config)
        if experts and experts.in_layer(number):
            self.mlp: nn.Module = SparseMlp(config, experts)
        else:
            self.mlp = Mlp(config.hidden_size, config.intermediate_size)
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)


class RmsNorm(nn.Module):
    """The weights of a norm by the root of the mean square."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.variance_epsilon = epsilon


class Attention(nn.Module):
    """The weights of grouped-query attention; Qwen3 also has norms of queries and keys."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.head_dim = config.head_dim
        self.scaling = config.head_dim**-0.5
        width, shared = (
            n * config.head_dim for n in (config.num_attention_heads, config.num_key_value_heads)
        )
        self.q_proj = nn.Linear(config.hidden_size, width, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden_size, shared, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden_size, shared, bias=config.qkv_bias)
        self.o_proj = nn.Linear(width, config.hidden_size, bias=config.o_bias)
        if config.model_type.startswith("qwen3"):
            self.q_norm = RmsNorm(config.head_dim, config.rms_norm_eps)
            self.k_norm = RmsNorm(config.head_dim, config.rms_norm_eps)


class Mlp(nn.Module):
    """A gated MLP (SwiGLU, arXiv:2002.05202)."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, width, bias=False)
        self.up_proj = nn.Linear(hidden, width, bias=False)
        self.down_proj = nn.Linear(width, hidden, bias=False)
        self.act_fn = nn.SiLU()


class SparseMlp(nn.Module):
    """Experts, of which a few read each token, and in Qwen2 one that reads all."""

    def __init__(self, config: ModelConfig, experts: Experts) -> None:
        super().__init__()
        self.gate = Router(config.hidden_size, experts)
        self.experts = ExpertMlps(config.hidden_size, experts)
        if experts.shared_width is not None:
            self.shared_expert = Mlp(config.hidden_size, experts.shared_width)
            self.shared_expert_gate = nn.Linear(config.hidden_size, 1, bias=False)


class Router(nn.Module):
    """The weights that choose the experts of each token."""

    def __init__(self, hidden: int, experts: Experts) -> None:
        super().__init__()
        self.top_k = experts.per_token
        self.norm_topk_prob = experts.normalize
        self.weight = nn.Parameter(torch.empty(experts.count, hidden))


class ExpertMlps(nn.Module):
    """The MLPs of a layer's experts: (experts, 2 * width, hidden) and (experts, hidden, width)."""

    def __init__(self, hidden: int, experts: Experts) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(experts.count, 2 * experts.width, hidden))
        self.down_proj = nn.Parameter(torch.empty(experts.count, hidden, experts.width))
