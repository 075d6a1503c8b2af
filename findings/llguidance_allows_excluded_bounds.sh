#!/usr/bin/env bash
# llguidance 1.9.1: a JSON schema with an exclusive whole bound allows the bound itself where the other bound has
# the same whole part.
#
# JSON Schema: a number is valid only if it is greater than exclusiveMinimum. For (0, 0.5) the grammar accepts 0,
# and for (2, 2.5) it accepts 2; for (0, 1) it rightly refuses 0.
#
# Seen: "0 in (0, 0.5): True", "2 in (2, 2.5): True", "0 in (0, 1): False"; the first two should be False.
# Consequence: an answer that the grammar guided fails validation, such as pydantic's Field(gt=0, lt=0.5).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet llguidance==1.9.1 tokenizers==0.22.2
cat >"$work/bounds.py" <<'PYTHON'
import json

from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {letter: number for number, letter in enumerate([*letters, "<end>"])}
tokenizer = Tokenizer(models.BPE(vocabulary, []))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.add_special_tokens(["<end>"])
ours = LLTokenizer(tokenizer.to_str(), eos_token=vocabulary["<end>"])


def accepts(low, high, text):
    schema = {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high}
    matcher = LLMatcher(ours, LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    return matcher.consume_tokens(tokenizer.encode(text).ids) and matcher.is_accepting()


for low, high, text in ((0, 0.5, "0"), (2, 2.5, "2"), (0, 1, "0")):
    print(f"{text} in ({low}, {high}): {accepts(low, high, text)}")
PYTHON
seen=$("$work/venv/bin/python" "$work/bounds.py" | tee /dev/stderr)
[ "$(grep -c True <<<"$seen")" = 2 ] || { echo "the behavior has changed"; exit 1; }
