"""Train nano-embedding: a weighted bag of tokens, then its layout as a Qwen3 checkpoint.

    python embedding.py DATA MORE TOKENIZER TAUGHT OUT --steps 5400

A bag trains a hundred times faster than its transformer. Four forces shape it: contrast over pairs
(``pairs.py``), the teacher's likeness of single words across languages and of sentences (``teach.py``,
``across.py``), and a pull towards the start, which keeps words apart that no pair has seen. A step touches
the tokens of its batch alone. OUT keeps a checkpoint: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from across import Across, rows_apart
from data import NTREX, word_counts
from embedding_layout import MEANING, WIDTH, build, words_of_the_protocol
from pairs import UNSPACED, Pairs, Tokens, spaced
from tokenizer import compact, end_texts
from transformers import AutoTokenizer, PreTrainedTokenizerBase

CUTS = ((512, 1.0), (256, 0.25), (128, 0.2), (64, 0.15))  # Matryoshka: vectors are also used cut
SHARPNESS = 20.0  # of the contrast's logits


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


class Bag:
    """Sum of token vectors times exp(importance); Adam over the rows that a step has touched."""

    def __init__(self, start: torch.Tensor, weights: torch.Tensor) -> None:
        start[:, MEANING:] = 0  # coordinates the layout needs for itself
        self.start = F.normalize(start, dim=-1)
        self.importance_start = weights.log()
        self.table = self.rows = self.start.clone()
        self.importance = self.weights = self.importance_start.clone()
        self.place = torch.arange(len(start))
        self.first, self.second = torch.zeros_like(self.table), torch.zeros_like(self.table)
        self.importance_moments = torch.zeros(2, len(start))
        self.seen = torch.zeros(len(start))

    def take(self, groups: list[list[Tokens]]) -> None:
        """Make the rows of these texts, and no others, the ones to be trained."""
        self.ids = torch.from_numpy(np.unique(np.concatenate([text for group in groups for text in group])))
        self.place[self.ids] = torch.arange(len(self.ids))
        self.rows = self.table[self.ids].requires_grad_()
        self.weights = self.importance[self.ids].requires_grad_()

    def __call__(self, texts: list[Tokens]) -> torch.Tensor:
        """One row a text, not yet of length one."""
        lengths = np.array([len(t) for t in texts])
        ids = self.place[torch.from_numpy(np.concatenate(texts))]
        offsets = torch.from_numpy(np.cumsum(lengths) - lengths)
        return F.embedding_bag(
            ids, self.rows, offsets, mode="sum", per_sample_weights=self.weights[ids].exp()
        )

    @torch.no_grad()
    def step(self, rate: float, pull: float = 1.5e-4) -> None:
        """One step of Adam on the rows taken."""
        ids = self.ids
        self.seen[ids] += 1
        bias = [1 - beta ** self.seen[ids] for beta in (0.9, 0.98)]
        grad = self.rows.grad + pull * (self.table[ids] - self.start[ids])
        grad[:, MEANING:] = 0
        self.first[ids] = first = self.first[ids].lerp_(grad, 0.1)
        self.second[ids] = second = self.second[ids].lerp_(grad.square_(), 0.02)
        change = (first / bias[0][:, None]) / ((second / bias[1][:, None]).sqrt_() + 1e-8)
        self.table[ids] -= rate * change
        grad = self.weights.grad + 1e-5 * (self.importance[ids] - self.importance_start[ids])
        first, second = self.importance_moments[:, ids]
        first, second = first.lerp(grad, 0.1), second.lerp(grad.square(), 0.02)
        self.importance_moments[:, ids] = torch.stack([first, second])
        self.importance[ids] -= rate * (first / bias[0]) / ((second / bias[1]).sqrt() + 1e-8)

    def contrast(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """InfoNCE over the batch in both directions, on every cut."""
        right, total = torch.arange(len(queries)), torch.zeros(())
        for width, weight in CUTS:
            near = F.normalize(queries[:, :width], dim=-1) @ F.normalize(documents[:, :width], dim=-1).T
            near = near * SHARPNESS
            total = total + weight * (F.cross_entropy(near, right) + 0.5 * F.cross_entropy(near.T, right))
        return total

    def imitate(self, left: torch.Tensor, right: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Rows of likeness as the teacher has them, both ways; ``taught`` holds its cosines."""
        near, taught = F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).T * 15, taught * 20
        return rows_apart(near, taught) + rows_apart(near.T, taught.T)


