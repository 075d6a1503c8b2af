"""`qwen-agentkit plan`: memory, disk, shards and hours for a number of documents, each from a stated formula.

Knows arithmetic and the sizes of Qdrant's structures. Measures nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qwen_agentkit.errors import InputError

__all__ = ["QUANTIZATIONS", "Workload", "plan"]

QUANTIZATIONS = {"none": 4.0, "scalar": 1.0, "binary": 1 / 8}
"""Bytes per component of the vectors that stay in memory."""

_LINK_BYTES = 4
_LINKS = 2 * 16  # HNSW with m=16 keeps 2 m links at its lowest layer, and few above
_TERM_BYTES = 8  # an index and a weight
_POINT_BYTES = 100  # id, version, offsets, and the indexes of "source", "language" and "tenant"
_USABLE = 0.8
_REWRITING = 1.5  # segments are rewritten beside the old ones
_GB = 1e9


@dataclass(frozen=True)
class Workload:
    """What is to be stored, and on what.

    Attributes:
        documents: Their number.
        passages: Passages of a document, on average.
        dimensions: Length of a vector.
        text_bytes: Bytes of a passage with its metadata, on average.
        terms: Distinct words of a passage, on average.
        quantize: A key of `QUANTIZATIONS`.
        replicas: Copies of every shard.
        node_gb: Memory of a machine, in GB.
        rate: Passages embedded in a second by one worker; None if it was not measured.
        workers: Processes that embed.
    """

    documents: float
    passages: float = 10
    dimensions: int = 1024
    text_bytes: float = 1500
    terms: float = 100
    quantize: str = "none"
    replicas: int = 2
    node_gb: float = 64
    rate: float | None = None
    workers: int = 1


def plan(work: Workload) -> list[dict[str, Any]]:
    """Return rows of "name", "value", "unit" and "formula".

    Raises:
        InputError: A number is not positive, or the quantization is unknown.
    """
    _check(work)
    count = work.documents * work.passages
    vectors = count * work.dimensions * 4
    kept = count * work.dimensions * QUANTIZATIONS[work.quantize]
    graph = count * _LINKS * _LINK_BYTES
    words = count * work.terms * _TERM_BYTES
    text = count * work.text_bytes
    memory = kept + graph + words + count * _POINT_BYTES
    quantized = 0.0 if work.quantize == "none" else kept
    disk = (vectors + quantized + graph + 2 * words + text + count * _POINT_BYTES) * _REWRITING
    shards = max(1, math.ceil(memory / (work.node_gb * _GB * _USABLE)))
    rows: list[tuple[str, float | None, str, str]] = [
        ("passages", count, "", "documents * passages of a document"),
        ("vectors", vectors / _GB, "GB", "passages * dimensions * 4 bytes"),
        ("vectors in memory", kept / _GB, "GB", f"passages * dimensions * {QUANTIZATIONS[work.quantize]:g}"),
        ("graph", graph / _GB, "GB", "passages * 32 links * 4 bytes (HNSW, m=16)"),
        ("words", words / _GB, "GB", "passages * words of a passage * 8 bytes"),
        ("text", text / _GB, "GB", "passages * bytes of a passage"),
        ("memory", memory / _GB, "GB", "vectors in memory + graph + words + 100 bytes a passage"),
        ("memory of all replicas", memory * work.replicas / _GB, "GB", "memory * replicas"),
        (
            "disk of all replicas",
            disk * work.replicas / _GB,
            "GB",
            "(vectors + quantized + graph + 2 words + text + 100 bytes a passage) * 1.5 * replicas",
        ),
        ("shards", shards, "", f"memory / (0.8 * {work.node_gb:g} GB), rounded up"),
        ("machines", shards * work.replicas, "", "shards * replicas"),
        (
            "hours to embed",
            None if work.rate is None else count / (work.rate * work.workers) / 3600,
            "h",
            "passages / (rate * workers) / 3600; measure the rate with an ingest, and pass --rate",
        ),
    ]
    return [{"name": n, "value": v, "unit": unit, "formula": formula} for n, v, unit, formula in rows]


def _check(work: Workload) -> None:
    for name, value in vars(work).items():
        if not isinstance(value, str) and value is not None and not 0 < value < math.inf:
            raise InputError(f"{name} is {value!r}; expected a positive number. Try --documents 1e6.")
    if work.quantize not in QUANTIZATIONS:
        raise InputError(
            f"quantize is {work.quantize!r}; expected one of {', '.join(QUANTIZATIONS)}. Try none."
        )
