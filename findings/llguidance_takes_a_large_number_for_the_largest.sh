#!/usr/bin/env bash
# llguidance 1.9.1: an integer whose enum holds a number beyond 64 bits may be another number, and not that one.
#
# JSON Schema: a value is valid only if it equals one of the enum. For 100000000000000000000 the grammar refuses
# that number and accepts 9223372036854775807, the largest of 64 bits.
#
# Seen: "100000000000000000000: False", "9223372036854775807: True"; it should be the other way round.
# Consequence: every answer that the grammar guided fails validation.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet llguidance==1.9.1 tokenizers==0.22.2
cat >"$work/large.py" <<'PYTHON'
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
grammar = LLMatcher.grammar_from_json_schema(json.dumps({"type": "integer", "enum": [10**20]}))
for text in ("100000000000000000000", "9223372036854775807"):
    matcher = LLMatcher(ours, grammar)
    print(f"{text}: {matcher.consume_tokens(tokenizer.encode(text).ids) and matcher.is_accepting()}")
PYTHON
seen=$("$work/venv/bin/python" "$work/large.py" 2>/dev/null | tee /dev/stderr)
[ "$(grep -c "9223372036854775807: True" <<<"$seen")" = 1 ] || { echo "the behavior has changed"; exit 1; }
