"""What the student is taught: the teacher's vectors of token strings, of words, and of sentences.

    python teach.py DATA MORE TOKENIZER OUT [--thai FILE] [--cldr FOLDER]

Writes ``lexicon.npz`` (strings and words of twenty languages) and ``sentences.npz`` (each language's own
sentences and questions, and the English side of parallel sets) into OUT: about two million of the teacher's
tokens, a quarter of an hour on one core.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from data import XQUAD_LANGUAGES, concepts, native, ntrex, word_counts
from more import parallel, running, thai_questions
from teacher import Teacher
from transformers import AutoTokenizer

COUNTS = {
    "en": 12_000,
    **dict.fromkeys(("ar", "el", "hi", "th", "tr", "vi"), 8_000),
    **dict.fromkeys(("de", "es", "ru", "zh"), 6_000),
    **dict.fromkeys(("ro", "ja", "ko", "fr", "it", "pt", "id"), 1_500),
    **dict.fromkeys(("nl", "pl", "uk", "fa", "he"), 600),
}
SENTENCES = {"en": 4000, "ar": 3000, "zh": 800, "zh-tw": 1500, "th": 1000, "ko": 500, "sw": 500}
QUESTIONS = {"en": 1500, "ar": 700, "zh": 200, "zh-tw": 700, "th": 500, "ko": 200, "sw": 200}
PARAGRAPHS = {"en": 1500, "ar": 400, "zh": 100, "zh-tw": 400, "th": 250}  # whole ones
RUNNING = 1500  # sentences of a language of XQuAD out of treebanks and language detectors


def pieces(text: str, language: str) -> list[str]:
    """Sentences of at most 220 characters; long Arabic and Thai ones end at commas and spaces too."""
    ends = {"ar": r"(?<=[.!?؟])\s+|(?<=[،؛])\s", "th": r"\s+"}
    found, held = [], ""
    for piece in re.split(ends.get(language, r"(?<=[.!?])\s+|(?<=[。！？])"), text):
        held = f"{held} {piece}".strip()
        if len(held) > 60 or language not in ends:
            found.append(held[:220])
            held = ""
    return [piece for piece in [*found, held[:220]] if len(piece) > 25]


def lexicon(folder: Path, options: argparse.Namespace, teacher: Teacher) -> None:
    rows = [(g, w) for g, n in COUNTS.items() for w, _ in word_counts(g, n, options.thai)]
    if options.cldr:
        for key, names in concepts(COUNTS, options.cldr).items():
            rows += [(g, n[0]) for g, n in names.items()] if key.startswith("thing ") else []
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    strings = [tokenizer.decode([i]).strip() or tokenizer.decode([i]) for i in range(len(tokenizer))]
    texts = sorted({*strings, *(w for _, w in rows)})
    print(len(texts), "strings", flush=True)
    vectors = teacher.encode(texts, query=True).astype(np.float16)
    place = {text: i for i, text in enumerate(texts)}
    np.savez(
        folder / "lexicon.npz",
        words=np.array([w for _, w in rows]),
        languages=np.array([g for g, _ in rows]),
        vectors=vectors[[place[w] for _, w in rows]],
        tokens=vectors[[place[s] for s in strings]],
    )


def sentences(folder: Path, options: argparse.Namespace, teacher: Teacher) -> None:
    rng = np.random.default_rng(5)

    def some(texts: list[str], count: int) -> list[str]:
        return [texts[i] for i in rng.permutation(len(texts))[:count]]

    paragraphs = {**native(options.data), "th": thai_questions(options.more)}
    own: dict[str, list[str]] = {}
    for language, count in SENTENCES.items():
        own[language] = some([s for p in paragraphs[language] for s in pieces(p.text, language)], count)
    for language, rows in running(options.more).items():
        if language in XQUAD_LANGUAGES:
            texts = [s for row in rows for s in pieces(row, language)]
            own[language] = own.get(language, []) + some(texts, RUNNING)
    for language, count in PARAGRAPHS.items():
        own[language] += some([p.text for p in paragraphs[language]], count)
    asked = {g: some([q for p in paragraphs[g] for q in p.questions], n) for g, n in QUESTIONS.items()}
    rows = [(g, t, False) for g, texts in own.items() for t in texts]
    rows += [(g, t, True) for g, texts in asked.items() for t in texts]
    sets = {"ntrex": ntrex(options.data)[0]["en"]}
    sets |= {name: by["en"] for name, by in parallel(options.more).items()}
    english = sorted({line for lines in sets.values() for line in lines})
    print(len(rows), "sentences,", len(english), "English lines", flush=True)
    place = {line: i for i, line in enumerate(english)}
    taught = teacher.encode(english).astype(np.float16)
    by_kind = [
        teacher.encode([t for _, t, asking in rows if asking == kind], query=kind) for kind in (False, True)
    ]
    np.savez(
        folder / "sentences.npz",
        texts=np.frombuffer("\0".join(t for _, t, _ in rows).encode(), np.uint8),
        languages=np.array([g for g, _, _ in rows]),
        vectors=np.concatenate(by_kind).astype(np.float16),
        **{f"parallel {name}": taught[[place[line] for line in lines]] for name, lines in sets.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("more", type=Path, help="folder of public repositories, see more.py")
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--thai", type=Path, help="word<TAB>count file of Thai words")
    parser.add_argument("--cldr", type=Path, help="annotations folder of cldr-annotations-full")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    teacher = Teacher()
    lexicon(options.out, options, teacher)
    sentences(options.out, options, teacher)


if __name__ == "__main__":
    main()
