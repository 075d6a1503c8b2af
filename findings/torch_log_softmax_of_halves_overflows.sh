#!/usr/bin/env bash
# torch 2.13.0: on a CPU, log_softmax of more than 65504 numbers of 16 bits (float16) may be -inf everywhere. The
# vocabulary of Qwen3 has 151936 tokens.
#
# Documented (log_softmax): equal to log(softmax(x)), and more stable than these two steps.
# What happens instead: the sum of the exponentials is kept in float16, whose largest number is 65504. So flat logits, as
#   a high temperature makes them, give -inf, and cross_entropy and logsumexp give inf. softmax is right, and so is
#   log_softmax(x, dtype=torch.float32).
# Output seen (151936 normal logits, divided by the temperature; the first log-probability):
#   temperature  1: log_softmax -11.43, with dtype float32 -11.43, log(softmax) -11.43
#   temperature 20: log_softmax -inf, with dtype float32 -11.69, log(softmax) -11.69
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch

torch.manual_seed(0)
logits = 3 * torch.randn(151936)
logits[0] = 5.0
for temperature in (1, 20):
    halves = (logits / temperature).half()
    direct = torch.log_softmax(halves, 0)[0].item()
    wider = torch.log_softmax(halves, 0, dtype=torch.float32)[0].item()
    steps = halves.softmax(0).float().log()[0].item()
    print(
        f"temperature {temperature:2}: log_softmax {direct:.2f}, with dtype float32 {wider:.2f}, "
        f"log(softmax) {steps:.2f}"
    )
    assert abs(wider - steps) < 0.02
    if temperature == 1:
        assert abs(direct - wider) < 0.02
    else:
        assert direct == -torch.inf, "the finding is out of date"
        assert torch.logsumexp(halves, 0) == torch.inf
PYTHON
