"""A late interaction laid out as a five-layer Qwen3 model.

A token's context is its own meaning and four times the average of the last three, weighed by rarity. A token
of the question is found in a document as well as the nearest of the document's contexts is near to its own.
The coverage is the share of the question that is found, weighed by rarity (as in ColBERT).

Layer 0 tells the parts of the prompt apart and gathers each token's context. Layer 1 lets document tokens
find their nearest question token: how near it is, its code, its weight. Layer 2 hands both to the next token,
so that in layer 3 a token sees how well earlier ones found the same question token, and keeps what it adds:
such additions sum up to the maximum, which a causal model could not look for from the question. Layer 4 sums
them at the last position; the last RMSNorm divides them by the weight of the question.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linprog
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

WIDTH, HEAD, HEADS, LAYERS, BASE = 224, 256, 2, 5, 1e30
MEANING, CODE = 176, 34  # coordinates of a token's meaning, and of the random code of its spelling
WINDOW, MIX = 3, 4.0  # tokens of a context, and their weight beside the token's own meaning
SHARP = 23.0  # largest attention logit of the matching layer
PLAIN = 1.5  # length of a constant beside each context: the nearness that counts as half found
CODES = slice(MEANING, MEANING + CODE)
HANDED = slice(MEANING - CODE, MEANING)  # of the meaning's least coordinates, free from layer 2 on
(
    IMPORTANCE,
    ONE,
    IS_QUERY,
    IS_DOCUMENT,
    SINK,
    OF_QUERY,
    OF_DOCUMENT,
    FOUND,
    WANTED,
    HANDED_FOUND,
    EARLIER,
    NEW,
    MASS,
    SCORE,
) = range(MEANING + CODE, WIDTH)
WAVES = 20  # pairs of coordinates that RoPE turns; it hardly turns the others
SLOW = torch.tensor([*range(WAVES, HEAD // 2), *range(HEAD // 2 + WAVES, HEAD)])
CONTENT, AT = SLOW[:MEANING], SLOW[MEANING:].tolist()
LONG = 24.0  # a constant in every token, so that RMSNorm divides all by nearly the same
SCALE = 4.0  # importances are stored divided by it
FULL, PASSED = 8.0, 10.0  # lengths of a found code, and of one that is handed on
FAR = 100.0  # keeps a token from being looked at
LOUD, VERDICT = 8000.0, 0.7
SLOPE, ZERO = 6.0, 0.35  # of the score's logit over the coverage
SCENERY = ("Query", "Document", ">", ":", "<", "\n", "<|im_end|>", "<think>", "</think>", "assistant", "\n\n")


def config(vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": BASE},
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


def waves(wanted: dict[int, tuple[float, float]], below: float) -> np.ndarray:
    """Return amplitudes of waves whose sum lies in the bounds `wanted` at these distances, else `below`."""
    distances = np.unique([*range(400), *np.linspace(400, 8192, 800).astype(int)])
    angles = np.outer(distances, BASE ** (-np.arange(WAVES) / (HEAD // 2)))
    basis = np.concatenate([np.cos(angles), -np.sin(angles)], axis=1)
    low, high = np.full(len(distances), -np.inf), np.full(len(distances), below)
    for distance, bounds in wanted.items():
        low[distance], high[distance] = bounds
    signed = np.concatenate([basis, -basis], axis=1)
    rows, limits = np.concatenate([signed, -signed]), np.concatenate([high, -low])
    kept = np.isfinite(limits)
    found = linprog(np.ones(4 * WAVES), rows[kept], limits[kept], bounds=(0, None), method="highs").x
    return found[: 2 * WAVES] - found[2 * WAVES :]


class Layer:
    """The weight matrices of one layer by their short names; a logit is ``reach`` times a cosine."""

    def __init__(self, state: dict[str, Tensor], number: int, squares: float) -> None:
        self.state, self.prefix = state, f"model.layers.{number}."
        self.q, self.k, self.v, self.o = (state[f"{self.prefix}self_attn.{n}_proj.weight"] for n in "qkvo")
        self.gate, self.up, self.down = (
            state[f"{self.prefix}mlp.{n}_proj.weight"] for n in ("gate", "up", "down")
        )
        for norm in ("input_layernorm", "post_attention_layernorm"):  # what goes in comes out
            state[f"{self.prefix}{norm}.weight"].fill_(math.sqrt((LONG**2 + squares) / WIDTH))

    def reach(self, largest: float) -> None:
        """Scale queries and keys so that their largest product is `largest`."""
        for norm in ("q_norm", "k_norm"):
            self.state[f"{self.prefix}self_attn.{norm}.weight"].fill_((largest / HEAD**0.5) ** 0.5)

    def distances(self, amplitudes: np.ndarray) -> None:
        """Head 0 attends by distance."""
        part = torch.from_numpy(amplitudes).float() / LONG
        self.q[:WAVES, ONE], self.q[HEAD // 2 : HEAD // 2 + WAVES, ONE] = part[:WAVES], part[WAVES:]
        self.k[:WAVES, ONE] = 1 / LONG


def embed(
    tokens: Tensor, table: Tensor, importance: Tensor, same: Tensor, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Meanings, codes, importances and the marks of the prompt's words."""
    meaning = F.normalize(table, dim=1)
    axes = torch.linalg.svd(meaning, full_matrices=False)[2][:MEANING]
    codes = torch.randn(len(tokens), CODE, generator=torch.Generator().manual_seed(5))
    weights = (importance + table.norm(dim=1).log()).clamp(-6, 4)
    # A spelling weighs what its commonest form does: in Chinese, a token with a space before it is rare.
    weights = torch.full_like(weights, 4).scatter_reduce(0, same, weights, "amin")[same]
    tokens[:, :MEANING], tokens[:, CODES] = F.normalize(meaning @ axes.T), F.normalize(codes)[same]
    tokens[:, IMPORTANCE], tokens[:, ONE] = weights / SCALE, LONG
    one = {t: tokenizer(t)["input_ids"][0] for t in (*SCENERY, "<|im_start|>", "yes", "no")}
    for text in SCENERY:
        tokens[one[text], IMPORTANCE] = -6 / SCALE
    tokens[one["<|im_start|>"]] = 0
    tokens[one["<|im_start|>"], ONE], tokens[one["<|im_start|>"], SINK] = LONG, 1.0
    tokens[one["Query"], IS_QUERY] = tokens[one["Document"], IS_DOCUMENT] = 1.0
    tokens[one["yes"], SCORE], tokens[one["no"], SCORE] = VERDICT, -VERDICT


