#!/usr/bin/env bash
# torch 2.13.0: torch._int_mm, the product of 8-bit matrices with 32-bit sums, gives wrong sums without any error
# on x86 processors that lack VNNI.
#
# Its result type is int32, and no sum here comes near the limits of 32 bits. oneDNN's kernels for AVX2 and for
# AVX-512 without VNNI add pairs of products in 16 bits, which saturate. With VNNI the sums are exact. The
# variable ONEDNN_MAX_CPU_ISA makes any processor take the older kernels.
#
# Seen: 640000 (right) with VNNI, 229344 with AVX2 for rows of 64 numbers that are all 100.
# Consequence: code that quantizes to 8 bits must check a product with large numbers before it trusts the kernel.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -q avx2 /proc/cpuinfo || { echo "needs an x86 processor with AVX2"; exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cat >"$work/product.py" <<'PYTHON'
import torch

left = torch.full((32, 64), 100, dtype=torch.int8)
right = torch.full((64, 64), 100, dtype=torch.int8)
product = torch._int_mm(left, right)
assert product.dtype == torch.int32
print(int(product[0, 0]))
PYTHON
sum=$(ONEDNN_MAX_CPU_ISA=AVX2 "$work/venv/bin/python" "$work/product.py")
echo "100 x 100, 64 times: 640000 is right; AVX2 gives $sum"
[ "$sum" = 229344 ] || { echo "the behavior has changed"; exit 1; }