class Words:
    """Words of twenty languages with the teacher's vectors."""

    def __init__(self, lexicon: Path, pairs: Pairs) -> None:
        stored = np.load(lexicon)
        self.rng, languages = pairs.rng, stored["languages"]
        self.tokens = pairs.encode([spaced(g, w) for g, w in zip(languages, stored["words"], strict=True)])
        self.vectors = torch.from_numpy(whiten(stored["vectors"].astype(np.float32), 200))
        self.english, self.others = np.flatnonzero(languages == "en"), np.flatnonzero(languages != "en")

    def texts(self, count: int = 600) -> tuple[list[Tokens], list[Tokens], torch.Tensor]:
        """Words of any language, words half of them English, and the teacher's likeness of the two."""
        left = np.concatenate(
            [self.rng.choice(self.others, count), self.rng.choice(self.english, count // 4)]
        )
        right = np.concatenate(
            [self.rng.choice(self.english, count // 2), self.rng.choice(self.others, count // 2)]
        )
        near = self.vectors[left] @ self.vectors[right].T
        return [self.tokens[i] for i in left], [self.tokens[i] for i in right], near


def train(
    bag: Bag, pairs: Pairs, words: Words, across: Across, steps: int, rate: float, folder: Path
) -> None:
    """Steps with a cosine schedule; the state goes to ``folder`` every hundred of them."""
    path = folder / "checkpoint.pt"
    names = ("table", "importance", "first", "second", "importance_moments", "seen")
    begun = 0
    if path.exists():
        state = torch.load(path)
        begun = state.pop("step")
        vars(bag).update(state)
    for step in range(begun, steps):
        by_name = pairs.rng.random() < 0.1
        queries, documents = across.names() if by_name else pairs.batch()
        queries = [pairs.drop(q, 0.4) for q in queries]
        documents = [pairs.drop(d, 0.2) for d in documents]
        of_words, of_texts = words.texts(), across.texts()
        bag.take([queries, documents, *of_words[:2], *of_texts[:2]])
        loss = bag.contrast(bag(queries), bag(documents))
        near = [bag.imitate(bag(a), bag(b), taught) for a, b, taught in (of_words, of_texts)]
        (loss + 0.5 * near[0] + near[1]).backward()
        bag.step(rate * (0.03 + 0.485 * (1 + math.cos(math.pi * step / steps))))
        if (step + 1) % 100 == 0:
            shown = [round(float(x.detach()), 3) for x in (loss, *near)]
            print(f"step {step + 1} contrast, words, texts: {shown}", flush=True)
            torch.save({"step": step + 1, **{name: getattr(bag, name) for name in names}}, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("more", type=Path, help="folder of public repositories, see more.py")
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("taught", type=Path, help="folder that teach.py wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=5400)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--cldr", type=Path)
    parser.add_argument("--thai", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    pairs = Pairs(options.data, options.more, tokenizer, options.cldr)
    taught = np.zeros((len(tokenizer), WIDTH), np.float32)
    taught[:, :256] = whiten(np.load(options.taught / "lexicon.npz")["tokens"].astype(np.float32), 256)
    start = torch.from_numpy(0.7**0.5 * lexical_start(tokenizer) + 0.3**0.5 * taught)
    bag = Bag(start, torch.from_numpy(rarity(pairs, options.thai)))
    across = Across(options.data, options.more, options.taught / "sentences.npz", pairs)
    words = Words(options.taught / "lexicon.npz", pairs)
    train(bag, pairs, words, across, options.steps, options.rate, options.out)
    table, importance = bag.table, bag.importance
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
