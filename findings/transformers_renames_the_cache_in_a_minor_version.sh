#!/usr/bin/env bash
# transformers 5.24.0 renames the argument `past_key_values` of every decoder's forward to `cache`, and announces that
# the old name goes in 5.40: a minor version, so that the bound transformers<6 does not protect a caller.
#
# In 5.23.0 the same call is silent, and `cache` is no argument: no one name serves both versions without a warning.
#
# Seen with 5.24.0: FutureWarning: `past_key_values` is deprecated and will be removed in version 5.40.0 for
# `Qwen3Model.forward`. Use `cache` instead.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/call.py" <<'PYTHON'
import inspect
import warnings

import torch
import transformers
from transformers import DynamicCache, Qwen3Config, Qwen3Model

config = Qwen3Config(
    vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
    num_key_value_heads=1, head_dim=8,
)
model = Qwen3Model(config).eval()
with warnings.catch_warnings(record=True) as found, torch.inference_mode():
    warnings.simplefilter("always")
    model(input_ids=torch.tensor([[1, 2]]), past_key_values=DynamicCache(config=config), use_cache=True)
said = [str(one.message) for one in found if "past_key_values" in str(one.message)]
print(transformers.__version__, "cache" in inspect.signature(Qwen3Model.forward).parameters, *said)
PYTHON
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 transformers==5.23.0
old=$("$work/venv/bin/python" "$work/call.py" 2>/dev/null)
"$work/venv/bin/pip" install --quiet --upgrade transformers==5.24.0
new=$("$work/venv/bin/python" "$work/call.py" 2>/dev/null)
printf '%s\n' "$old" "$new"
[ "$old" = "5.23.0 False" ] || { echo "5.23.0 behaves otherwise"; exit 1; }
case "$new" in
  "5.24.0 True "*"removed in version 5.40.0"*) ;;
  *) echo "5.24.0 behaves otherwise"; exit 1 ;;
esac
