"""Endless training pairs of token ids: (query, document) batches drawn from the readers of ``data.py``.

Crops never run out: a short span of a paragraph asks for the rest of it.  Parallel lines give the same
across languages, and the question-answering sets give real questions.  Every batch holds one kind of pair,
so that its negatives are of that kind too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from data import XQUAD_LANGUAGES, concepts, native, ntrex, tatoeba
from transformers import PreTrainedTokenizerBase

Tokens = np.ndarray
Batch = tuple[list[Tokens], list[Tokens]]
UNSPACED = ("zh", "zh-tw", "ja", "th")
SECOND = ["ja", "ko", "fr", "it", "pt", "id"]
REST = ["nl", "pl", "uk", "fa", "he", "sw", "ur", "bn", "zh-tw"]
LANGUAGES = [*XQUAD_LANGUAGES] * 3 + SECOND * 2 + REST
NATIVE_DRAW = ["en", "en", "zh-tw", "ko", "sw", "ar", "zh"]
# Arabic to English was the weakest pair: ask for it more often.
ASKING = [*LANGUAGES, *["ar"] * 9]


def spaced(language: str, text: str) -> str:
    """A text as it stands inside a sentence: most tokens of a vocabulary begin with their space."""
    return text if language in UNSPACED else " " + text


class Pairs:
    """Draws batches; ``seed`` makes a run repeatable."""

    def __init__(
        self, folder: Path, tokenizer: PreTrainedTokenizerBase, cldr: Path | None = None, seed: int = 1
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.tokenizer = tokenizer
        self.native = {g: [p for p in ps if p.questions] for g, ps in native(folder).items()}
        self.paragraphs = {g: self.encode([p.text for p in ps]) for g, ps in self.native.items()}
        self.questions = {g: [self.encode(p.questions) for p in ps] for g, ps in self.native.items()}
        lines, documents = ntrex(folder)
        self.lines = {g: self.encode([spaced(g, row) for row in rows]) for g, rows in lines.items()}
        self.windows = [
            (i, min(i + 4, end))
            for start, end in documents
            for i in range(start, end, 4)
            if min(i + 4, end) - i > 1
        ]
        sentences: dict[str, tuple[list[str], list[str]]] = {}
        for g, theirs, english in tatoeba(folder):
            sentences.setdefault(g, ([], []))[0].append(theirs)
            sentences[g][1].append(english)
        self.sentences = {
            g: (self.encode(a), self.encode(b)) for g, (a, b) in sentences.items() if len(a) > 300
        }
        named = concepts(sorted({*XQUAD_LANGUAGES, *SECOND, "ro", "nl", "pl", "uk", "fa"}), cldr)
        self.concepts = [
            {g: self.encode([spaced(g, n) for n in names]) for g, names in by.items()}
            for by in named.values()
            if "en" in by and len(by) > 8
        ]

    def encode(self, texts: list[str] | tuple[str, ...]) -> list[Tokens]:
        """Token ids without special tokens."""
        if not texts:
            return []
        return [
            np.array(row, np.int64)
            for row in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        ]

    def crop(self, tokens: Tokens, longest: int = 26) -> tuple[Tokens, Tokens]:
        """A span of a text and, mostly, the text without it."""
        length = min(len(tokens) // 2, int(self.rng.integers(5, longest)))
        if length < 3:
            return tokens, tokens
        start = int(self.rng.integers(0, len(tokens) - length + 1))
        rest = np.concatenate([tokens[:start], tokens[start + length :]])
        return tokens[start : start + length], rest if self.rng.random() < 0.7 else tokens

    def drop(self, tokens: Tokens, most: float) -> Tokens:
        """A text without a random share of its tokens: no single token may be relied on."""
        kept = tokens[self.rng.random(len(tokens)) >= most * self.rng.random()]
        return kept if len(tokens) > 2 and len(kept) else tokens

    def window(self, tokens: Tokens, longest: int = 260) -> Tokens:
        """At most ``longest`` tokens of a text, from anywhere in it."""
        start = int(self.rng.integers(0, max(1, len(tokens) - longest + 1)))
        return tokens[start : start + longest]

    def native_crops(self, count: int) -> Batch:
        """Spans of encyclopedia paragraphs against the rest of them."""
        texts = self.paragraphs[self.rng.choice(NATIVE_DRAW)]
        made = [self.crop(texts[i]) for i in self.rng.permutation(len(texts))[:count]]
        return [q for q, _ in made], [self.window(d) for _, d in made]

    def native_questions(self, count: int) -> Batch:
        """Questions against their paragraphs."""
        g = self.rng.choice(NATIVE_DRAW)
        chosen = self.rng.permutation(len(self.paragraphs[g]))[:count]
        asked = [self.questions[g][i][int(self.rng.integers(len(self.questions[g][i])))] for i in chosen]
        return asked, [self.window(self.paragraphs[g][i]) for i in chosen]

    def news_crops(self, count: int) -> Batch:
        """Spans of news in one language against the rest of their window."""
        rows = self.lines[self.rng.choice(LANGUAGES)]
        picked = [self.windows[i] for i in self.rng.permutation(len(self.windows))[:count]]
        made = [
            self.crop(np.concatenate(rows[max(0, a - int(self.rng.integers(0, 2))) : b])) for a, b in picked
        ]
        return [q for q, _ in made], [self.window(d) for _, d in made]

    def news_across(self, count: int) -> Batch:
        """A line in one language against its window in another; every pair has languages of its own."""
        queries, documents = [], []
        for start, end in (self.windows[i] for i in self.rng.permutation(len(self.windows))[:count]):
            a, b = self.rng.choice(ASKING), "en" if self.rng.random() < 0.6 else self.rng.choice(LANGUAGES)
            if self.rng.random() < 0.3:
                a, b = b, a
            line = int(self.rng.integers(start, end))
            query = self.lines[a][line]
            queries.append(self.crop(query)[0] if self.rng.random() < 0.5 else query)
            rows = self.lines[b]
            documents.append(
                rows[line] if self.rng.random() < 0.3 else self.window(np.concatenate(rows[start:end]))
            )
        return queries, documents

    def names_across(self, count: int) -> Batch:
        """The same thing named in two languages."""
        queries, documents = [], []
        for i in self.rng.permutation(len(self.concepts))[:count]:
            names = self.concepts[i]
            known = [g for g in names if g != "en"]
            a, b = ("ar" if "ar" in names and self.rng.random() < 0.15 else self.rng.choice(known)), "en"
            if self.rng.random() < 0.4:
                b = self.rng.choice(known)
            if a != b:
                first = self.rng.random() < 0.5  # the name alone, or with its keywords
                queries.append(names[a][0] if first else np.concatenate(names[a]))
                documents.append(names[b][0] if first else np.concatenate(names[b]))
        return queries, documents

    def sentences_across(self, count: int) -> Batch:
        """Short parallel sentences."""
        a, b = self.sentences[self.rng.choice([*self.sentences, *["ar"] * 5])]
        chosen = self.rng.permutation(len(a))[:count]
        return [a[i] for i in chosen], [b[i] for i in chosen]

    def batch(self, count: int = 768) -> Batch:
        """A batch of one kind, the kinds in fixed proportion."""
        kinds = (
            self.native_crops,
            self.news_crops,
            self.news_across,
            self.names_across,
            self.native_questions,
            self.sentences_across,
        )
        return kinds[self.rng.choice(6, p=[0.10, 0.18, 0.36, 0.14, 0.12, 0.10])](count)
