"""The interaction model laid out as a three-layer Qwen3 model.

Layer 0 tells the parts of the prompt apart (``Query`` and ``Document`` after a ``<`` are tokens of their
own, and the later part outranks the earlier).  Layer 1 matches document tokens with query tokens, and with
earlier tokens of the document.  Layer 2 gathers at the last position; its MLP multiplies the two averaged
meanings (silu(z) u - silu(-z) u = z u).  A large constant in one coordinate keeps the last RMSNorm from
bending the score, and only the score coordinate survives the final norm.
"""

from __future__ import annotations

import math

import torch
from reranker_model import FLOOR, GATHER, MEANING, SCENERY, SHARP, SKETCH, Interaction
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

WIDTH, HEAD, HEADS = 384, 128, 3
(
    IMPORTANCE,
    ONE,
    IS_DOCUMENT_WORD,
    IS_QUERY_WORD,
    SINK,
    OF_QUERY,
    OF_DOCUMENT,
    SURE,
    VAGUE,
    REPEATED,
    SCORE,
    CONSTANT,
) = range(MEANING, WIDTH)
SLOW = torch.tensor([*range(22, 62), *range(86, 126)])  # RoPE base 1e9 hardly turns these
FAST = range(6)  # these keep a token from finding itself
SPARE = (126, 127)
SHARPER = 120.0
X, Y = 63, 62  # the plane of everything that is not meaning
LENGTH, FLAG, LOUD, VERDICT, APART = 0.7, 0.3, 120.0, 0.7, 3.0


def config(vocabulary: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e9},
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )


def slope(cosine: float) -> float:
    """The inverse of ``arc``, within what a head can express."""
    cosine = max(min(cosine, 0.97), -0.97)
    return cosine / math.sqrt(1 - cosine * cosine)


def rms(*squares: float) -> float:
    """What RMSNorm divides a token of length 1 + LENGTH² + squares by."""
    return math.sqrt((1 + LENGTH**2 + sum(squares)) / WIDTH)


class Layer:
    """The weight matrices of one layer by their short names."""

    def __init__(self, state: dict[str, Tensor], number: int, reach: float) -> None:
        prefix = f"model.layers.{number}."
        self.q, self.k, self.v, self.o = (state[f"{prefix}self_attn.{n}_proj.weight"] for n in "qkvo")
        self.gate, self.up, self.down = (
            state[f"{prefix}mlp.{n}_proj.weight"] for n in ("gate", "up", "down")
        )
        for norm in ("q_norm", "k_norm"):
            state[f"{prefix}self_attn.{norm}.weight"].fill_((reach / HEAD**0.5) ** 0.5)


def embed(tokens: Tensor, model: Interaction, tokenizer: PreTrainedTokenizerBase) -> None:
    """Meanings, importances and the marks of the prompt's words."""
    one = {
        t: tokenizer(t)["input_ids"][0] for t in (*SCENERY, "<|im_start|>", "Query", "Document", "yes", "no")
    }
    tokens[:, :MEANING], tokens[:, IMPORTANCE], tokens[:, ONE] = (
        model.table,
        model.importance * LENGTH,
        LENGTH,
    )
    tokens[one["<|im_start|>"]] = 0
    tokens[one["<|im_start|>"], ONE], tokens[one["<|im_start|>"], SINK] = LENGTH, 1.0
    for text in SCENERY:
        tokens[one[text], IMPORTANCE] = FLOOR * LENGTH
    tokens[one["Document"], IS_DOCUMENT_WORD] = tokens[one["Query"], IS_QUERY_WORD] = 0.5
    tokens[one["yes"], SCORE], tokens[one["no"], SCORE] = VERDICT, -VERDICT


def parts(layer: Layer) -> None:
    """Layer 0, head 0."""
    layer.q[X, ONE] = layer.k[Y, ONE] = layer.v[0, IS_QUERY_WORD] = layer.v[1, IS_DOCUMENT_WORD] = 1.0
    layer.k[X, IS_DOCUMENT_WORD], layer.k[X, IS_QUERY_WORD] = 4.0, 1.2
    layer.o[OF_QUERY, 0] = layer.o[OF_DOCUMENT, 1] = FLAG * rms(0.25) / 0.5


