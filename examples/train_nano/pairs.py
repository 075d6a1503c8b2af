"""Endless training pairs of token ids: (query, document) batches drawn from the readers of ``data.py``.

Crops never run out: a short span of a paragraph asks for the rest of it.  Parallel lines give the same
across languages, the question-answering sets give real questions, and a dictionary of senses names the same
in twenty languages.  Every batch holds one kind of pair, so that its negatives are of that kind too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from data import XQUAD_LANGUAGES, concepts, native, ntrex, tatoeba
from more import manuals, parallel, senses, thai_questions
from transformers import PreTrainedTokenizerBase

Tokens = np.ndarray
Batch = tuple[list[Tokens], list[Tokens]]
UNSPACED = ("zh", "zh-tw", "ja", "th")
SECOND = ["ja", "ko", "fr", "it", "pt", "id"]
REST = ["nl", "pl", "uk", "fa", "he", "sw", "ur", "bn", "zh-tw"]
LANGUAGES = [*XQUAD_LANGUAGES] * 3 + SECOND * 2 + REST
NATIVE_DRAW = ["en", "en", "en", "zh-tw", "ko", "sw", "ar", "ar", "zh", "th"]
# The languages farthest from English were the weakest: ask for them more often.
FAR = ["ar", "hi", "th", "ru", "el", "tr", "vi"]
ASKING = [*LANGUAGES, *FAR * 3]


def spaced(language: str, text: str) -> str:
    """A text as it stands inside a sentence: most tokens of a vocabulary begin with their space."""
    return text if language in UNSPACED else " " + text


class Pairs:
    """Draws batches; ``seed`` makes a run repeatable."""

    def __init__(
        self,
        folder: Path,
        more: Path,
        tokenizer: PreTrainedTokenizerBase,
        cldr: Path | None = None,
        seed: int = 1,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.tokenizer = tokenizer
        paragraphs = {**native(folder), "th": thai_questions(more)}
        self.native = {g: [p for p in ps if p.questions] for g, ps in paragraphs.items()}
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
        for by in parallel(more).values():
            for g in by.keys() - {"en"}:
                sentences.setdefault(g, ([], []))[0].extend(by[g])
                sentences[g][1].extend(by["en"])
        self.sentences = {
            g: (self.encode([spaced(g, t) for t in a]), self.encode([spaced("en", t) for t in b]))
            for g, (a, b) in sentences.items()
            if len(a) > 300
        }
        self.manuals = {g: (self.encode(a), self.encode(b)) for g, (a, b) in manuals(more).items()}
        named = concepts(sorted({*XQUAD_LANGUAGES, *SECOND, "ro", "nl", "pl", "uk", "fa"}), cldr)
        shared = [by for by in named.values() if "en" in by and len(by) > 8]
        flat = sorted({spaced(g, name) for by in shared for g, names in by.items() for name in names})
        coded = dict(zip(flat, self.encode(flat), strict=True))
        self.concepts = [
            {g: [coded[spaced(g, name)] for name in names] for g, names in by.items()} for by in shared
        ]
        self.senses = self.by_language(senses(more))

    def encode(self, texts: list[str] | tuple[str, ...]) -> list[Tokens]:
        """Token ids without special tokens."""
        if not texts:
            return []
        return [
            np.array(row, np.int64)
            for row in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        ]

    def by_language(
        self, found: list[dict[str, list[str]]]
    ) -> dict[str, list[tuple[Tokens, Tokens, Tokens]]]:
        """Language -> (its names of a sense, English names, English definition)."""
        english = self.encode([" " + ", ".join(by["en"]) for by in found])
        gloss = self.encode([" " + by["gloss"][0] for by in found])
        rows: dict[str, list[tuple[Tokens, Tokens, Tokens]]] = {}
        for language in sorted({g for by in found for g in by} - {"en", "gloss"}):
            chosen = [i for i, by in enumerate(found) if language in by]
            names = self.encode([spaced(language, ", ".join(found[i][language][:4])) for i in chosen])
            rows[language] = [(a, english[i], gloss[i]) for a, i in zip(names, chosen, strict=True)]
        rows["en"] = [(a, a, b) for a, b in zip(english, gloss, strict=True)]
        return rows

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
        """Parallel sentences, each pair of a language of its own."""
        return self._across(self.sentences, [*self.sentences, *FAR * 3], count)

    def manuals_across(self, count: int) -> Batch:
        """Parallel paragraphs of a manual."""
        return self._across(self.manuals, [*self.manuals], count)

    def _across(
        self, source: dict[str, tuple[list[Tokens], list[Tokens]]], languages: list[str], count: int
    ) -> Batch:
        queries, documents = [], []
        for g in self.rng.choice(languages, count):
            theirs, english = source[g]
            i = int(self.rng.integers(len(theirs)))
            queries.append(theirs[i])
            documents.append(english[i])
        return queries, documents

    def senses_across(self, count: int) -> Batch:
        """The names of a sense in some language against the English ones, the definition, or both."""
        queries, documents = [], []
        for g in self.rng.choice([*self.senses, *FAR * 3, "de", "es", "zh"], count):
            rows, draw = self.senses[g], self.rng.random()
            names, english, gloss = rows[int(self.rng.integers(len(rows)))]
            queries.append(names)
            by_gloss = draw < 0.25 or g == "en"
            documents.append(
                gloss if by_gloss else english if draw < 0.65 else np.concatenate([english, gloss])
            )
        return queries, documents

    def batch(self, count: int = 512) -> Batch:
        """A batch of one kind, the kinds in fixed proportion."""
        kinds = (
            (self.native_crops, 0.12, count),
            (self.news_crops, 0.14, count),
            (self.news_across, 0.22, count),
            (self.names_across, 0.06, 2 * count),
            (self.native_questions, 0.14, count),
            (self.sentences_across, 0.12, 2 * count),
            (self.manuals_across, 0.06, count),
            (self.senses_across, 0.14, 2 * count),
        )
        draw, size = kinds[self.rng.choice(len(kinds), p=[share for _, share, _ in kinds])][::2]
        return draw(size)
