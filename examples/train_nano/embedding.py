"""Train nano-embedding: a weighted bag of tokens, then its layout as a Qwen3 checkpoint.

    python embedding.py DATA TOKENIZER LEXICON OUT --minutes 12

A bag is what a model this small ends up as, and it trains a hundred times faster than its transformer.
Three forces shape it: contrast over pairs (``pairs.py``), the teacher's likeness of single words across
languages (``teacher.py``), and a pull towards the start, which keeps words apart that no pair has seen.
A second round adds the teacher's likeness of whole sentences and the names of cities (``across.py``).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from across import Across
from data import NTREX, word_counts
from embedding_layout import MEANING, WIDTH, build, words_of_the_protocol
from pairs import UNSPACED, Pairs, Tokens, spaced
from tokenizer import compact, end_texts
from transformers import AutoTokenizer, PreTrainedTokenizerBase

CUTS = ((512, 1.0), (256, 0.25), (128, 0.2), (64, 0.15))  # Matryoshka: vectors are also used cut


def lexical_start(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Random unit vectors by spelling: case and leading space do not count, shared letter runs come near."""

    def vector(text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.md5(text.encode()).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32) / WIDTH**0.5

    rows = np.zeros((len(tokenizer), WIDTH), np.float32)
    for i in range(len(tokenizer)):
        text = tokenizer.decode([i]).strip().lower()
        if not text or "\ufffd" in text:
            rows[i] = vector(f"#{i}")
            continue
        rows[i] = vector(text)
        if len(text) > 3:
            runs = [f"<{text}>"[j : j + n] for n in (3, 4) for j in range(len(text) + 3 - n)]
            rows[i] = (
                0.6**0.5 * rows[i] + 0.4**0.5 * sum(vector("g" + run) for run in runs) / len(runs) ** 0.5
            )
        rows[i] /= np.linalg.norm(rows[i])
    return rows


