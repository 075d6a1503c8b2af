"""The constructed start of nano-chat: heads that copy and search are written into the first weights.

Why construct: a model of this size meets too few tokens to find copying by itself. So the first layer starts
with heads that look one to three tokens back, and the last one with heads that look for an earlier place with
the same last tokens and say what followed there. Everything between starts near random and is learnt.

Between them stand heads that search: words of the question look for the same words in the passages and read a
code of the sentence they stand in (its first word and what stood before it) and the passage's number; the
place that writes the answer collects these votes, and the last layer looks for the sentence whose code won.

The residual stream (272) is divided at the start: 0-127 token, 128 constant, 129-136 marks, then the token
before, the one before that, the code of the sentence, the vote of a question's word, the sum of the votes,
and the third token before.
"""

from __future__ import annotations

import math
import zlib

import torch
from chat_model import HEAD, WIDTH, config, rotary
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase, Qwen3ForCausalLM

CORE, CONST, MARKS, RARE, STARTS = 128, 128, 129, 134, 135
PREV1, PREV2, SENT, VOTE, SUM, PREV3 = 137, 161, 179, 203, 227, 256
N1, N2, N3, NS, ND = (
    24,
    18,
    12,
    20,
    4,
)  # widths: one, two, three tokens before, code of a sentence, number of the passage
# The slow pairs of the rotary embedding turn too little over 1,000 tokens to disturb a comparison of
# contents.
SLOW = [i + j for i in range(8, 32) for j in (0, 32)]


