"""Vectors on disk until a store has them: Parquet files, each whole or not there. Knows texts, no engine.

::

    FOLDER/5e01…77/             one folder per embedder, named by what it is
        b2c4…91.parquet         one shard, named by its texts: column "text" (SHA-256), column "vector" (fp32)

Whatever dies, a shard that is there was written to its end, and its texts are not embedded again.
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
"""Embeds texts: gives all of them back with their vectors, (n, dimensions), in parts and in any order."""


class ShardedEmbeddings(Embeddings):
    """An embedder whose documents are embedded elsewhere, part by part, and kept in files on the way.

    To a store it is the embedder it stands for: same vectors, same fingerprint.

    Args:
        embeddings: What it stands for; its own queries, its own name.
        folder: Where the shards lie; made when it is needed.
        compute: Embeds documents as `embeddings` would.
    """

    def __init__(self, embeddings: Embeddings, folder: Path, compute: Compute) -> None:
        self._embeddings, self._folder, self._compute = embeddings, folder, compute

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """What a store has to remember of the maker of its vectors."""
        found: dict[str, str | int] = getattr(self._embeddings, "fingerprint", None) or {}
        return found

    def prepare(self, texts: Iterable[str], progress: Callable[[int, int], None] | None = None) -> None:
        """Embed the texts that are in no shard yet, each once, and write every part as it comes.

        Args:
            texts: All that is about to be asked for.
            progress: Called with how many different texts are in shards, and of how many.

        Raises:
            StoreWriteError: Disk full or folder read-only; what is written is kept.
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
        """Vectors of documents as one array, (len(texts), dimensions)."""
        self.prepare(texts)
        places = [self._rows[_key(text)] for text in texts]
        shards = {file: _read(file)[1] for file in dict.fromkeys(file for file, _ in places)}
        return np.stack([shards[file][row] for file, row in places])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of documents, as LangChain's interface wants them."""
        vectors: list[list[float]] = self.embed_array(texts).tolist() if texts else []
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Vector of a query, by the embedder itself."""
        return self._embeddings.embed_query(text)

    def clear(self) -> None:
        """Delete all shards, also those of other embedders: the store has the vectors now."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.__dict__.pop("_rows", None)

    @cached_property
    def _own(self) -> Path:
        """Folder of this embedder's shards."""
        name = json.dumps(self.fingerprint, sort_keys=True).encode()
        return self._folder / hashlib.sha256(name).hexdigest()

    @cached_property
    def _rows(self) -> dict[bytes, tuple[Path, int]]:
        """Shard and row of each text, by its key; what an earlier run left is looked through once."""
        rows: dict[bytes, tuple[Path, int]] = {}
        for file in sorted(self._own.glob("*.parquet")):
            try:
                keys, _ = _read(file)
            except (OSError, ValueError):  # damaged, or not from here: its texts are embedded again
                continue
            rows.update((key, (file, row)) for row, key in enumerate(keys))
        return rows

    def _write(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write a shard beside its place and move it there whole."""
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
            self._own.mkdir(parents=True, exist_ok=True)
            # Vectors do not compress. The checksums tell a page that a power cut left unwritten.
            parquet.write_table(
                table, building, compression="none", use_dictionary=False, write_page_checksum=True
            )
            building.replace(file)
        except OSError as error:
            raise StoreWriteError(
                f"the folder {str(self._own)!r} cannot be written ({error}): expected a writable folder with "
                "free space; free some and run it again, to go on from here"
            ) from error
        self._rows.update((key, (file, row)) for row, key in enumerate(keys))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _read(file: Path) -> tuple[list[bytes], NDArray[np.float32]]:
    """Keys and vectors, (n, dimensions), of a shard.

    Raises:
        OSError: It cannot be read, or a checksum is wrong.
        ValueError: It is Parquet, but no shard.
    """
    table = parquet.read_table(file, page_checksum_verification=True).combine_chunks()
    expected = {"text": pa.types.is_fixed_size_binary, "vector": pa.types.is_fixed_size_list}
    if table.column_names != list(expected) or not all(
        fits(column.type) and not column.null_count
        for fits, column in zip(expected.values(), table.columns, strict=True)
    ):
        raise ValueError(f"{str(file)!r} has columns {table.schema}, expected those of a shard; delete it")
    vectors = table["vector"].combine_chunks()
    numbers = vectors.flatten().to_numpy().astype(np.float32, copy=False)
    return table["text"].to_pylist(), numbers.reshape(-1, vectors.type.list_size)
