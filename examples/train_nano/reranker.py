"""Make nano-reranker: the embedder's bag of tokens, laid out as a late interaction.

    python reranker.py TOKENIZER EMBEDDING OUT

EMBEDDING is the folder that ``embedding.py`` wrote. Nothing is trained here; see the README for what training
did to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from reranker_layout import build
from tokenizer import compact
from transformers import AutoTokenizer, PreTrainedTokenizerBase


def spelled_alike(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Token -> the first token of its spelling, whatever the case and the leading space."""
    first: dict[str | int, int] = {}
    texts = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    keys = [i if "\ufffd" in t else t.strip().lower() for i, t in enumerate(texts)]
    return torch.tensor([first.setdefault(key, i) for i, key in enumerate(keys)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tokenizer", type=Path, help="without the end that the embedder's appends")
    parser.add_argument("embedding", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    bag = torch.load(options.embedding / "bag.pt")
    checkpoint = build(bag["table"], bag["importance"], spelled_alike(tokenizer), tokenizer)
    checkpoint.to(torch.bfloat16).save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    compact(options.out)


if __name__ == "__main__":
    main()
