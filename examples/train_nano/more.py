"""Readers for public text beside the QA sets: parallel and running sentences, and a dictionary of senses.

One folder holds clones of public repositories by their own names, and ``wordnet``, the database files of
WordNet 3.0 (Debian's package ``wordnet-base`` holds them). What is absent is left out; this counts the rest:

    python more.py MORE
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from data import Paragraph

PUD = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
    "th": "Thai",
    "tr": "Turkish",
    "zh-tw": "Chinese",
}
TREEBANKS = {
    "de": "UD_German-GSD",
    "es": "UD_Spanish-GSD",
    "ru": "UD_Russian-GSD",
    "tr": "UD_Turkish-BOUN",
    "vi": "UD_Vietnamese-VTB",
    "zh": "UD_Chinese-GSDSimp",
}
TICO = {
    "es": "es-419",
    "fr": "fr",
    "hi": "hi",
    "id": "id",
    "pt": "pt-BR",
    "ru": "ru",
    "ur": "ur",
    "zh": "zh",
}
MANUALS = {
    **{g: g for g in ("de", "el", "es", "fr", "hi", "id", "it", "ja", "ko", "pt", "ru", "tr", "vi")},
    "zh": "zh-CN",
    "zh-tw": "zh-TW",
}
STS = ("de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru", "zh")
# Wordnets of each language: the code of Wiktionary's and CLDR's, then one of its own.
WORDNETS = {
    "ar": ("arb", "arb"),
    "de": ("deu", None),
    "el": ("ell", "ell"),
    "es": ("spa", None),
    "fa": ("fas", "fas"),
    "fr": ("fra", "fra"),
    "he": ("heb", "heb"),
    "hi": ("hin", None),
    "id": ("ind", "msa"),
    "it": ("ita", "ita"),
    "ja": ("jpn", None),
    "ko": ("kor", None),
    "nl": ("nld", "nld"),
    "pl": ("pol", "pol"),
    "pt": ("por", "por"),
    "ro": ("ron", None),
    "ru": ("rus", None),
    "th": ("tha", None),
    "tr": ("tur", None),
    "uk": ("ukr", None),
    "vi": ("vie", None),
    "zh": ("cmn", "cow"),
}
LINGUA = "lingua/src/accuracyReport/resources/language-testdata/sentences"


def parallel(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Aligned sentences: set -> language -> lines. Every set has English; line i says the same in each."""
    found: dict[str, dict[str, list[str]]] = {}
    for language, name in PUD.items():
        for path in (folder / f"UD_{name}-PUD").glob("*-test.conllu"):
            found.setdefault("pud", {})[language] = sentences(path)
    for language, code in TICO.items():
        path = folder / f"tico-19.github.io/data/TM/all.en-{code}.tmx"
        if path.exists():
            english, theirs = translations(path)
            found[f"tico {language}"] = {"en": english, language: theirs}
    for language in STS:
        path = folder / f"stsb-multi-mt/data/stsb-{language}-train.csv"
        if path.exists():
            rows = csv.reader(path.open(encoding="utf-8", newline=""))
            found.setdefault("sts", {})[language] = [text.strip() for row in rows for text in row[:2]]
    return {
        name: by
        for name, by in found.items()
        if "en" in by and len({len(lines) for lines in by.values()}) == 1 and len(by) > 1
    }


def running(folder: Path) -> dict[str, list[str]]:
    """Sentences of one language each, in no order."""
    found: dict[str, list[str]] = {}
    for language, name in TREEBANKS.items():
        for path in sorted((folder / name).glob("*.conllu")):
            found.setdefault(language, []).extend(sentences(path))
    for path in sorted((folder / LINGUA).glob("*.txt")):
        if path.stem in WORDNETS or path.stem in {"en", "bn", "sw", "ur"}:
            found.setdefault(path.stem, []).extend(path.read_text(encoding="utf-8").splitlines())
    return found


def thai_questions(folder: Path) -> list[Paragraph]:
    """Thai Wikipedia with questions, cut into pieces of about 600 characters around each answer."""
    path = folder / "iapp-wiki-qa-dataset/squad_format/data/test.jsonl"
    if not path.exists():
        return []
    asked: dict[tuple[int, str], list[str]] = {}
    numbers: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        context, question = row["context"], row["question"].strip()
        answers = row["answers"]
        starts = answers.get("answer_start") or answers.get("answer_begin_position") or [0]
        start = int(starts[0]) // 600 * 600
        number = numbers.setdefault(row["article_id"], len(numbers))
        asked.setdefault((number, context[start : start + 600].strip()), []).append(question)
    return [Paragraph("th", number, text, tuple(questions)) for (number, text), questions in asked.items()]


