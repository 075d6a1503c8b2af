"""Make nano-reranker: the interaction model, trained or not, then its layout as a Qwen3 checkpoint.

    python reranker.py DATA MORE TOKENIZER EMBEDDING OUT [--minutes 9]

The shipped weights are the model's start, untrained (``--minutes 0``): training on these groups lowered the
measured order.

EMBEDDING is the folder ``embedding.py`` wrote: its bag gives the first table, and its neighbors make the
batches hard (a batch is a paragraph, the paragraphs nearest to it, and one question of each).
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from data import NATIVE
from embedding import Bag
from pairs import LANGUAGES, NATIVE_DRAW, Batch, Pairs, Tokens
from reranker_layout import build
from reranker_model import FLOOR, SCENERY, Interaction
from tokenizer import compact
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

LONGEST = 200


def spelled_alike(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Token -> the first token of its spelling, whatever the case and the leading space."""
    first: dict[str | int, int] = {}
    texts = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    keys = [i if "\ufffd" in t else t.strip().lower() for i, t in enumerate(texts)]
    return torch.tensor([first.setdefault(key, i) for i, key in enumerate(keys)])


class Groups:
    """Batches of neighboring paragraphs with a query each."""

    def __init__(self, pairs: Pairs, bag: Bag) -> None:
        self.pairs, self.bag, self.news = pairs, bag, {}
        self.near = {g: self.neighbors(pairs.paragraphs[g]) for g in NATIVE}

    @torch.no_grad()
    def neighbors(self, texts: list[Tokens]) -> np.ndarray:
        """The texts nearest to each text, itself first."""
        vectors = F.normalize(self.bag(texts), dim=-1)
        return (vectors @ vectors.T).topk(min(80, len(texts)), 1)[1].numpy()

    def windows(self, language: str) -> tuple[list[Tokens], np.ndarray]:
        """The news windows of a language and their neighbors, made when first asked for."""
        if language not in self.news:
            texts = [np.concatenate(self.pairs.lines[language][a:b]) for a, b in self.pairs.windows]
            self.news[language] = (texts, self.neighbors(texts))
        return self.news[language]

    def choose(self, near: np.ndarray, count: int) -> np.ndarray:
        """Mostly a neighborhood, sometimes anything."""
        rng = self.pairs.rng
        hard = near[int(rng.integers(len(near)))][: count + 6]
        return rng.permutation(hard if rng.random() < 0.65 else len(near))[:count]

    def batch(self, count: int = 14) -> Batch:
        """Questions, crops or lines of another language, against their paragraphs."""
        pairs, rng, draw = self.pairs, self.pairs.rng, self.pairs.rng.random()
        queries: list[Tokens] = []
        if draw < 0.62:
            g = rng.choice(NATIVE_DRAW)
            chosen = self.choose(self.near[g], count)
            documents = [pairs.paragraphs[g][i] for i in chosen]
            if draw < 0.47:
                queries = [
                    pairs.questions[g][i][int(rng.integers(len(pairs.questions[g][i])))] for i in chosen
                ]
        elif draw < 0.82:
            texts, near = self.windows(rng.choice(LANGUAGES))
            documents = [texts[i] for i in self.choose(near, count)]
        else:
            a, b = rng.choice(LANGUAGES), "en" if rng.random() < 0.6 else rng.choice(LANGUAGES)
            texts, near = self.windows(b)
            chosen = self.choose(near, count)
            documents = [texts[i] for i in chosen]
            lines = [pairs.lines[a][int(rng.integers(*pairs.windows[i]))] for i in chosen]
            queries = [pairs.crop(line)[0] if rng.random() < 0.5 else line for line in lines]
        if not queries:
            made = [pairs.crop(text, 22) for text in documents]
            queries, documents = [pairs.drop(q, 0.4) for q, _ in made], [d for _, d in made]
        return queries, [pairs.window(d, LONGEST) for d in documents]


def padded(texts: list[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and which of them are real."""
    ids = torch.full((len(texts), max(map(len, texts))), -1)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = torch.from_numpy(text)
    return ids.clamp(min=0), ids >= 0


def loss_of(scores: torch.Tensor) -> torch.Tensor:
    """Listwise both ways, and binary so that the logits mean something."""
    right, truth = torch.arange(len(scores)), torch.eye(len(scores))
    binary = F.binary_cross_entropy_with_logits(
        scores, truth, weight=truth + (1 - truth) * 3 / (len(scores) - 1)
    )
    return (
        F.cross_entropy(scores, right) + 0.3 * F.cross_entropy(scores.T, right) + 0.5 * len(scores) * binary
    )


def train(model: Interaction, groups: Groups, minutes: float) -> None:
    """Adam, cosine over processor minutes."""
    start, sets = model.table.detach().clone(), ("table", "importance", "views", "topic")
    rates = {"table": 5e-4, "importance": 1e-3, "views": 1e-3, "topic": 1e-3}
    few = [p for name, p in model.named_parameters() if not name.startswith(sets)]
    many = [
        {"params": [p], "lr": rates[name.split(".")[0]]}
        for name, p in model.named_parameters()
        if name.startswith(sets)
    ]
    optimizer = torch.optim.Adam([*many, {"params": few, "lr": 1e-2}], betas=(0.9, 0.98))
    done, step, begun = 0.0, 0, time.process_time()
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda _: 0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, done)))
    )
    while done < 1:
        queries, documents = groups.batch()
        loss = loss_of(model(*padded(queries), *padded(documents)))
        total = loss + 0.3 * ((model.table - start) ** 2).sum() / len(start)
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.importance.clamp_(FLOOR, -FLOOR)
        step, done = step + 1, (time.process_time() - begun) / (60 * minutes)
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} {done:.0%} loss {float(loss):.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("more", type=Path, help="folder of public repositories, see more.py")
    parser.add_argument("tokenizer", type=Path, help="without the end that the embedder's appends")
    parser.add_argument("embedding", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=0)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    stored = torch.load(options.embedding / "bag.pt")
    bag = Bag(stored["table"], stored["importance"].exp())
    scenery = [
        tokenizer.convert_tokens_to_ids(t) if t != "\n" else tokenizer("\n")["input_ids"][0] for t in SCENERY
    ]
    model = Interaction(stored["table"], stored["importance"], scenery, spelled_alike(tokenizer))
    if options.minutes:
        train(model, Groups(Pairs(options.data, options.more, tokenizer, seed=3), bag), options.minutes)
    build(model, tokenizer).to(torch.bfloat16).save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    compact(options.out)


if __name__ == "__main__":
    main()