def whiten(vectors: np.ndarray, width: int) -> np.ndarray:
    """Principal axes at equal length: the teacher crowds everything into a few of them."""
    vectors = vectors - vectors.mean(0)
    _, scale, axes = np.linalg.svd(vectors[:: max(1, len(vectors) // 20_000)], full_matrices=False)
    vectors = vectors @ axes[:width].T / (scale[:width] / scale[0])
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)


def rarity(pairs: Pairs, thai: Path | None) -> np.ndarray:
    """First weights: the smaller of a rarity in documents and one in word lists (question words)."""
    seen = np.zeros(len(pairs.tokenizer))
    texts = [np.concatenate(rows[i : i + 4]) for rows in pairs.lines.values() for i in range(0, len(rows), 4)]
    texts += [t for rows in pairs.paragraphs.values() for t in rows[:400]]
    for text in texts:
        seen[np.unique(text)] += 1
    written = np.log(len(texts) / (seen + 0.5))
    share = np.zeros(len(seen))
    for language in (*NTREX, "ro"):
        words = word_counts(language, 30_000, thai)
        mine = np.zeros(len(seen))
        for form in ("{}", " {}"):
            weight = float(form == "{}") if language in UNSPACED else 0.5
            for (_, frequency), row in zip(
                words, pairs.encode([form.format(w) for w, _ in words]), strict=True
            ):
                mine[np.unique(row)] += frequency * weight
        share = np.maximum(share, mine)
    spoken = np.log1p(0.3 / (share + 1e-4))
    return np.maximum(np.minimum(written, spoken * 7 / spoken.max()), 0.1).astype(np.float32) ** 1.2


class Bag(torch.nn.Module):
    """Sum of token vectors times exp(importance)."""

    def __init__(self, start: torch.Tensor, weights: torch.Tensor) -> None:
        super().__init__()
        start[:, MEANING:] = 0  # coordinates the layout needs for itself
        self.start = F.normalize(start, dim=-1)
        self.importance_start = weights.log()
        self.table = torch.nn.Parameter(self.start.clone())
        self.importance = torch.nn.Parameter(self.importance_start.clone())
        self.scale = torch.nn.Parameter(torch.tensor(math.log(20.0)))
        self.table.register_hook(lambda grad: grad * (torch.arange(WIDTH) < MEANING))

    def forward(self, texts: list[Tokens]) -> torch.Tensor:
        """One row a text, not yet of length one."""
        lengths = np.array([len(t) for t in texts])
        ids = torch.from_numpy(np.concatenate(texts))
        offsets = torch.from_numpy(np.cumsum(lengths) - lengths)
        return F.embedding_bag(
            ids, self.table, offsets, mode="sum", per_sample_weights=self.importance[ids].exp()
        )

    def contrast(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """InfoNCE over the batch in both directions, on every cut."""
        right, total = torch.arange(len(queries)), torch.zeros(())
        for width, weight in CUTS:
            near = F.normalize(queries[:, :width], dim=-1) @ F.normalize(documents[:, :width], dim=-1).T
            near = near * self.scale.exp().clamp(max=60)
            total = total + weight * (F.cross_entropy(near, right) + 0.5 * F.cross_entropy(near.T, right))
        return total

    def imitate(self, texts: list[Tokens], teacher: torch.Tensor) -> torch.Tensor:
        """The rows of word likeness as the teacher has them."""
        own = torch.eye(len(texts)) * 1e4
        theirs = F.log_softmax(teacher @ teacher.T * 20 - own, -1)
        mine = F.normalize(self(texts), dim=-1)
        return F.kl_div(
            F.log_softmax(mine @ mine.T * 15 - own, -1), theirs, log_target=True, reduction="batchmean"
        )

    def pull(self) -> torch.Tensor:
        """Distance from the start."""
        far = ((self.table - self.start) ** 2).sum() / len(self.table)
        return 0.25 * far + 0.02 * ((self.importance - self.importance_start) ** 2).mean()


def train(
    bag: Bag, pairs: Pairs, lexicon: Path, minutes: float, across: Across | None = None, rate: float = 2e-3
) -> None:
    """Adam with a cosine schedule over processor minutes (the wall clock of a busy machine says little)."""
    stored = np.load(lexicon)
    words, languages, vectors = (
        stored["words"],
        stored["languages"],
        torch.from_numpy(whiten(stored["vectors"].astype(np.float32), 200)),
    )
    tokens = pairs.encode([spaced(g, w) for g, w in zip(languages, words, strict=True)])
    english, others = np.flatnonzero(languages == "en"), np.flatnonzero(languages != "en")
    groups = [
        {"params": [bag.table], "lr": rate},
        {"params": [bag.importance], "lr": 4e-3},
        {"params": [bag.scale], "lr": 2e-3},
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    done, step, begun = 0.0, 0, time.process_time()
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda _: 0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, done)))
    )
    while done < 1:
        by_name = across is not None and pairs.rng.random() < 0.22
        queries, documents = across.names() if across and by_name else pairs.batch()
        loss = bag.contrast(
            bag([pairs.drop(q, 0.4) for q in queries]), bag([pairs.drop(d, 0.2) for d in documents])
        )
        chosen = np.concatenate([pairs.rng.choice(others, 700), pairs.rng.choice(english, 700)])
        total = loss + bag.imitate([tokens[i] for i in chosen], vectors[chosen]) + bag.pull()
        if across:
            total = total + across.imitate(bag)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        step, done = step + 1, (time.process_time() - begun) / (60 * minutes)
        schedule.step()
        if step % 100 == 0:
            print(
                f"step {step} {done:.0%} contrast {float(loss):.3f} scale {float(bag.scale.exp()):.1f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("lexicon", type=Path, help="made by teacher.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--cldr", type=Path)
    parser.add_argument("--thai", type=Path)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    pairs = Pairs(options.data, tokenizer, options.cldr)
    taught = np.zeros((len(tokenizer), WIDTH), np.float32)
    taught[:, :256] = whiten(np.load(options.lexicon)["tokens"].astype(np.float32), 256)
    start = torch.from_numpy(0.7**0.5 * lexical_start(tokenizer) + 0.3**0.5 * taught)
    bag = Bag(start, torch.from_numpy(rarity(pairs, options.thai)))
    train(bag, pairs, options.lexicon, options.minutes)
    train(bag, pairs, options.lexicon, 0.6 * options.minutes, Across(options.data, pairs))
    table, importance = bag.table.detach(), bag.importance.detach()
    words_of_the_protocol(table, importance, tokenizer)
    build(table, importance, tokenizer).to(torch.bfloat16).save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    compact(options.out)
    end_texts(options.out)
    torch.save(
        {"table": table, "importance": importance}, options.out / "bag.pt"
    )  # the reranker starts from it


if __name__ == "__main__":
    main()
