"""Embedding and reranking by many processes or GPUs on Ray. Knows Ray and the model classes.

`Embed` and `Rerank` are steps of a `ray.data` pipeline. `spread` embeds the texts of one ingest.
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

# Texts in one task and in one shard. A killed worker loses one task.
_PART = 256


class Embed:
    """Adds a column "vector" to a column of texts: document vectors of `QwenEmbeddings`, fp32.

    Args:
        text: Name of the column of texts.
        **settings: Settings of `QwenEmbeddings`. The weights load in the process that embeds.

    Example::

        import ray
        ray.data.read_parquet("texts/").map_batches(
            Embed, fn_constructor_kwargs={"model": "0.6b"}, batch_size=256, concurrency=8, num_gpus=1
        ).write_parquet("vectors/")
    """

    def __init__(self, text: str = "text", **settings: Any) -> None:
        self._text = text
        self._embeddings = QwenEmbeddings(**settings)

    def __call__(self, batch: Columns) -> Columns:
        """Embed a batch."""
        return {**batch, "vector": self._embeddings.embed_array(batch[self._text].tolist())}


class Rerank:
    """Adds a column "score" to columns of queries and texts: scores of `QwenReranker`, fp32 in 0..1.

    Keep the rows of a query in one batch: there they share its keys and values.

    Args:
        query: Name of the column of queries.
        text: Name of the column of texts.
        **settings: Settings of `QwenReranker`. The weights load in the process that ranks.
    """

    def __init__(self, query: str = "query", text: str = "text", **settings: Any) -> None:
        self._query, self._text = query, text
        self._reranker = QwenReranker(**settings)

    def __call__(self, batch: Columns) -> Columns:
        """Score a batch."""
        pairs = list(zip(batch[self._query].tolist(), batch[self._text].tolist(), strict=True))
        return {**batch, "score": np.array(self._reranker.score(pairs), dtype=np.float32)}


def spread(embeddings: QwenEmbeddings, workers: int | None = None) -> Compute:
    """Return a function that embeds texts on Ray, for `ShardedEmbeddings`.

    `RAY_ADDRESS` names the cluster ("auto": the one that this machine belongs to). Without it, a cluster runs
    on this machine during the work, protected by a token. A worker that dies is restarted and its task
    repeated.

    Args:
        embeddings: The settings. The weights load in the workers, not in this process.
        workers: Processes that embed. None: one for each GPU or, without GPUs, one for each machine.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    _require_ray()
    settings = embeddings.model_dump(exclude_defaults=True)

    def compute(texts: list[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        import pyarrow as pa
        import ray.data

        parts = [texts[start : start + _PART] for start in range(0, len(texts), _PART)]
        with _connect_cluster(), _translate_errors():
            size, cpus, gpus = _share_resources(workers)
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
    """Import Ray now rather than hours later. Ray reads these variables at import; those already set stay."""
    if "ray" not in sys.modules:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its C++ code writes to standard error
        if _address() == "local":
            # Ray listens on every interface and runs the code that a client sends, unless it needs a token.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray.data  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra(error, "ray", "ray") from error


def _address() -> str:
    """Return the address of the cluster; "local" starts one."""
    return os.environ.get("RAY_ADDRESS") or "local"


@contextmanager
def _connect_cluster() -> Iterator[None]:
    """Use the cluster of this process, or connect to one while the context lasts."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        _check_reachable(_address())
        ray.init(_address(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except OSError as error:
        raise WorkerError(
            f"No Ray cluster answers at RAY_ADDRESS={_address()!r} ({error}). Start one with "
            "`ray start --head`, correct the address, or unset it to use this machine alone."
        ) from error
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it raises what it logs
    try:
        with redirect_stdout(sys.stderr):  # Ray prints about dead workers there
            yield
    finally:
        logger.setLevel(level)
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens there. Ray itself would wait for many minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _share_resources(workers: int | None) -> tuple[int, float, float]:
    """Return the number of workers, and the CPUs and GPUs of each.

    Raises:
        InputError: The cluster has too few. Ray itself would wait forever.
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
    # The largest number of whole CPUs that every worker can have.
    share = max(n for n in range(1, max(cpus) + 1) if sum(cpu // n for cpu in cpus) >= size)
    return size, share, 0


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Raise the error of the worker instead of Ray's, or a `WorkerError`."""
    from ray.data.exceptions import ExecutionTimeoutError
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, ExecutionTimeoutError) as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, QwenAgentKitError):
            raise type(cause)(str(cause).partition("\nFailed to ")[0]) from None  # Ray appends its own advice
        raise WorkerError(
            f"The workers on Ray failed: {str(error).strip().splitlines()[-1]}. Finished vectors are kept: "
            "run it again to continue, with fewer workers if they ran out of memory."
        ) from error
