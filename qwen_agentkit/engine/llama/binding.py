"""llama.cpp in this process, by the binding xllamacpp. Knows its parameters and its JSON, no texts.

xllamacpp (MIT; wheels for Linux, macOS and Windows) holds llama.cpp's own server and calls its functions.
The server listens for HTTP as well, which nothing here uses: on a socket file that is gone once it has
started, so that no other process reaches it.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from qwen_agentkit.errors import MissingExtraError, ModelError, ModelUnsupportedError

__all__ = ["Use", "check_binding", "has_gpu", "missing_binding", "refuse_error", "start_server", "stream"]

Use = Literal["chat", "embedding", "rank"]
"""What a model is started for."""

# The first version with the parameters used here, and what to type for it.
_LEAST = (2026, 10)
_INSTALL = "Type: pip install -U 'qwen-agentkit[gguf]'"

# Tokens of a prompt that are read between two looks whether the answer is still wanted.
_STEP = 512

# Answers that share the steps of a model; more wait.
_TOGETHER = 8

# Megabytes for the keys and values of earlier prompts.
_CACHE = 256

# The longest path of a socket file is 108 bytes on Linux, 104 on macOS.
_LONGEST_SOCKET = 100


def missing_binding() -> str:
    """Say why llama.cpp cannot run here; "" if it can."""
    try:
        found = version("xllamacpp")
    except PackageNotFoundError:
        return f"xllamacpp is not installed; expected the extra 'gguf'. {_INSTALL}"
    least = ".".join(map(str, _LEAST))
    try:
        numbers = tuple(int(part) for part in found.split(".")[:2])
    except ValueError:
        numbers = ()
    if numbers < _LEAST:
        return f"xllamacpp {found} is installed; expected {least} or newer. {_INSTALL}"
    try:
        import_module("xllamacpp")  # some other packages define types of its Cython in another size
    except (ImportError, TypeError) as error:
        return f"xllamacpp {found} cannot be imported beside what this process has imported: {error}."
    return ""


def check_binding() -> None:
    """Check that llama.cpp can run here.

    Raises:
        MissingExtraError: The binding is missing or too old.
    """
    if reason := missing_binding():
        raise MissingExtraError(reason)


@cache
def has_gpu() -> bool:
    """Whether the binding was built for a GPU, and finds one."""
    import xllamacpp

    kinds = xllamacpp.ggml_backend_dev_type
    gpus = (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU)
    return any(device["type"] in gpus for device in xllamacpp.get_device_info())


def start_server(path: Path, use: Use, *, room: int, threads: int, gpu: bool) -> Any:
    """Load a file, mapped from the disk.

    Args:
        path: The GGUF file.
        use: What it is started for.
        room: Tokens whose keys and values it has room for, which answers share; of an embedder, tokens of its
            longest text.
        threads: Threads that compute.
        gpu: Whether the GPU computes.

    Returns:
        A `Server` of xllamacpp. It ends when nothing refers to it.

    Raises:
        ModelUnsupportedError: llama.cpp cannot load the file.
    """
    import xllamacpp

    folder = tempfile.mkdtemp(prefix="qak")
    try:
        return xllamacpp.Server(_parameters(xllamacpp, path, use, room, threads, gpu, folder))
    except RuntimeError as error:
        raise ModelUnsupportedError(
            f"llama.cpp cannot load {path.name!r} with room for {room} tokens: the file is damaged or of a "
            "kind that this build does not know, or the memory is too small. Download it again, or take a "
            f"smaller quantization or a newer build. {_INSTALL}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stream(
    complete: Callable[[Callable[[dict[str, Any]], bool]], None], cancelled: threading.Event
) -> Generator[dict[str, Any]]:
    """Yield the chunks of a call that blocks while it answers; closing it, or the event, ends the call.

    Args:
        complete: Makes the call. It is given what takes a chunk and returns whether to stop.
        cancelled: Set it from another thread to stop at the next chunk.
    """
    chunks: SimpleQueue[dict[str, Any] | BaseException | None] = SimpleQueue()
    closed = threading.Event()

    def take(chunk: dict[str, Any]) -> bool:
        chunks.put(chunk)
        return closed.is_set() or cancelled.is_set()

    def work() -> None:
        try:
            complete(take)
        except BaseException as error:  # for the reader, whatever it is
            chunks.put(error)
        finally:
            chunks.put(None)

    thread = threading.Thread(target=work, name="qwen-agentkit-llama", daemon=True)
    running = (closed, thread)
    _running.add(running)
    thread.start()
    try:
        while (chunk := chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        closed.set()
        thread.join()
        _running.discard(running)


def refuse_error(answer: Mapping[str, Any], name: str) -> None:
    """Raise what an answer reports in place of a result.

    Raises:
        ModelError: It reports an error.
    """
    error = answer.get("error")
    if error is not None:
        reason = error.get("message") if isinstance(error, dict) else error
        raise ModelError(
            f"llama.cpp failed with {name!r}: {reason}. Ask again; if it happens again, pass engine='torch'."
        )


_running: set[tuple[threading.Event, threading.Thread]] = set()


def _stop_all() -> None:
    """End what still runs: a thread that outlives the interpreter would crash in its next chunk."""
    for closed, thread in list(_running):
        closed.set()
        thread.join()


atexit.register(_stop_all)


def _parameters(xllamacpp: Any, path: Path, use: Use, room: int, threads: int, gpu: bool, folder: str) -> Any:
    given = xllamacpp.CommonParams()
    given.model.path = str(path)
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
    given.n_gpu_layers = -1 if gpu else 0
    given.n_parallel, given.n_ctx, given.n_batch = 1, room, _STEP
    given.cache_ram_mib = _CACHE if use == "chat" else 0
    given.warmup = given.fit_params = given.ui = given.endpoint_slots = False
    # Weights in another order read prompts 1.35 times as fast, and are a second copy.
    given.no_extra_bufts = True
    given.verbosity = -1
    _close_to_others(given, folder)
    if use == "chat":
        given.n_parallel, given.kv_unified = _TOGETHER, True
        return given
    # Vectors and scores are compared, so that their keys and values are not rounded.
    given.cache_type_k = given.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    given.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if use == "embedding":
        given.embedding, given.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
        # A text is read in one step, and short ones together.
        given.n_parallel = max(1, 2048 // room)
        given.n_ctx = given.n_batch = given.n_ubatch = room * given.n_parallel
    return given


def _close_to_others(given: Any, folder: str) -> None:
    """Let the server listen where nobody finds it, and answer nobody there."""
    given.api_keys, given.n_threads_http = [secrets.token_hex(32)], 1
    socket = os.path.join(folder, "s.sock")
    if os.name == "posix" and len(socket) < _LONGEST_SOCKET:
        given.hostnames = [socket]
