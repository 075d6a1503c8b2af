"""Recorded outputs of the true checkpoints, from their cards and from peers' test suites.

Run where the weights are: pytest -m weights
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.forward.packed import Segment, forward

pytestmark = pytest.mark.weights

# https://github.com/QwenLM/Qwen3-Embedding, README
QUERIES = ["What is the capital of China?", "Explain gravity"]
DOCUMENTS = [
    "The capital of China is Beijing.",
    "Gravity is a force that attracts two bodies towards each other. It gives weight to physical objects "
    "and is responsible for the movement of planets around the sun.",
]
CARD = {
    "Qwen/Qwen3-Embedding-0.6B": ([[0.7645568, 0.1414251], [0.1354974, 0.5999550]], 0.001),
    "Qwen/Qwen3-Embedding-4B": ([[0.7534, 0.1147], [0.0320, 0.6258]], 0.01),
    "Qwen/Qwen3-Embedding-8B": ([[0.7493, 0.0751], [0.0880, 0.6318]], 0.01),
}

# sentence-transformers, tests/cross_encoder
PLANET_QUERY = "Which planet is known as the Red Planet?"
PLANETS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
]
PLANET_SCORES = [0.0427254, 0.9991922, 0.4064273, 0.9718495]


@pytest.mark.parametrize("name", CARD)
def test_similarities_of_the_model_card(name: str) -> None:
    expected, tolerance = CARD[name]
    embeddings = QwenEmbeddings(model=name, dtype="float32" if name.endswith("0.6B") else None)
    queries = np.array([embeddings.embed_query(query) for query in QUERIES])
    np.testing.assert_allclose(queries @ embeddings.embed_array(DOCUMENTS).T, expected, atol=tolerance)


def test_scores_of_the_reranker() -> None:
    reranker = QwenReranker(model="Qwen/Qwen3-Reranker-0.6B", dtype="float32")
    scores = reranker.score([(PLANET_QUERY, text) for text in PLANETS])
    assert scores == pytest.approx(PLANET_SCORES, abs=1e-3)


def test_logits_of_the_base_model() -> None:
    """transformers, tests/models/qwen3: the mean of the logits at eight positions."""
    loaded = load("Qwen/Qwen3-0.6B-Base", dtype="float32")
    ids = [1, 306, 4658, 278, 6593, 310, 2834, 338]
    hidden = torch.cat([forward(loaded.model, [Segment(ids[: end + 1])]) for end in range(len(ids))])
    means = loaded.model.get_output_embeddings()(hidden).mean(-1).tolist()
    expected = [-1.4577, 1.3261, 3.8498, 3.4229, 2.9009, 1.8813, 2.1530, 2.1431]
    assert means == pytest.approx(expected, abs=0.05)
