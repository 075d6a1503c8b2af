"""Marks of tests that need instructions which not every processor has.

What such a processor is told instead is a test of its own, in `test_quantized`.
"""

from __future__ import annotations

import pytest

from qwen_agentkit.engine.weights.quantize import cpu_quantizations

__all__ = ["INT4", "INT8", "needs_int4", "needs_int8"]

needs_int8 = pytest.mark.skipif(
    "int8" not in cpu_quantizations(), reason="this CPU does not multiply 8-bit numbers exactly: no VNNI"
)
needs_int4 = pytest.mark.skipif("int4" not in cpu_quantizations(), reason="int4 needs AVX-512 and VNNI")

INT8 = pytest.param("int8", marks=needs_int8)
INT4 = pytest.param("int4", marks=needs_int4)
