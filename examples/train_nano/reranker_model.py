"""The interaction model behind nano-reranker: what its three layers compute, without the prompt.

A document token looks at the query's tokens and at a sink; what it does not give the sink is its match.
The last position then looks at the document's tokens by importance, match and repetition, against a sink
again, so that the first matches count most and long documents gain nothing.  A second reading compares the
averaged meanings.  Without the prompt around it, every question of a batch can be scored against every
document at once, which trains a hundred times faster than the transformer.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEANING, SKETCH = 372, 80  # coordinates of a token's meaning, and of a head's random view of it
SHARP, GATHER = 40.0, 20.0  # largest attention logits of the matching and of the gathering layer
FLOOR = -0.6  # importance of the prompt's own tokens
SCENERY = (
    "<|im_end|>",
    "<think>",
    "</think>",
    "<|endoftext|>",
    "assistant",
    "Query",
    "Document",
    ">",
    ":",
    "<",
    "\n",
)


def views(generator: torch.Generator) -> Tensor:
    """A random orthogonal view that keeps lengths on average."""
    return torch.linalg.qr(torch.randn(MEANING, SKETCH, generator=generator))[0].T * math.sqrt(
        MEANING / SKETCH
    )


def arc(slope: Tensor) -> Tensor:
    """The logit of a key (slope, 1) after k_norm, for a query along the first axis."""
    return GATHER * slope / torch.sqrt(1 + slope * slope)


class Interaction(nn.Module):
    """Logit of "yes" against "no"."""

    def __init__(self, table: Tensor, importance: Tensor, scenery: list[int], same: Tensor) -> None:
        super().__init__()
        meaning = F.normalize(table, dim=1)
        axes = torch.linalg.svd(meaning, full_matrices=False)[2]
        weight = importance + table.norm(dim=1).log()
        start = ((weight - weight.median()) / 12).clamp(-0.4, 0.4)
        start[scenery] = FLOOR
        generator = torch.Generator().manual_seed(5)
        self.table = nn.Parameter(F.normalize(meaning @ axes[:MEANING].T, dim=1))
        self.importance = nn.Parameter(start)
        self.views = nn.ParameterList([nn.Parameter(views(generator)) for _ in range(2)])
        # Of a match head's unit vectors: the part that carries meaning, the part that says "of the query".
        self.parts = nn.ParameterList(
            [nn.Parameter(torch.tensor([0.6, 0.8])), nn.Parameter(torch.tensor([0.75, 0.66]))]
        )
        self.topic = nn.Parameter(views(generator))
        self.gather = nn.Parameter(
            torch.tensor([1.0, 0.35, 0.1, 0.22, -0.1])
        )  # importance, matches, repetition, constant
        self.gather_sink = nn.Parameter(torch.tensor(0.5))
        self.asked = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.asked_sink = nn.Parameter(torch.tensor(-0.25))
        self.told = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.out = nn.Parameter(
            torch.tensor([49.0, 7.0, -7.0, 70.0, 0.49])
        )  # matches, query mass, topics, constant
        self.register_buffer(
            "same", same, persistent=False
        )  # token -> token of the same spelling, whatever its case

    def matches(self, query: Tensor, real: Tensor, document: Tensor, repeated: Tensor) -> list[Tensor]:
        """How well each document token finds itself in each query, a head: [queries, documents, tokens]."""
        found = []
        for view, (content, role) in zip(self.views, self.parts, strict=True):
            asked, told = self.table[query] @ view.T * content, self.table[document] @ view.T * content
            asked_length = torch.sqrt((asked * asked).sum(-1) + role * role)
            told_bare = torch.sqrt((told * told).sum(-1))
            told_length = torch.sqrt(told_bare * told_bare + role * role)
            near = torch.einsum(
                "aqk,bdk->abdq", asked / asked_length[..., None], told / told_length[..., None]
            )
            near = near + (role / asked_length)[:, None, None, :] * (role / told_length)[None, :, :, None]
            near = near.masked_fill(~real[:, None, None, :], -9)
            # The prefix's two <|im_start|> are the sink; a token and its repetitions also see themselves.
            rest = torch.logaddexp(
                SHARP * role / told_length + math.log(2),
                SHARP * told_bare / told_length + repeated * math.log(2),
            )
            found.append(torch.sigmoid(torch.logsumexp(SHARP * near, -1) - rest[None]))
        return found

    def forward(self, query: Tensor, query_real: Tensor, document: Tensor, document_real: Tensor) -> Tensor:
        """Every query against every document."""
        spelled = self.same[document].masked_fill(~document_real, -1)
        repeated = (spelled[:, :, None] == spelled[:, None, :]).tril(-1).any(-1).float()
        sure, vague = self.matches(query, query_real, document, repeated)
        told, asked = self.importance[document], self.importance[query]
        slope = (
            self.gather[0] * told
            + self.gather[1] * sure
            + self.gather[2] * vague
            - self.gather[3] * repeated
            + self.gather[4]
        )
        logits = arc(slope).masked_fill(~document_real, -99)
        share = torch.exp(
            logits - torch.logaddexp(logits.logsumexp(-1), self.gather_sink * GATHER)[..., None]
        )
        wanted = arc(self.asked[0] * asked + self.asked[1]).masked_fill(~query_real, -99)
        wanted = torch.exp(wanted - torch.logaddexp(wanted.logsumexp(-1), self.asked_sink * GATHER)[:, None])
        topic = arc(self.told[0] * told + self.told[1]).masked_fill(~document_real, -99).softmax(-1)
        question = (wanted[..., None] * (self.table[query] @ self.topic.T)).sum(1)
        subject = (topic[..., None] * (self.table[document] @ self.topic.T)).sum(1)
        o = self.out
        matched = o[0] * (share * sure).sum(-1) + o[1] * (share * vague).sum(-1)
        return matched + o[2] * wanted.sum(-1)[:, None] + o[3] * question @ subject.T + o[4]
