"""Readers for the public training data: one folder holds every set, given by the caller.

Expected folders: ``tydiqa_goldp_train``, ``drcd``, ``cmrc2018``, ``arcd`` (SQuAD-shaped JSON), ``ntrex128``
and ``tatoeba_laser`` (line-aligned text). ``xquad`` is read by the evaluation alone and never by a training
script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
XQUAD_LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
NTREX = {
    "ar": "arb",
    "bn": "ben",
    "de": "deu",
    "el": "ell",
    "en": "eng",
    "es": "spa",
    "fa": "fas",
    "fr": "fra",
    "he": "heb",
    "hi": "hin",
    "id": "ind",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "nl": "nld",
    "pl": "pol",
    "pt": "por",
    "ru": "rus",
    "sw": "swa",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "ur": "urd",
    "vi": "vie",
    "zh": "zho-CN",
    "zh-tw": "zho-TW",
}
TATOEBA = {
    "ar": "ara",
    "bn": "ben",
    "de": "deu",
    "el": "ell",
    "es": "spa",
    "fa": "pes",
    "fr": "fra",
    "he": "heb",
    "hi": "hin",
    "id": "ind",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "nl": "nld",
    "pl": "pol",
    "pt": "por",
    "ro": "ron",
    "ru": "rus",
    "sw": "swh",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "ur": "urd",
    "vi": "vie",
    "zh": "cmn",
}
NATIVE = {
    "en": "tydiqa_goldp_train/english.train.json",
    "ko": "tydiqa_goldp_train/korean.train.json",
    "sw": "tydiqa_goldp_train/swahili.train.json",
    "zh": "cmrc2018/cmrc2018_trial.json",
    "zh-tw": "drcd/DRCD_dev.json",
    "ar": "arcd/arcd-train.json",
}


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of an article with the questions it answers."""

    language: str
    article: int
    text: str
    questions: tuple[str, ...]


def squad(path: Path, language: str) -> list[Paragraph]:
    """Every paragraph of a SQuAD-shaped file, in the order of the file."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return [
        Paragraph(language, number, p["context"].strip(), tuple(q["question"].strip() for q in p["qas"]))
        for number, article in enumerate(articles)
        for p in article["paragraphs"]
    ]


def native(folder: Path) -> dict[str, list[Paragraph]]:
    """Question-answering paragraphs written in their own language (training data)."""
    return {language: squad(folder / name, language) for language, name in NATIVE.items()}


def xquad(folder: Path, language: str) -> list[Paragraph]:
    """The evaluation paragraphs: parallel, so paragraph i says the same in every language."""
    return squad(folder / "xquad" / f"xquad.{language}.json", language)


def ntrex(folder: Path) -> tuple[dict[str, list[str]], list[tuple[int, int]]]:
    """Parallel news lines by language, and the [start, end) lines of each document."""
    root = folder / "ntrex128"
    lines: dict[str, list[str]] = {}
    for language, code in NTREX.items():
        kind = "src" if code == "eng" else "ref"
        lines[language] = (root / f"newstest2019-{kind}.{code}.txt").read_text(encoding="utf-8").splitlines()
    names = (root / "DOCUMENT_IDS.tsv").read_text(encoding="utf-8").splitlines()
    starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    return lines, list(zip(starts, [*starts[1:], len(names)], strict=True))


def tatoeba(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(language, sentence, English sentence) of the languages this model is meant for."""
    root = folder / "tatoeba_laser"
    for language, code in TATOEBA.items():
        stem = root / f"tatoeba.{code}-eng"
        theirs = Path(f"{stem}.{code}").read_text(encoding="utf-8").splitlines()
        english = Path(f"{stem}.eng").read_text(encoding="utf-8").splitlines()
        for a, b in zip(theirs, english, strict=True):
            yield language, a.strip(), b.strip()


def word_counts(language: str, count: int, thai: Path | None = None) -> list[tuple[str, float]]:
    """The commonest words of a language with their share; Thai ones from a ``word<TAB>count`` file."""
    if language == "th":
        if thai is None:
            return []
        rows = [
            line.rsplit("\t", 1) for line in thai.read_text(encoding="utf-8").splitlines() if "\t" in line
        ]
        pairs = sorted(((w, float(c)) for w, c in rows), key=lambda p: -p[1])[:count]
        total = sum(c for _, c in pairs) or 1.0
        return [(w, c / total) for w, c in pairs]
    from wordfreq import available_languages, get_frequency_dict

    code = {"zh-tw": "zh"}.get(language, language)
    if code not in available_languages():
        return []
    words = get_frequency_dict(code, wordlist="best")
    return sorted(words.items(), key=lambda p: -p[1])[:count]


def concepts(languages: Iterable[str], cldr: Path | None = None) -> dict[str, dict[str, list[str]]]:
    """Names of the same things in many languages: key -> language -> names.

    Countries, languages, currencies, scripts, cities, months and days come from ``babel``; with the
    ``annotations`` folder of the npm package ``cldr-annotations-full`` also the names and keywords of two
    thousand everyday things.
    """
    from babel import Locale

    found: dict[str, dict[str, list[str]]] = {}
    for language in languages:
        names: dict[str, list[str]] = {}
        path = cldr / {"zh-tw": "zh-Hant"}.get(language, language) / "annotations.json" if cldr else None
        if path and path.exists():
            entries = json.loads(path.read_text(encoding="utf-8"))["annotations"]["annotations"]
            names |= {
                f"thing {key}": [*v.get("tts", [])[:1], *v.get("default", [])] for key, v in entries.items()
            }
        locale = Locale.parse({"zh-tw": "zh_Hant", "zh": "zh_Hans"}.get(language, language))
        for kind in ("territories", "languages", "currencies", "scripts"):
            names |= {f"{kind} {key}": [name] for key, name in getattr(locale, kind).items()}
        names |= {f"city {key}": [zone["city"]] for key, zone in locale.time_zones.items() if "city" in zone}
        names |= {f"month {key}": [name] for key, name in locale.months["format"]["wide"].items()}
        names |= {f"day {key}": [name] for key, name in locale.days["format"]["wide"].items()}
        for key, values in names.items():
            found.setdefault(key, {})[language] = values
    return found
