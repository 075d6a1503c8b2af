"""Trains the small tokenizer of nano-chat: Qwen3's text rules and special tokens, about 8,000 entries.

Why not the real one: its 151,669 entries would need a token table far larger than the whole model may be.
The normalizer, the pre-tokenizer, the decoder and all 26 added tokens stay as they are, in the same order.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from chat_corpus import passages, short_sentences
from chat_prompts import ABSTAIN, OTHER_SYSTEMS, RAG_SYSTEM, THINK, THINK_NONE
from transformers import AutoTokenizer

# Characters of text a language may bring in.
BUDGET = {
    "en": 2_600_000,
    "ar": 1_100_000,
    "zh": 1_100_000,
    "ja": 240_000,
    "ko": 260_000,
    "sw": 40_000,
    "fa": 60_000,
    "it": 80_000,
    "pt": 80_000,
    "id": 60_000,
}
OTHER = 170_000
TOOLS_TEXT = (
    "You may call one or more functions to assist with the user query. "
    "You are provided with function signatures within "
    "XML tags: For each function call, return a json object with function name and arguments "
    '{"name": , "arguments": '
    '{"type": "function", "function": {"name": "x", "description": "y", '
    '"parameters": {"type": "object", "properties": '
    '{"x": {"type": "string"}}, "required": ["x"]}}}'
)


def texts(data: Path, seed: int) -> Iterator[str]:
    """Training texts, balanced over the languages; held-back documents stay out."""
    pool: dict[str, list[str]] = {}
    for passage in passages(data):
        if not passage.held_back:
            pool.setdefault(passage.lang, []).append(passage.text)
            pool[passage.lang] += [question for question, _ in passage.questions[:2]]
    for lang, sentence in short_sentences(data):
        if lang in pool:
            pool[lang].append(sentence)
    rng = random.Random(seed)
    for lang, items in sorted(pool.items()):
        rng.shuffle(items)
        left = BUDGET.get(lang, OTHER)
        # A language with less text than its budget is read twice, not more:
        # repeats teach rare words as if they were common.
        for item in items * 2:
            if left <= 0:
                break
            left -= len(item)
            yield item
    for name in ("multiple", "simple_python", "parallel"):
        for line in (data / f"bfcl_v4/BFCL_v4_{name}.json").read_text(encoding="utf-8").splitlines()[:150]:
            yield json.dumps(json.loads(line)["function"], ensure_ascii=False)
    for i in range(2000):
        other = f"[{i % 4 + 1}] notes/faq_{i % 30}.txt"
        yield f"Passages:\n[1] docs/guide.md\nx\n\n{other}\ny\n\nQuestion: what\n"
    # The fixed phrases stand in every dialogue; one token a word keeps the dialogues short.
    fixed = [RAG_SYSTEM, *OTHER_SYSTEMS, *THINK.values(), *THINK_NONE.values(), *ABSTAIN.values(), TOOLS_TEXT]
    for phrase in fixed:
        yield from [
            phrase.format(n=1, language="English") if "{n}" in phrase or "{language}" in phrase else phrase
        ] * 400


def train(data: Path, size: int, seed: int = 7) -> dict:
    """Trains the tokenizer and returns its specification; `size` counts added tokens, too."""
    real = AutoTokenizer.from_pretrained(data / "qwen3_tokenizer")
    added = [real.added_tokens_decoder[i] for i in sorted(real.added_tokens_decoder)]
    small = real.train_new_from_iterator(texts(data, seed), vocab_size=size + 100)
    # The trainer keeps special tokens at the front and may forget added tokens that are not special:
    # rebuild the list so that ids run as in the real vocabulary, text first and all added tokens last.
    spec = json.loads(small.backend_tokenizer.to_str())
    names = {token.content for token in added}
    words = [w for w, _ in sorted(spec["model"]["vocab"].items(), key=lambda item: item[1]) if w not in names]
    # A mark and a line break never share a token:
    # the full stop of a passage's last sentence must look like any other.
    words = [w for w in words if "Ċ" not in w or not w.strip("Ċ")]
    words = words[: size - len(added)]
    spec["model"]["vocab"] = {word: index for index, word in enumerate(words)}
    known = set(words)
    merges = [m if isinstance(m, list) else m.split(" ") for m in spec["model"]["merges"]]
    spec["model"]["merges"] = [m for m in merges if m[0] in known and m[1] in known and m[0] + m[1] in known]
    spec["added_tokens"] = [
        {"id": len(words) + i, "content": t.content, "single_word": t.single_word, "lstrip": t.lstrip,
         "rstrip": t.rstrip, "normalized": t.normalized, "special": t.special}
        for i, t in enumerate(added)
    ]  # fmt: skip
    return spec


def save(spec: dict, real_config: dict, out: Path) -> None:
    """Writes tokenizer.json and a tokenizer_config.json that names the new ids."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "tokenizer.json").write_text(
        json.dumps(spec, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )
    config = {k: v for k, v in real_config.items() if k not in ("chat_template", "added_tokens_decoder")}
    config["added_tokens_decoder"] = {
        str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in spec["added_tokens"]
    }
    config["model_max_length"] = 4096
    (out / "tokenizer_config.json").write_text(
        json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=8192)
    args = parser.parse_args()
    real_config = json.loads(
        (args.data / "qwen3_tokenizer/tokenizer_config.json").read_text(encoding="utf-8")
    )
    save(train(args.data, args.size), real_config, args.out)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    print("entries", len(tokenizer), "im_end", tokenizer.convert_tokens_to_ids("<|im_end|>"))
    sizes: dict[str, list[int]] = {}
    for passage in passages(args.data):
        if passage.held_back:
            count = sizes.setdefault(passage.lang, [0, 0])
            count[0] += len(passage.text)
            count[1] += len(tokenizer(passage.text)["input_ids"])
    print("characters a token:", {lang: round(a / b, 2) for lang, (a, b) in sizes.items()})


if __name__ == "__main__":
    main()
