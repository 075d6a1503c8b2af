"""Vectors or scores for a folder of Parquet files, from a server such as vLLM. Run it again to go on.

    python examples/bulk.py embed texts/ vectors/ --model Qwen/Qwen3-Embedding-0.6B
    python examples/bulk.py score pairs/ scores/ --model Qwen/Qwen3-Reranker-0.6B --base-url http://host:8001/v1

`embed` reads the column "text" and adds "vector"; `score` reads "query" and "text" and adds "score". Each
file becomes one of the same name, which is whole or not there. Needs `pip install pyarrow`.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from qwen_agentkit import QwenEmbeddings, QwenReranker
from qwen_agentkit.errors import QwenAgentKitError

MADE_BY = b"made by"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("task", choices=["embed", "score"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--model", required=True, help="as the server names it")
    parser.add_argument("--base-url", default="http://localhost:8000/v1")
    given = parser.parse_args()
    files = sorted(given.source.glob("*.parquet"))
    if not files:
        sys.exit(f"error: {str(given.source)!r} holds no *.parquet file; expected a folder of them")
    server = {"model": given.model, "base_url": given.base_url}
    if given.task == "embed":
        add = partial(with_vectors, QwenEmbeddings(**server))
    else:
        add = partial(with_scores, QwenReranker(**server))
    maker = json.dumps([given.task, given.model]).encode()
    given.target.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files, start=1):
        done = given.target / file.name
        if done.exists():
            check_maker(done, maker)
        else:
            table = add(parquet.read_table(file))
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), MADE_BY: maker})
            building = done.with_suffix(".part")
            parquet.write_table(table, building)
            building.replace(done)
        print(f"{number} of {len(files)}: {done}", flush=True)


def with_vectors(embeddings: QwenEmbeddings, table: pa.Table) -> pa.Table:
    vectors = embeddings.embed_array(table["text"].to_pylist())
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    return table.append_column("vector", column)


def with_scores(reranker: QwenReranker, table: pa.Table) -> pa.Table:
    """Rows of one query belong into one file: there they share its prompt."""
    pairs = list(zip(table["query"].to_pylist(), table["text"].to_pylist(), strict=True))
    return table.append_column("score", pa.array(reranker.score(pairs), pa.float32()))


def check_maker(file: Path, maker: bytes) -> None:
    """Stop rather than mix what two models made."""
    made = (parquet.read_schema(file).metadata or {}).get(MADE_BY)
    if made != maker:
        sys.exit(f"error: {str(file)!r} was made by {made!r}, not by {maker!r}; choose another folder")


if __name__ == "__main__":
    try:
        main()
    except QwenAgentKitError as error:
        sys.exit(f"error: {error}")
