"""Embedding and reranking on many processes or GPUs, with Ray as the engine. Knows Ray and our models.

`Embed` and `Rerank` go into anybody's `ray.data` pipeline; `spread` embeds the texts of one ingest.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qwen_agentkit.embeddings import QwenEmbeddings
from qwen_agentkit.errors import InputError, QwenAgentKitError, WorkerError, missing_extra
from qwen_agentkit.rerankers import QwenReranker

if TYPE_CHECKING:
    from qwen_agentkit.vectorstores.shards import Compute

__all__ = ["Embed", "Rerank", "spread"]

Columns = dict[str, NDArray[Any]]

# Texts of a task and of a shard. A killed worker loses one task's work.
_PART = 256


class Embed:
    """A column of texts in, the column "vector" added: documents of `QwenEmbeddings`, fp32.

    Args:
        text: Name of the column.
        **settings: Those of `QwenEmbeddings`; weights load in the process that embeds.

    Example:
        >>> import ray
        >>> ray.data.read_parquet("texts/").map_batches(
        ...     Embed, fn_constructor_kwargs={"model": "0.6b"}, batch_size=256, concurrency=8, num_gpus=1
        ... ).write_parquet("vectors/")
    """

    def __init__(self, text: str = "text", **settings: Any) -> None:
        self._text = text
        self._embeddings = QwenEmbeddings(**settings)

    def __call__(self, batch: Columns) -> Columns:
        """Embed a batch."""
        return {**batch, "vector": self._embeddings.embed_array(batch[self._text].tolist())}


class Rerank:
    """Columns of queries and texts in, the column "score" added: scores of `QwenReranker`, fp32 in 0..1.

    Rows of one query are cheapest in one batch, where they share its keys and values.

    Args:
        query: Name of the column of queries.
        text: Name of the column of texts.
        **settings: Those of `QwenReranker`; weights load in the process that ranks.
    """

    def __init__(self, query: str = "query", text: str = "text", **settings: Any) -> None:
        self._query, self._text = query, text
        self._reranker = QwenReranker(**settings)

    def __call__(self, batch: Columns) -> Columns:
        """Score a batch."""
        pairs = list(zip(batch[self._query].tolist(), batch[self._text].tolist(), strict=True))
        return {**batch, "score": np.array(self._reranker.score(pairs), dtype=np.float32)}


def spread(embeddings: QwenEmbeddings, workers: int | None = None) -> Compute:
    """What embeds texts on Ray, as `ShardedEmbeddings` wants it.

    `RAY_ADDRESS` names the cluster ("auto": the one this machine is part of); without it, one is started on
    this machine for the time of the work, behind a token of its own. A worker that dies is started again
    and its task repeated.

    Args:
        embeddings: The settings; weights load in the workers, and not here.
        workers: Processes that embed. None: one for each GPU, or without any, one for each machine.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    _require_ray()
    settings = embeddings.model_dump(exclude_defaults=True)

    def compute(texts: list[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        import pyarrow as pa
        import ray.data

        parts = [texts[start : start + _PART] for start in range(0, len(texts), _PART)]
        with _cluster(), _translated():
            size, cpus, gpus = _shares(workers)
            data = ray.data.from_arrow([pa.table({"text": part}) for part in parts]).map_batches(
                Embed,
                fn_constructor_kwargs=settings,
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=min(size, len(parts))),
                num_cpus=cpus,
                num_gpus=gpus,
            )
            data.context.enable_progress_bars = False
            data.context.raise_original_map_exception = True
            for batch in data.iter_batches(batch_size=None):
                yield batch["text"].tolist(), batch["vector"]

    return compute


def _require_ray() -> None:
    """Import Ray here rather than hours later; it reads these when it is imported. What is set, stays."""
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its C++ parts write to standard error
        if _address() == "local":
            # Ray listens on every interface, and runs what anybody sends who needs no secret for it.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray.data  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra(error, "ray", "ray") from error


def _address() -> str:
    """The cluster to use; "local" is one of one's own."""
    return os.environ.get("RAY_ADDRESS") or "local"


@contextmanager
def _cluster() -> Iterator[None]:
    """The cluster that this process is part of already, else another one while this lasts."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        _check_answers(_address())
        ray.init(_address(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except OSError as error:
        raise WorkerError(
            f"No Ray cluster answers at RAY_ADDRESS={_address()!r} ({error}). Start one with "
            "`ray start --head`, correct the address, or unset it to use this machine alone."
        ) from error
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what it logs as an error is raised, too
    try:
        with redirect_stdout(sys.stderr):  # where Ray tells of workers that died, between lines of a result
            yield
    finally:
        logger.setLevel(level)
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise OSError where nothing listens, for which Ray would wait many minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _shares(workers: int | None) -> tuple[int, float, float]:
    """How many workers, and how many CPUs and GPUs each takes.

    Raises:
        InputError: The cluster has too few; Ray would wait for more for ever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    most, kind = (gpus, "GPUs") if gpus else (sum(cpus), "CPUs")
    size = workers or gpus or sum(map(bool, cpus))
    if not 1 <= size <= most:
        raise InputError(f"workers={size}, but the cluster has {most} {kind}; choose as many or fewer.")
    if gpus:
        return size, 1, 1
    # The largest equal share of whole CPUs with which all fit on the machines.
    share = max(n for n in range(1, max(cpus) + 1) if sum(cpu // n for cpu in cpus) >= size)
    return size, share, 0


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what Ray raises into what its worker raised, or else into an error of this package."""
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, ExecutionTimeoutError) as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, QwenAgentKitError):
            raise type(cause)(str(cause).partition("\nFailed to ")[0]) from None  # Ray adds advice of its own
        raise WorkerError(
            f"The workers on Ray failed: {str(error).strip().splitlines()[-1]}. What is embedded is kept: "
            "run it again to go on from there, with fewer workers if they ran out of memory."
        ) from error
