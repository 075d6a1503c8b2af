"""Whether this processor is fast with bf16, measured once and remembered on disk. Knows no models."""

from __future__ import annotations

import json
import os
import platform
import re
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HOME

from qwen_agentkit.engine.device_thread import run_on_one_core
from qwen_agentkit.engine.weights.timing import shortest_seconds

__all__ = ["bf16_is_fast"]

# The lines of /proc/cpuinfo that tell one model of processor from another, on x86 and on ARM.
_MODEL_LINE = re.compile(
    r"^(?:model name|cpu family|model|stepping|CPU implementer|CPU part|CPU variant)\s*:\s*(.+)$", re.M
)


@cache
def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 matrices at least as fast as fp32 ones.

    It is measured, because some CPUs that have bf16 instructions are slower with them. The answer is kept on
    disk, because another answer another day would mean another number type, and cached vectors would not be
    found again. It belongs to the model of the processor and to the version of torch, so that machines which
    share a home folder do not read each other's.
    """
    file = Path(HF_HOME) / "qwen-agentkit" / "bf16.json"
    processor = f"{_processor()}, torch {torch.__version__}"
    known = _read(file)
    if isinstance(known.get(processor), bool):
        return bool(known[processor])
    fast = run_on_one_core(lambda: _product_seconds(torch.bfloat16) <= _product_seconds(torch.float32))
    with suppress(OSError):  # if the home folder is read-only, the next process measures again
        _write(file, {**_read(file), processor: fast})
    return fast


def _processor() -> str:
    """Return a name for the model of this processor and for what torch uses of it."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        model = " ".join(_MODEL_LINE.findall(first))
    except OSError:  # not Linux
        model = ""
    return f"{model or platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def _read(file: Path) -> dict[str, object]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing was measured yet, or the file is damaged
        return {}
    return known if isinstance(known, dict) else {}


def _write(file: Path, known: dict[str, object]) -> None:
    """Replace the file in one step, so that a process that reads it meanwhile sees all of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as written:
            json.dump(known, written, indent=1)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


def _product_seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(512, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    return shortest_seconds(lambda: left @ right)