def match(layer: Layer, model: Interaction) -> None:
    """Layer 1: heads 0 and 1 find document tokens in the query, head 2 finds them earlier in the document."""
    for head in (0, 1):
        content, role = (float(p) for p in model.parts[head])
        at, length = head * HEAD, math.hypot(content, role)
        layer.q[at + SLOW, :MEANING] = layer.k[at + SLOW, :MEANING] = model.views[head] * content
        layer.q[at + X, ONE], layer.k[at + X, OF_QUERY], layer.k[at + X, SINK] = (
            role / LENGTH,
            role / FLAG,
            length,
        )
        # The repeat head needs sharper attention than these two: orthogonal lengths blunt theirs to SHARP.
        layer.q[at + SPARE[0], ONE] = layer.k[at + SPARE[1], ONE] = (
            math.sqrt(SHARPER / SHARP - 1) * length / LENGTH
        )
        layer.v[at, OF_QUERY] = 1.0
    layer.o[SURE, 0] = layer.o[VAGUE, HEAD] = layer.o[REPEATED, 2 * HEAD] = rms(FLAG**2)
    at, generator = 2 * HEAD, torch.Generator().manual_seed(11)
    view = torch.linalg.qr(torch.randn(MEANING, SKETCH, generator=generator))[0].T * math.sqrt(
        MEANING / SKETCH
    )
    # Cosines: an earlier equal token .56, the sink .5, another token below .4, the token itself .26.
    layer.q[at + SLOW, :MEANING], layer.k[at + SLOW, :MEANING] = view * 0.70, view * 0.806
    layer.q[at + X, ONE], layer.k[at + X, SINK] = 0.5 / LENGTH, 12.0
    layer.k[at + Y, ONE], layer.k[at + Y, OF_DOCUMENT] = 3 / LENGTH, -3 / FLAG  # only tokens of the document
    for i in FAST:
        layer.q[at + i, ONE] = -0.51 / math.sqrt(len(FAST)) / LENGTH
        layer.k[at + i, OF_DOCUMENT] = 0.592 / math.sqrt(len(FAST)) / FLAG
    layer.v[at, OF_DOCUMENT] = 1.0


def gather(layer: Layer, model: Interaction) -> None:
    """Layer 2: head 0 weighs matches, 1 reads the query, 2 the document; the MLP compares the two."""
    weigh, asked, told, out = (
        [float(p) for p in t] for t in (model.gather, model.asked, model.told, model.out)
    )

    def key(head: int, terms: dict[int, float], constant: float, part: int, sink: float) -> None:
        row = head * HEAD + X
        layer.q[row, ONE] = 1.0
        for coordinate, weight in terms.items():
            layer.k[row, coordinate] = weight
        layer.k[row, ONE], layer.k[row, part], layer.k[row, SINK] = (
            (constant - APART) / LENGTH,
            APART / FLAG,
            sink,
        )
        layer.k[head * HEAD + Y, ONE] = 1 / LENGTH

    terms = {
        IMPORTANCE: weigh[0] / LENGTH,
        SURE: weigh[1] / FLAG,
        VAGUE: weigh[2] / FLAG,
        REPEATED: -weigh[3] / FLAG,
    }
    # The sink is the <|im_start|> after the document; of the query's, all three count.
    key(0, terms, weigh[4], OF_DOCUMENT, slope(float(model.gather_sink)) - weigh[4])
    sink = slope(float(model.asked_sink) - math.log(3) / GATHER) - asked[1] + APART
    key(1, {IMPORTANCE: asked[0] / LENGTH}, asked[1], OF_QUERY, sink)
    key(2, {IMPORTANCE: told[0] / LENGTH}, told[1], OF_DOCUMENT, -2 * APART)
    length = rms(1.2 * FLAG**2)
    layer.v[0, SURE] = layer.v[1, VAGUE] = layer.v[2, ONE] = layer.v[HEAD, OF_QUERY] = 1.0
    layer.v[HEAD + 1 : HEAD + 1 + SKETCH, :MEANING] = layer.v[2 * HEAD : 2 * HEAD + SKETCH, :MEANING] = (
        model.topic
    )
    layer.o[CONSTANT, 2] = LOUD * length / LENGTH
    last = LOUD / math.sqrt(WIDTH) * 1.003
    gain = last / (2 * VERDICT)
    layer.o[SCORE, 0], layer.o[SCORE, 1], layer.o[SCORE, HEAD] = (w * gain * length / FLAG for w in out[:3])
    layer.o[SCORE, 2] = out[4] * gain * length / LENGTH
    over = 20.0  # drowns the last token's own meaning
    for i in range(SKETCH):
        layer.o[i, HEAD + 1 + i] = layer.o[SKETCH + i, 2 * HEAD + i] = over * length
        layer.gate[i, i] = layer.up[i, SKETCH + i] = 1.0
        layer.gate[SKETCH + i, i] = layer.up[SKETCH + i, SKETCH + i] = -1.0
        layer.down[SCORE, i] = layer.down[SCORE, SKETCH + i] = out[3] * gain * (last / over) ** 2


@torch.no_grad()
def build(model: Interaction, tokenizer: PreTrainedTokenizerBase) -> Qwen3ForCausalLM:
    """The checkpoint whose yes-no logit is the interaction model's."""
    checkpoint = Qwen3ForCausalLM(config(len(tokenizer))).float()
    state = checkpoint.state_dict()
    for name, weight in state.items():
        weight.fill_(1.0) if "norm" in name else weight.zero_()
    state["model.norm.weight"].zero_()
    state["model.norm.weight"][SCORE] = 1.0
    embed(state["model.embed_tokens.weight"], model, tokenizer)
    parts(Layer(state, 0, SHARP))
    match(Layer(state, 1, SHARPER), model)
    gather(Layer(state, 2, GATHER), model)
    return checkpoint
