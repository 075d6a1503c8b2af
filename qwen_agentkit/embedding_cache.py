"""Vectors kept between runs, in a folder or any byte store. Knows keys and bytes, no models.

An entry is a header in ``struct`` format ``<4sBI8s`` (magic number, 1 if the text was cut, dimensions,
checksum of the key and of everything behind it), then the vector in little-endian fp16.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
from langchain_core.stores import BaseStore, ByteStore
from numpy.typing import NDArray

from qwen_agentkit.errors import InputError

__all__ = ["CachedVector", "FolderStore", "VectorCache", "open_store"]

_MAGIC = b"QAV1"
_HEADER = struct.Struct("<4sBI8s")
_KEY = re.compile(r"[0-9A-Za-z_-]{1,200}")


class FolderStore(BaseStore[str, bytes]):
    """A LangChain byte store in a folder, with one file for each entry. Needs no server and no lock.

    A value is written to a temporary file and renamed in one step, so threads, processes and machines that
    share the folder read a whole entry or none, and a damaged file loses one entry. A single database file
    would be faster to list, but it needs locks, which network folders lack, and damage loses all of it.

    Args:
        folder: Where the files are; it is created at the first write.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).expanduser()

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of `keys`; None for each that is missing or cannot be read."""
        return [_read(self._path(key)) for key in keys]

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Write values, each in one step.

        Raises:
            OSError: The folder cannot be written.
        """
        for key, value in key_value_pairs:
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_name(f".{uuid4().hex}")
            try:
                fresh.write_bytes(value)
                os.replace(fresh, path)
            except OSError:
                fresh.unlink(missing_ok=True)
                raise

    def mdelete(self, keys: Sequence[str]) -> None:
        """Delete entries; a missing one is not an error."""
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """Yield the keys that start with `prefix`, in no order."""
        for path in self._folder.glob("*/*"):
            if path.name.startswith(prefix or "") and _KEY.fullmatch(path.name):
                yield path.name

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise InputError(
                f"The key {key!r} cannot be a file name; expected 1 to 200 letters, digits, '_' and '-'. "
                "Hash the key first."
            )
        return self._folder / key[:2] / key


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # missing, or not readable: either way it is computed again
        return None


def open_store(cache: str | Path | ByteStore) -> ByteStore:
    """Return the byte store that a `cache=` setting names: a folder, or the store itself."""
    return FolderStore(cache) if isinstance(cache, str | Path) else cache


class CachedVector(NamedTuple):
    """A whole vector, of length one before it was rounded, and whether its text was cut."""

    vector: NDArray[np.float16]
    cut: bool


class VectorCache:
    """Vectors of one embedder in a byte store.

    Args:
        store: Where the entries are.
        embedder: Everything besides the text that decides about a vector: model, revision, number type,
            lengths.
        dimensions: Length of each vector.
    """

    def __init__(self, store: ByteStore, embedder: dict[str, str | int | bool], dimensions: int) -> None:
        self._store = store
        self._embedder = json.dumps(embedder, sort_keys=True)
        self._dimensions = dimensions

    def read(self, texts: Sequence[str]) -> list[CachedVector | None]:
        """Return the entry of each text, prompt included; None where it is missing or damaged."""
        keys = [self._key(text) for text in texts]
        entries = self._store.mget(keys)
        return [_decode(key, entry, self._dimensions) for key, entry in zip(keys, entries, strict=True)]

    def write(self, vectors: dict[str, CachedVector]) -> None:
        """Store entries by their texts, prompts included; warn if the folder cannot be written."""
        keys = {self._key(text): entry for text, entry in vectors.items()}
        try:
            self._store.mset([(key, _encode(key, entry)) for key, entry in keys.items()])
        except OSError as error:
            warnings.warn(
                f"The cache of vectors cannot be written, so they will be computed again: {error}. "
                "Free space, or pass another folder as cache.",
                stacklevel=5,
            )

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self._embedder}\n{text}".encode()).hexdigest()


def _encode(key: str, entry: CachedVector) -> bytes:
    payload = entry.vector.astype("<f2").tobytes()
    head = (bool(entry.cut), len(entry.vector))
    return _HEADER.pack(_MAGIC, *head, _checksum(key, *head, payload)) + payload


def _decode(key: str, data: bytes | None, dimensions: int) -> CachedVector | None:
    if not isinstance(data, bytes) or len(data) != _HEADER.size + 2 * dimensions:
        return None
    magic, cut, size, checksum = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if (magic, size, checksum) != (_MAGIC, dimensions, _checksum(key, cut, dimensions, payload)):
        return None
    return CachedVector(np.frombuffer(payload, dtype="<f2"), bool(cut))


def _checksum(key: str, cut: int, dimensions: int, payload: bytes) -> bytes:
    """Return eight bytes that depend on the key too, so that an entry copied to another key is refused."""
    content = key.encode() + struct.pack("<BI", cut, dimensions) + payload
    return hashlib.blake2b(content, digest_size=8).digest()
