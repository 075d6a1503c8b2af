"""Measure both checkpoints on the XQuAD paragraphs of a data folder, through the package's public classes.

    python evaluate.py DATA [EMBEDDING] [RERANKER] [--every 1]

Question -> its paragraph among the paragraphs of one language (MRR), the same with English paragraphs for
questions in other languages, shorter vectors, the order of the first ten before, after and by the mean of
both scores, and how well the best score of the ten tells a question that they answer from one that they do
not.  Exits with 1 when a floor is missed, or when the mean orders worse than the search by meaning does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from data import XQUAD_LANGUAGES, xquad

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.catalog import THRESHOLDS

FLOORS = {"en": 0.85, "ar": 0.72, "zh": 0.85, "ar>en": 0.44}
ACROSS = ("ar", "de", "zh", "es", "ru", "hi", "th")
TOP = 10
SHARE = THRESHOLDS["nano-reranker"].share


def unit(vectors: np.ndarray, width: int) -> np.ndarray:
    """Vectors cut to ``width`` and of length 1 again."""
    cut = vectors[:, :width].astype(np.float32)
    return cut / np.linalg.norm(cut, axis=1, keepdims=True)


def mrr(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean reciprocal rank of the right column."""
    own = scores[np.arange(len(right)), right]
    return float(np.mean(1 / ((scores > own[:, None]).sum(1) + 1)))


def mrr_of(scores: np.ndarray, hit: np.ndarray) -> float:
    """Mean reciprocal rank of the hit in each row of candidates; 0 for a row without one."""
    ranked = np.take_along_axis(hit, np.argsort(-scores, axis=1, kind="stable"), 1)
    return float(np.mean(np.where(hit.any(1), 1 / (ranked.argmax(1) + 1), 0)))


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

    before, after, alone, yes, no = {}, {}, {}, [], []
    for g in options.languages:
        near = unit(queries[g], widths[0]) @ unit(passages[g], widths[0]).T
        top = np.argsort(-near, axis=1)[:, :TOP]
        pairs = [(q, texts[g][i]) for q, row in zip(asked[g], top, strict=True) for i in row]
        scores = np.array(reranker.score(pairs)).reshape(top.shape)
        hit = top == right[:, None]
        found = np.take_along_axis(near, top, 1)
        before[g], alone[g] = mrr_of(found, hit), mrr_of(scores, hit)
        after[g] = mrr_of((1 - SHARE) * found + SHARE * scores, hit)
        yes += scores[hit].tolist()
        no += np.where(hit, 0, scores).max(1).tolist()
        print(f"rerank {g}: {before[g]:.3f} -> {after[g]:.3f} (alone {alone[g]:.3f})", flush=True)
    positive, negative = np.array(yes), np.array(no)
    means = [np.mean(list(row.values())) for row in (before, after, alone)]
    print("rerank mean: {:.3f} -> {:.3f} (alone {:.3f})".format(*means))
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
    missed += ["the mean of both scores orders worse"] if means[1] < means[0] else []
    print("floors missed:", missed or "none")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
