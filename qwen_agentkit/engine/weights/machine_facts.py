"""Times that were measured of this processor, remembered on disk. Knows files and processors, no tensors.

Another answer another day would mean another number type, and cached vectors would not be found again. Times
are kept in "qwen-agentkit/measured.json" in the folder of the Hugging Face hub; without the file they are
measured again. They belong to the model of the processor, to what the environment lets libraries use of it,
and to the version of torch, so that machines which share a home folder do not read each other's.
"""

from __future__ import annotations

import json
import os
import platform
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.constants import HF_HOME

__all__ = ["remember_shorter", "remembered"]

# The lines of /proc/cpuinfo that tell one model of processor from another, on x86 and on ARM.
_MODEL_LINE = re.compile(
    r"^(?:model name|cpu family|model|stepping|CPU implementer|CPU part|CPU variant)\s*:\s*(.+)$", re.M
)

# Variables that keep a library from instructions of the processor.
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "FBGEMM_ENABLE_INSTRUCTIONS", "MKL_ENABLE_INSTRUCTIONS")


def remembered(name: str, measure: Callable[[], float]) -> float:
    """Return what was measured of this processor under a name; measure it if nothing was."""
    known = _read(_file()).get(_key(), {}).get(name)
    if isinstance(known, float):
        return known
    return _keep(name, float(measure()))


def remember_shorter(name: str, measure: Callable[[], float]) -> float:
    """Measure again, and return and remember the shorter time: a busy machine may have spoiled the first."""
    return _keep(name, min(remembered(name, measure), float(measure())))


def _keep(name: str, measured: float) -> float:
    with suppress(OSError):  # if the home folder is read-only, the next process measures again
        known, processor = _read(_file()), _key()  # another process may have written meanwhile
        _write(_file(), {**known, processor: {**known.get(processor, {}), name: measured}})
    return measured


def _file() -> Path:
    return Path(HF_HOME) / "qwen-agentkit" / "measured.json"


def _key() -> str:
    return f"{_processor()}, torch {torch.__version__}"


def _processor() -> str:
    """Return a name for the model of this processor and for what torch uses of it."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        model = " ".join(_MODEL_LINE.findall(first))
    except OSError:  # not Linux
        model = ""
    limits = [f"{name}={os.environ[name]}" for name in _LIMITS if name in os.environ]
    found = [model or platform.processor() or platform.machine(), torch.backends.cpu.get_cpu_capability()]
    return ", ".join([*found, *limits])


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """Return what is known, by processor and name."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing was measured yet, or the file is damaged
        return {}
    found = known.items() if isinstance(known, dict) else ()
    return {processor: times for processor, times in found if isinstance(times, dict)}


def _write(file: Path, known: dict[str, dict[str, Any]]) -> None:
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
