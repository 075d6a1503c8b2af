"""Measure both checkpoints on the XQuAD paragraphs of a data folder, through the package's public classes.

    python evaluate.py DATA [EMBEDDING] [RERANKER] [--every 1]

Question -> its paragraph among the paragraphs of one language (MRR), the same with English paragraphs for
questions in other languages, shorter vectors, the order before and after reranking the first ten, and how
well the best score of the ten tells a question that they answer from one that they do not.  Exits with 1
when a floor is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from data import XQUAD_LANGUAGES, xquad

from qwen_agentkit import QwenEmbeddings, QwenReranker

FLOORS = {"en": 0.85, "ar": 0.72, "zh": 0.85, "ar>en": 0.44}
ACROSS = ("ar", "de", "zh", "es", "ru", "hi", "th")
TOP = 10


def unit(vectors: np.ndarray, width: int) -> np.ndarray:
    """Vectors cut to ``width`` and of length 1 again."""
    cut = vectors[:, :width].astype(np.float32)
    return cut / np.linalg.norm(cut, axis=1, keepdims=True)


def mrr(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean reciprocal rank of the right column."""
    own = scores[np.arange(len(right)), right]
    return float(np.mean(1 / ((scores > own[:, None]).sum(1) + 1)))


def separation(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that a positive scores above a negative (AUC)."""
    return float(
        (positive[:, None] > negative[None]).mean() + 0.5 * (positive[:, None] == negative[None]).mean()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("embedding", nargs="?", default="nano")
    parser.add_argument("reranker", nargs="?", default="nano")
    parser.add_argument("--every", type=int, default=1, help="take every n-th question")
    parser.add_argument("--languages", nargs="+", default=XQUAD_LANGUAGES)
    options = parser.parse_args()
    embeddings, reranker = QwenEmbeddings(model=options.embedding), QwenReranker(model=options.reranker)
    texts, asked, passages, queries = {}, {}, {}, {}
    for language in dict.fromkeys((*options.languages, "en")):
        paragraphs = xquad(options.data, language)
        texts[language] = [p.text for p in paragraphs]
        asked[language] = [q for p in paragraphs for q in p.questions][:: options.every]
        right = np.array([i for i, p in enumerate(paragraphs) for _ in p.questions])[:: options.every]
        passages[language] = embeddings.embed_array(texts[language])
        queries[language] = np.array([embeddings.embed_query(q) for q in asked[language]], np.float32)

    figures: dict[str, float] = {}
    widths = (passages["en"].shape[1], 128, 64)
    for width in widths:
        kept = {
            g: mrr(unit(queries[g], width) @ unit(passages[g], width).T, right) for g in options.languages
        }
        print(
            f"{width} coordinates: mean {np.mean(list(kept.values())):.3f}",
            {g: round(v, 3) for g, v in kept.items()},
        )
        figures = figures or kept
    for g in (g for g in ACROSS if g in queries):
        figures[f"{g}>en"] = mrr(unit(queries[g], widths[0]) @ unit(passages["en"], widths[0]).T, right)
    print("to English:", {g: round(v, 3) for g, v in figures.items() if ">" in g})

    before, after, yes, no = {}, {}, [], []
    for g in options.languages:
        near = unit(queries[g], widths[0]) @ unit(passages[g], widths[0]).T
        top = np.argsort(-near, axis=1)[:, :TOP]
        pairs = [(q, texts[g][i]) for q, row in zip(asked[g], top, strict=True) for i in row]
        scores = np.array(reranker.score(pairs)).reshape(top.shape)
        hit = top == right[:, None]
        found = hit.any(1)
        before[g] = float(np.mean(np.where(found, 1 / (hit.argmax(1) + 1), 0)))
        order = np.argsort(-scores, axis=1, kind="stable")
        after[g] = float(np.mean(np.where(found, 1 / (np.take_along_axis(hit, order, 1).argmax(1) + 1), 0)))
        yes += scores[hit].tolist()
        no += np.where(hit, 0, scores).max(1).tolist()
        print(f"rerank {g}: {before[g]:.3f} -> {after[g]:.3f}", flush=True)
    positive, negative = np.array(yes), np.array(no)
    print(f"rerank mean: {np.mean(list(before.values())):.3f} -> {np.mean(list(after.values())):.3f}")
    print(
        f"AUC of the right passage against the best wrong one of {TOP}: {separation(positive, negative):.3f}"
    )
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        kept, refused = np.mean(positive >= threshold), np.mean(negative < threshold)
        print(f"threshold {threshold}: keeps {kept:.2f} right, refuses {refused:.2f} unanswerable")

    missed = [
        f"{g} {figures[g]:.3f} < {floor}"
        for g, floor in FLOORS.items()
        if g in figures and figures[g] < floor
    ]
    missed += [f"reranking lowers {g}" for g in before if after[g] < before[g]]
    print("floors missed:", missed or "none")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
