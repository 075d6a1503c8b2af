"""Memory of a device for keys and values, in bytes. Knows devices and containers, no models."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its types are a package of their own
import torch

__all__ = ["free_memory", "total_memory"]


def total_memory(device: torch.device) -> int:
    """Return the whole memory of a device, or what its container may use of it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return min(int(psutil.virtual_memory().total), _container_limit())


def free_memory(device: torch.device) -> int:
    """Return the memory of a device that this process can still allocate."""
    if device.type == "cuda":
        reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reusable
    used = int(psutil.Process().memory_info().rss)
    return min(int(psutil.virtual_memory().available), _container_limit() - used)


def _container_limit() -> int:
    """Return the most bytes for the processes of this container, which psutil does not know."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # there is no limit: no file, or "max"
        return sys.maxsize
