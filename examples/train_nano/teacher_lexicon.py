"""The teacher's vectors of every token string and of the commonest words of twenty languages.

    python teacher_lexicon.py TOKENIZER lexicon.npz [--thai FILE] [--cldr FOLDER]

About 120,000 short strings: ten minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from data import XQUAD_LANGUAGES, concepts, word_counts
from teacher import Teacher
from transformers import AutoTokenizer

COUNTS = {
    "en": 12_000,
    **dict.fromkeys((g for g in XQUAD_LANGUAGES if g != "en"), 6_000),
    **dict.fromkeys(("ro", "ja", "ko", "fr", "it", "pt", "id"), 2_500),
    **dict.fromkeys(("nl", "pl", "uk", "fa", "he"), 1_200),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--thai", type=Path, help="word<TAB>count file of Thai words")
    parser.add_argument("--cldr", type=Path, help="annotations folder of cldr-annotations-full")
    options = parser.parse_args()
    rows = [(g, w) for g, n in COUNTS.items() for w, _ in word_counts(g, n, options.thai)]
    if options.cldr:
        for key, names in concepts(COUNTS, options.cldr).items():
            rows += [(g, n[0]) for g, n in names.items()] if key.startswith("thing ") else []
    teacher, tokenizer = Teacher(), AutoTokenizer.from_pretrained(options.tokenizer)
    strings = [tokenizer.decode([i]).strip() or tokenizer.decode([i]) for i in range(len(tokenizer))]
    texts = sorted({*strings, *(w for _, w in rows)})
    vectors = teacher.encode(texts, query=True, batch_tokens=2048).astype(np.float16)
    place = {text: i for i, text in enumerate(texts)}
    np.savez(
        options.out,
        words=np.array([w for _, w in rows]),
        languages=np.array([g for g, _ in rows]),
        vectors=vectors[[place[w] for _, w in rows]],
        tokens=vectors[[place[s] for s in strings]],
    )


if __name__ == "__main__":
    main()