def gather_contexts(layer: Layer) -> None:
    """Layer 0: head 0 averages the last tokens by importance, head 1 finds the part of the prompt."""
    near = dict.fromkeys(range(WINDOW), (-0.15, 0.15))
    amplitudes = waves(near | {3: (-np.inf, -1.0), 4: (-np.inf, -4.0)}, -9.5)
    layer.distances(amplitudes)
    small, filler = 0.3, 8.0  # a filler keeps the key's length, so that importance counts linearly
    layer.q[AT[0], ONE], layer.k[AT[0], IMPORTANCE], layer.k[AT[1], ONE] = (
        1 / small / LONG,
        small * SCALE,
        filler / LONG,
    )
    layer.reach(math.hypot(np.linalg.norm(amplitudes), 1 / small) * math.sqrt(filler**2 + WAVES))
    layer.v[:MEANING, :MEANING] = torch.eye(MEANING)
    layer.o[:MEANING, :MEANING] = MIX * torch.eye(MEANING)
    layer.q[HEAD + AT[0], ONE] = layer.k[HEAD + AT[1], ONE] = 1 / LONG
    layer.k[HEAD + AT[0], IS_DOCUMENT], layer.k[HEAD + AT[0], IS_QUERY] = 4.0, 1.2
    layer.v[HEAD, IS_QUERY] = layer.v[HEAD + 1, IS_DOCUMENT] = 1.0
    layer.o[OF_QUERY, HEAD] = layer.o[OF_DOCUMENT, HEAD + 1] = 1.0


def match(layer: Layer) -> None:
    """Layer 1: head 0 weighs the question's contexts against a sink, head 1 takes the nearest."""
    for at in (0, HEAD):
        layer.q[at + CONTENT, :MEANING] = layer.k[at + CONTENT, :MEANING] = torch.eye(MEANING)
        layer.q[at + AT[0], ONE] = layer.k[at + AT[1], ONE] = PLAIN / LONG
        layer.k[at + AT[0], OF_QUERY], layer.k[at + AT[0], ONE] = FAR, -FAR / LONG
    # Two <|im_start|> stand before the document; the second coordinate makes up for there being two.
    layer.k[AT[0], SINK], layer.k[AT[1], SINK] = 2 * FAR, 0.426 * FAR
    layer.v[0, OF_QUERY] = layer.o[FOUND, 0] = 1.0
    layer.v[HEAD : HEAD + CODE, CODES] = torch.eye(CODE)
    layer.o[CODES, HEAD : HEAD + CODE] = FULL * torch.eye(CODE)
    layer.v[HEAD + CODE, IMPORTANCE] = layer.o[WANTED, HEAD + CODE] = 1.0
    layer.reach(SHARP)


