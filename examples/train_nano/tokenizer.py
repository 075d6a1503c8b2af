"""Train the small tokenizer: all of Qwen3's but the vocabulary, which is balanced by language.

Usage: python tokenizer.py DATA MORE OUT --size 46000 [--thai FILE]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from data import NTREX, XQUAD_LANGUAGES, native, ntrex, tatoeba, word_counts
from more import parallel, running, senses, thai_questions
from tokenizers import Tokenizer

# Characters of training text a language may bring: the vocabulary is shared out by it.
FIRST, SECOND, THIRD = 1.0, 0.6, 0.2
SECOND_LANGUAGES = ("ro", "ja", "ko", "fr", "it", "pt", "id")
WORDS, MASS = 60_000, 120_000
# Words of the prompts become single tokens, so that a model can tell the parts of a prompt apart. They
# replace the last merges.
PROTOCOL = ("assistant", "Document", "Instruct", "Query")


def share(language: str) -> float:
    """How much of the vocabulary a language is meant to have."""
    if language == "en":
        return 2.0
    return FIRST if language in XQUAD_LANGUAGES else SECOND if language in SECOND_LANGUAGES else THIRD


def corpus(folder: Path, more: Path, thai: Path | None) -> Iterator[str]:
    """Running text plus frequency-weighted words of every language, in proportion to its share."""
    lines, _ = ntrex(folder)
    texts = {language: list(rows) for language, rows in lines.items()}
    for language, theirs, english in tatoeba(folder):
        texts.setdefault(language, []).append(theirs)
        texts["en"].append(english)
    for language, paragraphs in native(folder).items():
        texts[language] += [p.text for p in paragraphs[:1000]]
    texts["th"] += [p.text for p in thai_questions(more)]
    for by in (*parallel(more).values(), running(more), *senses(more)):
        for language, rows in by.items():
            texts.setdefault(language, []).extend(rows)
    rng = random.Random(0)
    for language in (*NTREX, "ro"):
        part = share(language)
        words = word_counts(language, WORDS, thai)
        if words:
            # Powers below one flatten Zipf's law, so that middling words get tokens of their own.
            scale = part * MASS / sum(f**0.6 for _, f in words)
            for word, frequency in words:
                times = frequency**0.6 * scale
                count = int(times) + (rng.random() < times % 1)
                if count:
                    forms = (
                        [" " + word, " " + word, " " + word.capitalize()]
                        if word.isascii() or word != word.upper()
                        else [word, " " + word]
                    )
                    yield "".join(forms[i % len(forms)] + "\n" for i in range(count))
        rows = texts.get(language, [])
        rng.shuffle(rows)
        budget = int(part * 800_000)
        for row in rows:
            if budget <= 0:
                break
            budget -= len(row.encode()) // 2
            yield row
    yield from ["yes no Yes No query Query Instruct"] * 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("more", type=Path, help="folder of public repositories, see more.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=46_000)
    parser.add_argument("--thai", type=Path, help="word<TAB>count file of Thai words")
    options = parser.parse_args()
    from transformers import AutoTokenizer

    base = AutoTokenizer.from_pretrained(options.data / "qwen3_tokenizer")
    extra = len(base.get_added_vocab())
    small = base.train_new_from_iterator(
        corpus(options.data, options.more, options.thai), options.size - extra
    )
    small.chat_template = None
    small.save_pretrained(options.out)
    compact(options.out)
    print(
        len(small),
        "tokens",
        small.convert_ids_to_tokens(small(" photosynthesis in Deutschland")["input_ids"]),
    )


def compact(folder: Path) -> None:
    """Rewrite tokenizer.json with the protocol's words, without white space."""
    path = folder / "tokenizer.json"
    backend = Tokenizer.from_file(str(path))
    spec = json.loads(path.read_text(encoding="utf-8"))
    merges = [" ".join(m) if isinstance(m, list) else m for m in spec["model"]["merges"]]
    vocabulary, added = spec["model"]["vocab"], []
    for word in PROTOCOL:
        pieces = backend.encode(word, add_special_tokens=False).tokens
        starts = ["".join(pieces[:i]) for i in range(1, len(pieces))]
        added += [f"{start} {piece}" for start, piece in zip(starts, pieces[1:], strict=True)]
    for merge in added:
        if merge.replace(" ", "") not in vocabulary:
            vocabulary[merge.replace(" ", "")] = vocabulary.pop(merges.pop().replace(" ", ""))
    spec["model"]["merges"] = merges + added
    path.write_text(json.dumps(spec, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    backend = Tokenizer.from_file(str(path))
    for word in ("yes", "no", *PROTOCOL):
        assert len(backend.encode(word, add_special_tokens=False).ids) == 1, word


def end_texts(folder: Path) -> None:
    """Make the tokenizer append the token whose state is the vector, as that of Qwen3-Embedding does."""
    path = folder / "tokenizer.json"
    spec = json.loads(path.read_text(encoding="utf-8"))
    number = next(token["id"] for token in spec["added_tokens"] if token["content"] == "<|endoftext|>")
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    end = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [first, end],
        "pair": [first, end, second, end],
        "special_tokens": {
            "<|endoftext|>": {"id": "<|endoftext|>", "ids": [number], "tokens": ["<|endoftext|>"]}
        },
    }
    spec["post_processor"] = {"type": "Sequence", "processors": [spec["post_processor"], template]}
    path.write_text(json.dumps(spec, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
