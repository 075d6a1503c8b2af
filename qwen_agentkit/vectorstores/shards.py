"""Vectors kept in Parquet files until a store has them; each file is complete or absent.

::

    FOLDER/5e01…77/             one folder per embedder, named by its fingerprint
        b2c4…91.parquet         one shard, named by its texts: "text" (SHA-256), "vector" (fp32)

If a process dies, the texts of its finished shards are not embedded again. Knows texts and no engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from pyarrow import parquet

from qwen_agentkit.errors import StoreWriteError

__all__ = ["Compute", "ShardedEmbeddings"]

Compute = Callable[[list[str]], Iterable[tuple[list[str], NDArray[np.float32]]]]
"""Embeds texts: yields all of them with their vectors, (n, dimensions), in parts and in any order."""


class ShardedEmbeddings(Embeddings):
    """An embedder whose documents are embedded elsewhere, part by part, and kept in files meanwhile.

    A store cannot tell it from the embedder it replaces: vectors and fingerprint are the same.

    Args:
        embeddings: The embedder it replaces; it still embeds the queries.
        folder: The folder of the shards; created when needed.
        compute: Embeds documents as `embeddings` would.
    """

    def __init__(self, embeddings: Embeddings, folder: Path, compute: Compute) -> None:
        self._embeddings, self._folder, self._compute = embeddings, folder, compute

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """The fingerprint of the embedder it replaces."""
        found: dict[str, str | int] = getattr(self._embeddings, "fingerprint", None) or {}
        return found

    def prepare(self, texts: Iterable[str], progress: Callable[[int, int], None] | None = None) -> None:
        """Embed the texts that are in no shard yet, each once, and write every part when it is done.

        Args:
            texts: All texts that will be requested.
            progress: Called with the number of distinct texts in shards and their total.

        Raises:
            StoreWriteError: The disk is full or the folder is read-only; finished shards are kept.
        """
        wanted = dict.fromkeys(texts)
        missing = [text for text in wanted if _key(text) not in self._rows]
        tell = progress or (lambda done, total: None)
        done = len(wanted) - len(missing)
        tell(done, len(wanted))
        for part, vectors in self._compute(missing) if missing else ():
            self._write(part, vectors)
            done += len(part)
            tell(done, len(wanted))

    def embed_array(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of documents, of shape (len(texts), dimensions)."""
        self.prepare(texts)
        places = [self._rows[_key(text)] for text in texts]
        shards = {file: _read(file)[1] for file in dict.fromkeys(file for file, _ in places)}
        return np.stack([shards[file][row] for file, row in places])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents as lists."""
        vectors: list[list[float]] = self.embed_array(texts).tolist() if texts else []
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Embed a query with the embedder itself."""
        return self._embeddings.embed_query(text)

    def clear(self) -> None:
        """Delete all shards, also those of other embedders. Call it when the store has the vectors."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.__dict__.pop("_rows", None)

    @cached_property
    def _own(self) -> Path:
        """The folder of this embedder's shards."""
        name = json.dumps(self.fingerprint, sort_keys=True).encode()
        return self._folder / hashlib.sha256(name).hexdigest()

    @cached_property
    def _rows(self) -> dict[bytes, tuple[Path, int]]:
        """The shard and the row of each text, by its key. Shards of earlier runs are read once."""
        rows: dict[bytes, tuple[Path, int]] = {}
        for file in sorted(self._own.glob("*.parquet")):
            try:
                keys, _ = _read(file)
            except (OSError, ValueError):  # Damaged or foreign: its texts are embedded again.
                continue
            rows.update((key, (file, row)) for row, key in enumerate(keys))
        return rows

    def _write(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write a shard under another name and rename it, so that it is never incomplete."""
        keys = [_key(text) for text in texts]
        file = self._own / f"{hashlib.sha256(b''.join(keys)).hexdigest()}.parquet"
        building = file.with_suffix(f".{os.getpid()}")
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
        columns = [
            pa.array(keys, pa.binary(hashlib.sha256().digest_size)),
            pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        ]
        table = pa.table(columns, ["text", "vector"])
        try:
            self._own.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Vectors do not compress. Checksums detect pages that a power cut left unwritten.
            parquet.write_table(
                table, building, compression="none", use_dictionary=False, write_page_checksum=True
            )
            building.replace(file)
        except OSError as error:
            raise StoreWriteError(
                f"The folder {str(self._own)!r} cannot be written ({error}); expected a writable folder with "
                "free space. Free some space and run it again to continue."
            ) from error
        self._rows.update((key, (file, row)) for row, key in enumerate(keys))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _read(file: Path) -> tuple[list[bytes], NDArray[np.float32]]:
    """Return the keys and vectors, (n, dimensions), of a shard.

    Raises:
        OSError: It cannot be read, or a checksum is wrong.
        ValueError: It is a Parquet file but no shard.
    """
    table = parquet.read_table(file, page_checksum_verification=True).combine_chunks()
    expected = {"text": pa.types.is_fixed_size_binary, "vector": pa.types.is_fixed_size_list}
    if table.column_names != list(expected) or not all(
        fits(column.type) and not column.null_count
        for fits, column in zip(expected.values(), table.columns, strict=True)
    ):
        raise ValueError(f"{str(file)!r} has columns {table.schema}; expected those of a shard. Delete it.")
    vectors = table["vector"].combine_chunks()
    numbers = vectors.flatten().to_numpy().astype(np.float32, copy=False)
    return table["text"].to_pylist(), numbers.reshape(-1, vectors.type.list_size)
