"""Read files in processes that can be ended, many at a time, in order.

A reader may loop, use up the memory or crash on a hostile file. It then costs this file and nothing else.
Small plain text is read in this process: it needs no such care, and a process takes a moment to start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from threading import Lock, Timer
from types import TracebackType
from typing import IO, Any, cast

from typing_extensions import Self

from qwen_agentkit.ingest.ocr import Ocr
from qwen_agentkit.ingest.parts import Part, Reader
from qwen_agentkit.ingest.pictures import PICTURE_SUFFIXES
from qwen_agentkit.ingest.plaintext import CODE_SUFFIXES
from qwen_agentkit.ingest.reading import Failure, ReadFile, read_file

__all__ = ["FileReaders", "Limits"]

_PLAIN = CODE_SUFFIXES | {".csv", ".jsonl", ".log", ".markdown", ".md", ".tsv", ".txt"}
_SMALL = 1 << 18
"""Most bytes of a plain file that is read in this process."""
_SMALL_PAGE = 1 << 13
"""The same of an html page, whose parser can take quadratic time."""
_PER_PROCESS = 4
"""A further process is worth its start for so many files."""
_AHEAD = 32
"""How many files are read ahead in other processes, however many small ones stand before them."""


@dataclass(frozen=True)
class Limits:
    """What a document may take."""

    seconds: float = 300.0
    memory: int = 4 << 30
    """In bytes; on Windows not limited."""
    size: int = 1 << 30
    """Of the file, in bytes."""


class FileReaders:
    """Reads files in this process and in up to as many others as there are processors.

    Args:
        version: Describes how files become chunks; part of their hashes.
        limits: What a document may take.
        ocr: How to recognize text.
        encoding: The encoding of text files; None to detect it.
        readers: Readers by ending that go before those of the package. They run in this process.
    """

    def __init__(
        self,
        version: str,
        limits: Limits | None = None,
        ocr: Ocr | None = None,
        encoding: str | None = None,
        readers: Mapping[str, Reader] | None = None,
    ) -> None:
        self._version = version
        self._ocr = ocr
        self._encoding = encoding
        self._readers = {suffix.lower(): reader for suffix, reader in (readers or {}).items()}
        # Pictures are not even opened without text recognition.
        self._unguarded = self._readers.keys() | (frozenset() if ocr else PICTURE_SUFFIXES)
        self._limits = limits or Limits()
        self._idle: deque[_Process] = deque()
        self._started: list[_Process] = []
        self._lock = Lock()
        self._closed = False
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for process in self._started:
                process.end()
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def read(self, paths: Sequence[Path]) -> Iterator[ReadFile | Failure]:
        """Yield what each file holds, in order. Later files are read while the caller works."""
        apart = [path.suffix.lower() not in self._unguarded and _needs_care(path) for path in paths]
        processes = min(_processors(), -(-sum(apart) // _PER_PROCESS))
        if not processes:
            yield from map(self._read_here, paths)
            return
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="read")
        coming = (path for path, elsewhere in zip(paths, apart, strict=True) if elsewhere)
        waiting = deque(self._threads.submit(self._read_apart, path) for path in islice(coming, _AHEAD))
        for path, elsewhere in zip(paths, apart, strict=True):
            if not elsewhere:
                yield self._read_here(path)
                continue
            waiting.extend(self._threads.submit(self._read_apart, later) for later in islice(coming, 1))
            yield waiting.popleft().result()

    def _read_here(self, path: Path) -> ReadFile | Failure:
        return read_file(path, path.suffix, self._version, self._ocr, self._encoding, self._readers)

    def _read_apart(self, path: Path) -> ReadFile | Failure:
        try:
            size = path.stat().st_size
        except OSError as error:
            return Failure(error.strerror or str(error), passing=True)
        if size > self._limits.size:
            return Failure(
                f"The file has {size / 2**30:.2f} GB; expected {self._limits.size / 2**30:.2f} GB or less. "
                "Save it as several files."
            )
        process = self._take_process()
        answer = process.read(path, self._version, self._ocr, self._encoding)
        if process.is_alive():
            with self._lock:
                self._idle.append(process)
        return answer

    def _take_process(self) -> _Process:
        with self._lock:
            if self._idle:
                return self._idle.popleft()
            process = _Process(self._limits)
            self._started.append(process)
            if self._closed:
                process.end()
            return process


class _Process:
    """A process that runs `worker`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # The program is this Python, and the arguments are ours.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "qwen_agentkit.ingest.worker", str(limits.memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._timed_out = False

    def read(self, path: Path, version: str, ocr: Ocr | None, encoding: str | None) -> ReadFile | Failure:
        requests, answers = _pipes(self._process)
        timer = Timer(self._limits.seconds, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            request = {
                **{"path": str(path.absolute()), "suffix": path.suffix, "version": version},
                "ocr": asdict(ocr) if ocr else None,
                "encoding": encoding,
            }
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
            line = answers.readline()
        except OSError:  # The process is gone.
            line = b""
        finally:
            timer.cancel()
        answer: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {"reason": ""}
        if "parts" in answer:
            parts = [Part(text, metadata, tuple(warnings)) for text, metadata, warnings in answer["parts"]]
            return ReadFile(parts, answer["hash"])
        if not line.endswith(b"\n"):
            self.end()
        if self._timed_out:
            return Failure(
                f"Reading the file took more than {self._limits.seconds:g} seconds. Save it as several files."
            )
        if not answer["reason"]:
            return Failure(
                f"Reading the file took more than {self._limits.memory / 2**30:.2g} GB of memory, or its "
                "reader crashed. Save it anew, or as several files."
            )
        return Failure(**answer)

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        for pipe in _pipes(self._process):
            # What is left to write has no reader.
            with suppress(OSError):
                pipe.close()
        self._process.wait()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _needs_care(path: Path) -> bool:
    try:
        size = path.stat().st_size
    except OSError:  # Reading it will tell.
        return False
    suffix = path.suffix.lower()
    largest = _SMALL if suffix in _PLAIN else _SMALL_PAGE if suffix in (".htm", ".html") else -1
    return size > largest


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
