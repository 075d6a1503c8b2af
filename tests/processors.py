"""Marks of tests that need instructions which not every processor has.

What such a processor is told instead is a test of its own, in `test_quantized`.
"""

from __future__ import annotations

import pytest

from qwen_agentkit.engine.weights.quantize import cpu_quantizations, int8_bits

__all__ = ["INT4", "INT8", "NEAR_INT8", "needs_int4", "needs_int8", "needs_int8_vectors"]

needs_int8 = pytest.mark.skipif(
    "int8" not in cpu_quantizations(), reason="this CPU has no fast and exact product of 8-bit numbers"
)
needs_int8_vectors = pytest.mark.skipif(
    "int8" not in cpu_quantizations(chat=False), reason="this CPU is slower with many rows of 8-bit numbers"
)
needs_int4 = pytest.mark.skipif("int4" not in cpu_quantizations(), reason="int4 needs AVX-512 and VNNI")

# The cosine to whole weights. Weights of seven bits are off by twice as much as those of eight.
NEAR_INT8 = 0.999 if int8_bits() == 8 else 0.995

INT8 = pytest.param("int8", marks=needs_int8)
INT4 = pytest.param("int4", marks=needs_int4)