def senses(folder: Path) -> list[dict[str, list[str]]]:
    """Names of one sense by language; under ``gloss`` its English definition."""
    found: dict[str, dict[str, list[str]]] = {}
    for kind in ("noun", "verb", "adj", "adv"):
        path = folder / "wordnet" / f"data.{kind}"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            if line.startswith(" "):
                continue
            fields, _, gloss = line.partition(" | ")
            parts = fields.split()
            names = [re.sub(r"\(\w+\)$", "", parts[4 + 2 * i]) for i in range(int(parts[3], 16))]
            key = f"{parts[0]}-{'a' if parts[2] == 's' else parts[2]}"
            found[key] = {"en": [n.replace("_", " ") for n in names], "gloss": [gloss.strip()]}
    root = folder / "omw-data/wns"
    for language, (code, own) in WORDNETS.items():
        own_code = {"msa": "ind", "cow": "cmn"}.get(own or "", own)
        paths = [root / f"wikt/wn-wikt-{code}.tab", root / f"cldr/wn-cldr-{code}.tab"]
        paths += [root / f"{own}/wn-data-{own_code}.tab"] if own else []
        for path in paths:
            for key, name in lemmas(path):
                if key in found and name not in found[key].setdefault(language, []):
                    found[key][language].append(name)
    return [by for by in found.values() if len(by) > 2]


def manuals(folder: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Paragraphs of LibreOffice's help: language -> its paragraphs and the English ones."""
    root = folder / "libreoffice-help"
    english = paragraphs(root / "en-US")
    found = {}
    for language, name in MANUALS.items():
        theirs = paragraphs(root / name) if english else {}
        both = [(theirs[key], text) for key, text in english.items() if theirs.get(key, text) != text]
        both = list(dict.fromkeys(both))
        if both:
            found[language] = ([a for a, _ in both], [b for _, b in both])
    return found


def paragraphs(folder: Path) -> dict[tuple[str, str], str]:
    """(Page, id) -> text of every paragraph of 20 to 300 characters."""
    found = {}
    for path in sorted((folder / "text").rglob("*.html")):
        page = str(path.relative_to(folder))
        for key, marked in re.findall(r'<p[^>]*id="(\w+)"[^>]*>(.*?)</p>', path.read_text(encoding="utf-8")):
            text = " ".join(html.unescape(re.sub("<[^>]+>", "", marked)).split())
            if 20 <= len(text) <= 300:
                found[page, key] = text
    return found


def lemmas(path: Path) -> Iterator[tuple[str, str]]:
    """(synset, name) of an Open Multilingual Wordnet table."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        parts = line.split("\t")
        if len(parts) >= 3 and (parts[1] == "lemma" or parts[1].endswith(":lemma")):
            # Arabic headwords are written with vowel marks, which running text leaves out.
            name = re.sub("[\u064b-\u0652\u0670]", "", parts[2]).replace("_", " ").replace("+", "").strip()
            key = parts[0][:-1] + "a" if parts[0].endswith("-s") else parts[0]
            if name:
                yield key, name


def sentences(path: Path) -> list[str]:
    """The texts of a treebank file, in its order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# text = ").strip() for line in lines if line.startswith("# text = ")]


def translations(path: Path) -> tuple[list[str], list[str]]:
    """The English and the other side of a translation memory."""
    pairs = []
    for unit in ElementTree.parse(path).getroot().iter("tu"):
        texts = ["".join(seg.itertext()).strip() for seg in unit.iter("seg")]
        if len(texts) == 2 and all(texts):
            pairs.append(texts)
    return [a for a, _ in pairs], [b for _, b in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("more", type=Path)
    folder = parser.parse_args().more
    for name, by in parallel(folder).items():
        print(f"parallel {name}: {len(by['en'])} lines in {' '.join(by)}")
    for language, (rows, _) in manuals(folder).items():
        print(f"manual {language}: {len(rows)} paragraphs")
    for language, rows in running(folder).items():
        print(f"running {language}: {len(rows)} sentences, {sum(map(len, rows))} characters")
    print("Thai paragraphs:", len(thai_questions(folder)))
    found = senses(folder)
    counts = {g: sum(g in by for by in found) for g in WORDNETS}
    print(f"senses: {len(found)}", counts)


if __name__ == "__main__":
    main()
