"""A weighted bag of tokens laid out as a two-layer Qwen3 model, exactly.

Coordinates of the residual stream: 0..507 meaning, 508 importance, 509 its complement (together of one
length, so that RMSNorm scales every token alike), 510 marks, 511 the final token.  Layer 1 pools: its heads
look at (importance, complement) alone, so a token's share is exp(importance) up to a common factor, and
head h carries coordinates 64 h .. 64 h + 63 of the meaning. Layer 0 only takes the instruction out: one
head finds ``Instruct`` before a token and no ``Query`` since, and the importance of such tokens falls to
the floor.  RoPE hardly turns the coordinates used (base 1e8, the slow end of each head).
"""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

WIDTH, MEANING, HEAD, HEADS = 512, 508, 64, 8
IMPORTANCE, COMPLEMENT, MARK, FINAL = 508, 509, 510, 511
REACH = 12.0  # the pooling logit runs from -REACH to REACH
SHARP = 40.0  # of layer 0's attention
RADIUS = 0.7  # length of (importance, complement) beside a meaning of length 1
SLOW = (31, 30, 29, 28)


def config(vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e8},
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


def words_of_the_protocol(
    table: torch.Tensor, importance: torch.Tensor, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Tokens added for the prompts (``tokenizer.PROTOCOL``) mean what their words mean inside a sentence."""
    from tokenizer import PROTOCOL

    for word in PROTOCOL:
        ids = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
        meaning = (table[ids] * importance[ids, None].exp()).sum(0)
        new, length = tokenizer.convert_tokens_to_ids(word), meaning.norm()
        table[new], importance[new] = meaning / length, length.log()


@torch.no_grad()
def build(
    table: torch.Tensor, importance: torch.Tensor, tokenizer: PreTrainedTokenizerBase
) -> Qwen3ForCausalLM:
    """The model whose last hidden state at ``<|endoftext|>`` points where the bag does."""
    model = Qwen3ForCausalLM(config(len(tokenizer))).float()
    state = model.state_dict()
    generator = torch.Generator().manual_seed(7)
    for name, weight in state.items():
        weight.fill_(1.0) if "norm" in name else weight.zero_()
        if "gate_proj" in name or "up_proj" in name:  # their output starts at nought: room to train further
            weight.normal_(0, 0.3 / WIDTH**0.5, generator=generator)
    state["model.norm.weight"][MEANING:] = 0
    tokens = state["model.embed_tokens.weight"]
    length = table[:, :MEANING].norm(dim=1).clamp(min=1e-4)
    weight = importance + length.log()
    share = ((weight - weight.median()) / REACH).clamp(-0.75, 0.75)
    tokens[:, :MEANING] = table[:, :MEANING] / length[:, None]
    tokens[:, IMPORTANCE], tokens[:, COMPLEMENT] = RADIUS * share, RADIUS * (1 - share**2).sqrt()
    instruct, query, final = (
        tokenizer.convert_tokens_to_ids(t) for t in ("Instruct", "Query", "<|endoftext|>")
    )
    tokens[instruct, MARK] = 0.25
    tokens[query, MARK], tokens[query, FINAL] = 0.5, -0.5
    # ``Query:`` is in every query.
    said = [query, tokenizer.convert_tokens_to_ids(":")]
    tokens[said, IMPORTANCE], tokens[said, COMPLEMENT] = -0.97 * RADIUS, 0.24 * RADIUS
    tokens[final] = 0
    tokens[final, FINAL], tokens[final, IMPORTANCE], tokens[final, COMPLEMENT] = (
        1.0,
        -0.97 * RADIUS,
        0.24 * RADIUS,
    )

    q, k, v, o = (state[f"model.layers.1.self_attn.{n}_proj.weight"] for n in "qkvo")
    for head in range(HEADS):
        q[head * HEAD + SLOW[0], FINAL] = 1.0
        k[head * HEAD + SLOW[0], IMPORTANCE] = k[head * HEAD + SLOW[1], COMPLEMENT] = 1.0
    meaning = torch.eye(WIDTH)
    meaning[MEANING:] = 0
    v.copy_(meaning)
    o.copy_(meaning * 20)  # over the final token's own length

    q, k, v, o = (state[f"model.layers.0.self_attn.{n}_proj.weight"] for n in "qkvo")
    for head in range(HEADS - 1):  # free heads, silent until trained
        for part in (q, k, v):
            part[head * HEAD : (head + 1) * HEAD, :MEANING].normal_(0, 0.5 / WIDTH**0.5, generator=generator)
    at = (HEADS - 1) * HEAD
    q[at + SLOW[2], COMPLEMENT] = 1.0
    k[at + SLOW[2], MARK], k[at + SLOW[3], COMPLEMENT] = (
        2.31 * RADIUS * 0.95,
        1.0,
    )  # Query over Instruct over the rest
    v[at, MARK] = v[at, FINAL] = 1.0  # Instruct says 1/4, Query takes its own mark back
    o[IMPORTANCE, at] = -1.6
    for layer, reach in ((0, SHARP), (1, REACH)):
        for norm in ("q_norm", "k_norm"):
            state[f"model.layers.{layer}.self_attn.{norm}.weight"].fill_((reach / HEAD**0.5) ** 0.5)
    return model