def hand_on(layer: Layer) -> None:
    """Layer 2: what the token before has found."""
    amplitudes = waves({1: (0.0, 0.1)}, -12.0)
    layer.distances(amplitudes)
    layer.reach(float(np.linalg.norm(amplitudes)) * math.sqrt(WAVES))
    layer.v[:CODE, CODES] = torch.eye(CODE)
    layer.o[HANDED, :CODE] = PASSED / FULL * torch.eye(CODE)
    layer.v[CODE, FOUND] = layer.o[HANDED_FOUND, CODE] = 1.0


def add(layer: Layer) -> None:
    """Layer 3: the best that earlier tokens found of the same question token; the MLP keeps what is above."""
    plain, filler, alike, better = 0.3, 3.0, 60.0, 15.0  # logits of an equal code and of a perfect find
    layer.q[SLOW[:CODE], CODES] = torch.eye(CODE) / FULL
    layer.k[SLOW[:CODE], HANDED] = torch.eye(CODE) / PASSED
    layer.q[AT[0], ONE], layer.k[AT[1], ONE] = plain / LONG, filler / LONG
    layer.k[AT[0], HANDED_FOUND] = better / alike / plain
    layer.k[AT[0], OF_DOCUMENT], layer.k[AT[0], ONE] = FAR, -FAR / LONG
    layer.k[AT[0], SINK], layer.k[AT[1], SINK] = 2 * FAR, 1.17 * FAR
    layer.reach(alike * math.hypot(1, plain) * math.sqrt(filler**2 + 1.5))
    layer.v[0, HANDED_FOUND] = layer.o[EARLIER, 0] = 1.0
    steep = 100.0  # silu(steep x) / steep is nearly max(x, 0)
    layer.gate[0, FOUND], layer.gate[0, EARLIER] = steep, -steep
    layer.gate[0, OF_DOCUMENT], layer.gate[0, ONE] = 2 * steep, -2.02 * steep / LONG
    layer.up[0, ONE] = 1 / steep / LONG
    layer.down[NEW, 0] = 1.0


def total(layer: Layer) -> None:
    """Layer 4: additions and the question's tokens, by importance."""
    small, filler = 0.3, 8.0
    layer.q[AT[0], ONE], layer.k[AT[1], ONE] = 1 / LONG, filler / LONG
    layer.k[AT[0], WANTED] = small * SCALE
    layer.k[AT[0], OF_QUERY] = layer.k[AT[0], OF_DOCUMENT] = 12.0
    layer.k[AT[0], ONE] = -12.0 / LONG
    layer.reach(filler / small)
    layer.v[0, NEW] = layer.v[1, OF_QUERY] = 1.0
    gain = SLOPE * LOUD / (2 * VERDICT * math.sqrt(WIDTH))
    layer.o[SCORE, 0], layer.o[SCORE, 1], layer.o[MASS, 1] = gain, -gain * ZERO, LOUD


@torch.no_grad()
def build(
    table: Tensor, importance: Tensor, same: Tensor, tokenizer: PreTrainedTokenizerBase
) -> Qwen3ForCausalLM:
    """The checkpoint whose yes-no logit is SLOPE times the coverage above ZERO.

    ``table`` and ``importance`` are the embedder's bag; ``same`` leads a token to the first of its spelling.
    """
    checkpoint = Qwen3ForCausalLM(config(len(tokenizer))).float()
    state = checkpoint.state_dict()
    for name, weight in state.items():
        weight.fill_(1.0) if "norm" in name else weight.zero_()
    state["model.norm.weight"].zero_()
    state["model.norm.weight"][SCORE] = 1.0
    embed(state["model.embed_tokens.weight"], table, importance, same, tokenizer)
    gather_contexts(Layer(state, 0, 2))
    match(Layer(state, 1, 17))
    hand_on(Layer(state, 2, 80))
    add(Layer(state, 3, 160))
    total(Layer(state, 4, 160))
    return checkpoint