def _code(text: str, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return F.normalize(torch.randn(size, generator=generator), dim=0)


def token_table(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Token vectors.

    Nearly orthogonal, but alike for the same letters with another case, with a space, or as a stem.
    """
    table = torch.zeros(len(tokenizer), WIDTH)
    special = set(tokenizer.added_tokens_decoder)
    for index in range(len(tokenizer)):
        piece = tokenizer.convert_ids_to_tokens(index)
        text = tokenizer.decode([index])
        bare = piece.removeprefix("Ġ")
        code = 0.75 * _code("low " + bare.lower(), CORE) + 0.5 * _code("is " + bare, CORE)
        if index not in special and "\ufffd" not in text and len(text.strip()) >= 4:
            word = text.strip().lower()
            grams = torch.stack([_code("gram " + word[i : i + 4], CORE) for i in range(len(word) - 3)]).sum(0)
            code = code + 0.4 * F.normalize(grams, dim=0)
        table[index, :CORE] = F.normalize(code, dim=0)
        table[index, CONST] = 1.0
        table[index, MARKS] = 0.6 if piece.startswith("Ġ") else -0.3
        table[index, MARKS + 1] = (
            1.0 if text.strip(' "”»').endswith((".", "!", "?", "。", "！", "？", "؟", "।", "۔")) else 0.0
        )
        table[index, MARKS + 2] = 1.0 if text.strip().isdigit() else 0.0
        table[index, MARKS + 3] = 1.0 if index in special else 0.0
        table[index, MARKS + 4] = 1.0 if text.endswith("\n") else 0.0
        # Early entries of a BPE vocabulary are the frequent ones: the id stands in for the rarity of a word.
        table[index, RARE] = -0.5 if index in special else math.log((index + 100) / 100) / math.log(82)
    table[:, :PREV3] += 0.01 * torch.randn(len(table), PREV3)
    return table


def _look_back(q: Tensor, k: Tensor, distance: int, scale: float = 1.0) -> None:
    """Makes a head look exactly `distance` tokens back.

    Whatever they are: the constant is read with shifted phases.
    """
    for i, weight in enumerate((0.45, 0.25, 0.15, 0.1, 0.05)):
        size, angle = scale * math.sqrt(weight), -distance * rotary()[i].item()
        q[i, CONST], q[i + 32, CONST] = size * math.cos(angle), size * math.sin(angle)
        k[i, CONST] = size


def _head(weight: Tensor, n: int) -> Tensor:
    part = weight[n * HEAD : (n + 1) * HEAD]
    part.zero_()
    return part


def _carry(o: Tensor, n: int, place: int, width: int, start: int = 0) -> None:
    """Head `n` writes the numbers it read, from `start` on, to `place` in the stream."""
    for i in range(width):
        o[place + i, n * HEAD + start + i] = 1.0


def _vector(tokenizer: PreTrainedTokenizerBase, table: Tensor, text: str) -> Tensor:
    return F.normalize(table[tokenizer(text)["input_ids"][0], :CORE], dim=0)


def _look_behind(a: nn.Module, basis: Tensor) -> None:
    """Layer 0: each token learns which token stood one and two places before.

    And whether a sentence had just ended.
    """
    for n, (place, width) in enumerate(((PREV1, N1), (PREV2, N2), (PREV3, N3))):
        _look_back(_head(a.q_proj.weight, n), _head(a.k_proj.weight, n), n + 1)
        v = _head(a.v_proj.weight, n)
        v[:width, :CORE] = 0.2 * basis[:width]
        a.o_proj.weight[:, n * HEAD : (n + 1) * HEAD] = 0
        _carry(a.o_proj.weight, n, place, width)
    v = a.v_proj.weight[:HEAD]
    v[50, MARKS + 1] = v[51, MARKS + 4] = 0.15
    a.o_proj.weight[STARTS, 50] = a.o_proj.weight[STARTS + 1, 51] = 1.0


def _nearest(q: Tensor, k: Tensor, size: float, sign: float = 1.0) -> None:
    """Adds a wish for near keys (or for far ones, with sign -1) within a few hundred tokens."""
    for i, weight in ((4, 0.4), (5, 0.35), (6, 0.25)):
        q[i, CONST], k[i, CONST] = sign * size * math.sqrt(weight), size * math.sqrt(weight)


def _name_sentences(a: nn.Module, basis: Tensor, tokenizer: PreTrainedTokenizerBase, table: Tensor) -> None:
    """Layer 1: every token reads the code of its sentence from the sentence's first token.

    And its passage's number.
    """
    q, k, v = (_head(w.weight, 0) for w in (a.q_proj, a.k_proj, a.v_proj))
    _nearest(q, k, 1.0)
    q[31, CONST] = 0.8
    k[31, STARTS] = k[31, STARTS + 1] = 0.8
    v[:NS, :CORE] = 0.35 * basis[64 : 64 + NS]
    for i in range(N2):
        v[i, PREV2 + i] = 0.3
    q, k, w = (_head(w.weight, 1) for w in (a.q_proj, a.k_proj, a.v_proj))
    _nearest(q, k, 0.8)
    q[31, CONST] = 1.0
    k[31, MARKS + 2] = 0.8
    k[31, PREV1 : PREV1 + N1] = 1.5 * basis[:N1] @ _vector(tokenizer, table, "[")
    for i in range(ND):
        w[i, :CORE] = 0.12 * _vector(tokenizer, table, str(i + 1))
    a.o_proj.weight[:, : 2 * HEAD] = 0
    _carry(a.o_proj.weight, 0, SENT, NS)
    _carry(a.o_proj.weight, 1, SENT + NS, ND)


def _search(
    match: nn.Module, collect: nn.Module, basis: Tensor, tokenizer: PreTrainedTokenizerBase, table: Tensor
) -> None:
    """Layers 2 and 3: words look for themselves farther back and read the sentence's code.

    The codes are collected.
    """
    q, k, v = (_head(w.weight, 0) for w in (match.q_proj, match.k_proj, match.v_proj))
    for j, dim in enumerate(SLOW[:30]):
        q[dim, :CORE] = k[dim, :CORE] = basis[40 + j]
    for j, dim in enumerate(SLOW[30:]):
        q[dim, PREV1 + j] = k[dim, PREV1 + j] = 0.5
    _nearest(q, k, 0.45, -1.0)
    for i in range(NS + ND):
        v[i, SENT + i] = 0.14
    match.o_proj.weight[:, :HEAD] = 0
    _carry(match.o_proj.weight, 0, VOTE, NS + ND)

    q, k, v = (_head(w.weight, 0) for w in (collect.q_proj, collect.k_proj, collect.v_proj))
    _nearest(q, k, 0.6)
    question = basis[64 : 64 + NS] @ _vector(tokenizer, table, "Question")
    q[31, CONST] = q[30, CONST] = 1.0
    k[31, SENT : SENT + NS] = 1.2 * F.normalize(question, dim=0)
    k[30, RARE] = 1.5
    for i in range(NS + ND):
        v[i, VOTE + i] = 0.2
    collect.o_proj.weight[:, :HEAD] = 0
    _carry(collect.o_proj.weight, 0, SUM, NS + ND)


def _say(a: nn.Module, basis: Tensor, tokenizer: PreTrainedTokenizerBase, table: Tensor) -> None:
    """Layer 4: where to copy from, two heads a search because one carries half a token vector.

    Heads 0 and 1 go on with a text: they look for an earlier place with the same last three tokens.
    Heads 2 and 3 begin one: they look for the first token of the sentence that won the votes.
    """
    pause = _vector(tokenizer, table, "\n\n")
    for n in range(4):
        q, k = _head(a.q_proj.weight, n), _head(a.k_proj.weight, n)
        if n < 2:
            for j, dim in enumerate(SLOW[:24]):
                q[dim, :CORE] = (
                    basis[j] - (basis[j] @ pause) * pause
                )  # a blank line says nothing about what follows
                k[dim, PREV1 + j] = 1.0
            for j, dim in enumerate(SLOW[24:42]):
                q[dim, PREV1 + j] = k[dim, PREV2 + j] = 0.8
            for j, dim in enumerate(SLOW[42:]):
                q[dim, PREV2 + j] = k[dim, PREV3 + j] = 0.5
        else:
            for j, dim in enumerate(SLOW[:NS]):
                q[dim, SUM + j] = k[dim, SENT + j] = 1.0
            q[SLOW[46], CONST], k[SLOW[46], STARTS], k[SLOW[46], STARTS + 1] = 0.6, 0.6, 0.6
        _head(a.v_proj.weight, n)[:, :CORE] = (1.0 if n < 2 else 0.6) * basis[
            n % 2 * HEAD : (n % 2 + 1) * HEAD
        ]
        a.o_proj.weight[:, n * HEAD : (n + 1) * HEAD] = 0
        a.o_proj.weight[:CORE, n * HEAD : (n + 1) * HEAD] = basis[n % 2 * HEAD : (n % 2 + 1) * HEAD].T


@torch.no_grad()
def construct(tokenizer: PreTrainedTokenizerBase, seed: int = 1) -> Qwen3ForCausalLM:
    """A new model with the copying heads in place."""
    torch.manual_seed(seed)
    pad, end = tokenizer.convert_tokens_to_ids("<|endoftext|>"), tokenizer.convert_tokens_to_ids("<|im_end|>")
    model = Qwen3ForCausalLM(config(len(tokenizer), end, pad)).float()
    body = model.model
    body.embed_tokens.weight.copy_(token_table(tokenizer))
    model.tie_weights()
    body.norm.weight[CONST] = 0.0
    basis = torch.linalg.qr(torch.randn(CORE, CORE))[0]
    for number, layer in enumerate(body.layers):
        a = layer.self_attn
        for linear in (a.q_proj, a.k_proj, a.v_proj):
            linear.weight.normal_(0, 0.03)
        for linear in (a.o_proj, layer.mlp.down_proj):
            linear.weight.normal_(0, 0.002)
        for linear in (layer.mlp.gate_proj, layer.mlp.up_proj):
            linear.weight.normal_(0, 0.05)
        gain = (2.0, 2.0, 2.0, 1.6, 2.1)[number]
        a.q_norm.weight.fill_(gain)
        a.k_norm.weight.fill_(gain)

    _look_behind(body.layers[0].self_attn, basis)
    _name_sentences(body.layers[1].self_attn, basis, tokenizer, body.embed_tokens.weight)
    _search(body.layers[2].self_attn, body.layers[3].self_attn, basis, tokenizer, body.embed_tokens.weight)
    _say(body.layers[4].self_attn, basis, tokenizer, body.embed_tokens.weight)
    return model
