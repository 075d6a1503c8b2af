"""Passages and native questions for the nano-chat training, read from a folder of public data sets.

Every passage carries a language and a document key. The key decides whether the passage is trained on or held
back, so that no two pieces of one document fall on different sides.
"""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# NTREX file codes -> the short code used everywhere else. Order: the languages that matter most come first.
NTREX = {
    "eng": "en", "arb": "ar", "zho-CN": "zh", "zho-TW": "zh", "deu": "de", "spa": "es",
    "rus": "ru", "hin": "hi", "tha": "th", "tur": "tr", "vie": "vi", "ell": "el", "fra": "fr", "jpn": "ja",
    "kor": "ko", "por": "pt", "ita": "it",
    "ind": "id", "fas": "fa",
}  # fmt: skip
TATOEBA = {
    "ara": "ar", "cmn": "zh", "deu": "de", "spa": "es", "rus": "ru", "hin": "hi",
    "tha": "th", "tur": "tr", "vie": "vi",
    "ell": "el", "fra": "fr", "jpn": "ja",
    "kor": "ko", "por": "pt", "ita": "it", "ind": "id",
}  # fmt: skip

# A sentence ends after a CJK mark, after a western mark followed by a space, or at a line break.
_BREAK = re.compile(
    r"(?<=[。！？])(?=[^」』”’）)\s])|(?<=[.!?؟۔।…])\s+(?=\S)|(?<=[.!?؟۔।][\"”»)])\s+(?=\S)|\n+"
)
_NOT_AN_END = re.compile(
    r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|No|vs|etc|e\.g|i\.e|Jr|Sr|Prof|Gen|ca|c|U\.S|bzw|z\.B|v)|\d{1,2})\.$"
)


@dataclass
class Passage:
    """A paragraph of one language, with the questions people wrote for it."""

    lang: str
    key: str
    text: str
    questions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def held_back(self) -> bool:
        """True for about one document in ten, whatever the order of reading."""
        return zlib.crc32(self.key.encode()) % 10 == 0


def sentences(text: str) -> list[str]:
    """Cuts a passage into its sentences; every piece is a verbatim part of the passage."""
    out: list[str] = []
    start = 0
    for match in _BREAK.finditer(text):
        piece = text[start : match.start()]
        if "\n" not in match.group() and _NOT_AN_END.search(piece):
            continue
        if piece.strip():
            out.append(piece.strip())
        start = match.end()
    if text[start:].strip():
        out.append(text[start:].strip())
    return out


def clean(text: str) -> str:
    """Drops footnote marks and markup: a stray `[3]` in a passage would look like the marker of a passage."""
    text = re.sub(r"<[^>]{1,20}>", "", text)
    text = re.sub(r"\[\d+\](?::\d+)?", "", text)
    return re.sub(r"[ \t\u00a0]+", " ", text).strip()


def _squad(path: Path, lang: str) -> Iterator[Passage]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for index, paragraph in enumerate(article["paragraphs"]):
            key = f"{lang}/{article.get('title') or paragraph.get('id') or index}"
            pairs = [
                (clean(q["question"]), clean(q["answers"][0]["text"]))
                for q in paragraph["qas"]
                if q["answers"]
            ]
            yield Passage(lang, key, clean(paragraph["context"]), pairs)


def _ntrex(folder: Path, wanted: set[str]) -> Iterator[Passage]:
    with (folder / "DOCUMENT_IDS.tsv").open(encoding="utf-8") as handle:
        documents = [row[0] for row in csv.reader(handle, delimiter="\t")]
    for code, lang in NTREX.items():
        if lang not in wanted:
            continue
        kind = "src" if code == "eng" else "ref"
        lines = (folder / f"newstest2019-{kind}.{code}.txt").read_text(encoding="utf-8").splitlines()
        documents = documents[-len(lines) :]
        # Thai writes no full stop: a line break keeps its sentences apart.
        joiner = "\n" if lang == "th" else "" if lang in ("zh", "ja") else " "
        block: list[str] = []
        for i, line in enumerate(lines):
            block.append(clean(line))
            last = i + 1 == len(lines) or documents[i + 1] != documents[i]
            if len(block) >= 3 + i % 4 or last:
                if len(block) > 1:
                    # The key leaves the language out: a translation of a held-back document is held back too.
                    yield Passage(lang, f"ntrex/{documents[i]}", joiner.join(block))
                block = []


def passages(data: Path, wanted: set[str] | None = None) -> list[Passage]:
    """All passages of the data folder, in a fixed order."""
    wanted = wanted or set(NTREX.values()) | {"sw"}
    squads = [
        ("tydiqa_goldp_train/english.train.json", "en"),
        ("tydiqa_goldp_train/korean.train.json", "ko"),
        ("tydiqa_goldp_train/swahili.train.json", "sw"),
        ("arcd/arcd-train.json", "ar"),
        ("cmrc2018/cmrc2018_trial.json", "zh"),
        ("drcd/DRCD_dev.json", "zh"),
    ]
    out = [p for name, lang in squads if lang in wanted for p in _squad(data / name, lang)]
    out += _ntrex(data / "ntrex128", wanted)
    return [p for p in out if len(p.text) > 60]


def short_sentences(data: Path) -> Iterator[tuple[str, str]]:
    """(language, sentence) pairs of everyday language."""
    for code, lang in TATOEBA.items():
        for side, name in ((code, lang), ("eng", "en")):
            path = data / "tatoeba_laser" / f"tatoeba.{code}-eng.{side}"
            if path.exists():
                for line in path.read_text(encoding="utf-8").splitlines():
                    yield name, line
