"""BM25 sparse vectors, computed here so that every back end searches in the same way.

Knows terms (`qwen_agentkit.text.terms`) and their weights, and nothing of the collection: the store
multiplies by the inverse document frequency (Qdrant's ``Modifier.IDF``). Words that say little, such as "how"
and "of", weigh a tenth in a query.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from qwen_agentkit.text.terms import SIMPLE, Terms, count_terms, find_terms, term_index

__all__ = ["LARGEST_TERM", "query_mass", "sparse_document", "sparse_query"]

K1 = 1.2
"""BM25 term saturation: a lower value makes repetitions count less."""
B = 0.75
"""BM25 length normalization, 0 to 1."""
AVERAGE_LENGTH = 200
"""Terms in a typical chunk of 320 tokens. A constant, so that new documents change no stored vector."""
LARGEST_TERM = K1 + 1
"""What the value of a term in a passage approaches when it is repeated without end."""

# Words of these scripts have about five characters, those of Han and Hangul about two.
_LONG_PAIRED = re.compile("[\u0e01-\u0eff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3]")
_LONG_PAIR = 0.4
PARTS = 0.3
"""The weight of what a word of a query has in common with longer words."""
SPELLING = 0.05
"""The weight of another spelling of a word: it decides only where the word itself is nowhere."""


def sparse_document(text: str, language: str) -> tuple[list[int], list[float]]:
    """Return the sparse vector of a passage.

    Args:
        text: The passage.
        language: Its language, an ISO 639-1 code.

    Returns:
        Ascending 32-bit term indices, and as many saturated term frequencies (BM25, without the IDF).
    """
    counts, length = count_terms(text, language)
    discount = K1 * (1 - B + B * length / AVERAGE_LENGTH)
    saturated = {tf: tf * (K1 + 1) / (tf + discount) for tf in set(counts.values())}
    indices = sorted(counts)
    return indices, [saturated[counts[index]] for index in indices]


def sparse_query(text: str, language: str) -> tuple[list[int], list[float]]:
    """Return the sparse vector of a query.

    A word has a weight of 2: 1 for its plain form and 1 shared by its stems or n-grams and by its parts, so
    that long words of languages without a stemmer do not outweigh the others. Other spellings add 0.05 each.
    A pair of characters has a weight of 1. Stop words have a tenth.

    Args:
        text: The query.
        language: Its language, an ISO 639-1 code. It may differ from the documents'.

    Returns:
        Ascending 32-bit term indices, and as many weights.
    """
    weights: defaultdict[str, float] = defaultdict(float)
    for word in find_terms(text, language):
        for term, share in _query_terms(word):
            weights[term] += share * word.weight
    # Two terms may share an index, and Qdrant refuses repeated ones.
    sums: defaultdict[int, float] = defaultdict(float)
    for index, weight in sorted((term_index(term), weight) for term, weight in weights.items()):
        sums[index] += weight
    return list(sums), list(sums.values())


def query_mass(text: str, language: str) -> float:
    """Return what the words of a query weigh together: about 2 a word, a tenth of it for stop words.

    In scripts such as Thai a pair of characters counts 0.4: a word has more of them than in Chinese, and each
    is more common. Arguments as in `sparse_query`.
    """
    return sum(word.weight * _mass(word) for word in find_terms(text, language))


def _mass(word: Terms) -> float:
    if _LONG_PAIRED.match(word.plain):
        return _LONG_PAIR
    return 2.0 if word.forms else float(bool(word.plain))


def _query_terms(word: Terms) -> Iterator[tuple[str, float]]:
    """Yield the terms of a word of a query, and the share of its weight that each has."""
    if word.plain:
        yield word.plain, 1.0
        yield SIMPLE + (word.simple or word.plain), SPELLING
    if word.simple:
        yield word.simple, SPELLING
    for term in word.forms:
        yield term, (1 - (PARTS if word.parts else 0)) / len(word.forms)
    for term in word.parts:
        yield term, PARTS / len(word.parts)
    for term in word.spellings:
        yield term, SPELLING
