"""One vector store in a process of its own, which does what it is told, line by line; for `stores`.

Needs numpy and the store alone, so that peers can live in another environment::

    python tests/benchmarks/store_worker.py NAME FOLDER NUMBER QUERIES

Requests are JSON lists on standard input: ["insert"], ["query", number, filtered], ["memory"], ["reopen"]. An
answer is a JSON dictionary with the "seconds" it took, and those of "processor" time, which a busy machine
disturbs less.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS, K, GROUPS = 1024, 10, 100
WORDS = 20_000


class Data:
    """Clustered vectors whose first numbers weigh most, and texts of words as rare as in a language."""

    def __init__(self, number: int, queries: int) -> None:
        rng = np.random.default_rng(1)
        weights = ((1 + np.arange(DIMENSIONS) / 64) ** -0.5).astype(np.float32)
        centers = rng.standard_normal((number // 50 + 1, DIMENSIONS), np.float32)

        def near(count: int, noise: float) -> Any:
            around = centers[rng.integers(0, len(centers), count)]
            rows = (around + noise * rng.standard_normal((count, DIMENSIONS), np.float32)) * weights
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)

        self.number = number
        self.vectors, self.queries = near(number, 0.7), near(queries, 0.9)
        self.words = np.minimum(rng.zipf(1.3, (number, 60)), WORDS)
        self.asked = np.minimum(rng.zipf(1.3, (queries, 6)), WORDS)

    def text(self, words: Any) -> str:
        return " ".join(f"w{word}" for word in words)

    def sparse(self, words: Any) -> tuple[list[int], list[float]]:
        found, counts = np.unique(words, return_counts=True)
        return found.tolist(), counts.astype(float).tolist()


class Ours:
    """QwenVectorStore; `options` are of its constructor."""

    def __init__(self, folder: Path, data: Data, **options: Any) -> None:
        from langchain_core.embeddings import Embeddings

        from qwen_agentkit.vectorstores.store import QwenVectorStore

        class Given(Embeddings):
            def embed_array(self, texts: list[str]) -> Any:
                return self.rows

            def embed_documents(self, texts: list[str]) -> Any:
                return self.rows.tolist()

            def embed_query(self, text: str) -> Any:
                return self.query

        self._given = Given()
        self._store = QwenVectorStore(self._given, path=folder / "store", **options)

    def insert(self, data: Data, rows: range) -> None:
        self._given.rows = data.vectors[rows]
        texts = [data.text(data.words[row]) for row in rows]
        metadatas = [{"group": f"g{row % GROUPS}", "language": "en"} for row in rows]
        self._store.add_texts(texts, metadatas, ids=[str(row) for row in rows])

    def finish(self) -> None:
        """Nothing: what was added can be searched."""

    def query(self, data: Data, number: int, filter: str | None) -> list[int]:
        self._given.query = data.queries[number].tolist()
        text, condition = data.text(data.asked[number]), {"group": filter} if filter else None
        return [int(document.id or 0) for document in self._store.similarity_search(text, K, condition)]

    def nearest(self, data: Data, number: int) -> list[int]:
        found = self._store.similarity_search_by_vector(data.queries[number].tolist(), K)
        return [int(document.id or 0) for document in found]

    def close(self) -> None:
        self._store.close()


class Qdrant:
    """qdrant-client's local mode, with sparse vectors and its fusion of ranks."""

    def __init__(self, folder: Path, data: Data) -> None:
        from qdrant_client import QdrantClient, models

        self._models, self._client = models, QdrantClient(path=str(folder / "qdrant"))
        if not self._client.collection_exists("docs"):
            self._client.create_collection(
                "docs",
                models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE),
                sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )

    def insert(self, data: Data, rows: range) -> None:
        points = [
            self._models.PointStruct(
                id=row,
                vector={"": data.vectors[row].tolist(), "words": self._sparse(data, data.words[row])},
                payload={"text": data.text(data.words[row]), "group": f"g{row % GROUPS}"},
            )
            for row in rows
        ]
        self._client.upsert("docs", points)

    def finish(self) -> None:
        """Nothing: what was added can be searched."""

    def query(self, data: Data, number: int, filter: str | None) -> list[int]:
        models, condition = self._models, None
        if filter:
            match = models.FieldCondition(key="group", match=models.MatchValue(value=filter))
            condition = models.Filter(must=[match])
        legs: list[tuple[Any, str]] = [
            (data.queries[number].tolist(), ""),
            (self._sparse(data, data.asked[number]), "words"),
        ]
        prefetch = [
            models.Prefetch(query=query, using=using or None, limit=50, filter=condition)
            for query, using in legs
        ]
        fused = models.FusionQuery(fusion=models.Fusion.RRF)
        found = self._client.query_points("docs", prefetch=prefetch, query=fused, limit=K)
        return [int(point.id) for point in found.points]

    def nearest(self, data: Data, number: int) -> list[int]:
        found = self._client.query_points("docs", query=data.queries[number].tolist(), limit=K)
        return [int(point.id) for point in found.points]

    def _sparse(self, data: Data, words: Any) -> Any:
        indices, values = data.sparse(words)
        return self._models.SparseVector(indices=indices, values=values)

    def close(self) -> None:
        self._client.close()


class Chroma:
    """Chroma in a folder, which has no hybrid search: by meaning alone."""

    def __init__(self, folder: Path, data: Data) -> None:
        import chromadb

        client = chromadb.PersistentClient(str(folder / "chroma"))
        settings = {"hnsw": {"space": "cosine", "ef_search": 200}}
        self._docs = client.get_or_create_collection("docs", configuration=settings, embedding_function=None)

    def insert(self, data: Data, rows: range) -> None:
        self._docs.add(
            ids=[str(row) for row in rows],
            embeddings=data.vectors[rows],
            documents=[data.text(data.words[row]) for row in rows],
            metadatas=[{"group": f"g{row % GROUPS}"} for row in rows],
        )

    def finish(self) -> None:
        """Nothing: what was added can be searched."""

    def query(self, data: Data, number: int, filter: str | None) -> list[int]:
        where = {"group": filter} if filter else None
        include = ["documents", "metadatas"]
        found = self._docs.query(
            query_embeddings=[data.queries[number]], n_results=K, where=where, include=include
        )
        return [int(id) for id in found["ids"][0]]

    def nearest(self, data: Data, number: int) -> list[int]:
        return self.query(data, number, None)

    def close(self) -> None:
        """Nothing: it has no such method."""


class Lance:
    """LanceDB with a full-text index, an index of the groups, and exact search by meaning."""

    def __init__(self, folder: Path, data: Data) -> None:
        import lancedb

        self._db = lancedb.connect(str(folder / "lance"))
        self._table = self._db.open_table("docs") if "docs" in self._db.table_names() else None

    def insert(self, data: Data, rows: range) -> None:
        import pyarrow as pa

        vectors = pa.FixedSizeListArray.from_arrays(pa.array(data.vectors[rows].ravel()), DIMENSIONS)
        columns = {
            "id": pa.array(rows, pa.int64()),
            "vector": vectors,
            "text": pa.array([data.text(data.words[row]) for row in rows]),
            "group": pa.array([f"g{row % GROUPS}" for row in rows]),
        }
        table = pa.table(columns)
        if self._table is None:
            self._table = self._db.create_table("docs", table)
        else:
            self._table.add(table)

    def finish(self) -> None:
        self._table.create_fts_index("text", replace=True)
        self._table.create_scalar_index("group", replace=True)
        self._table.optimize()

    def query(self, data: Data, number: int, filter: str | None) -> list[int]:
        search = self._table.search(query_type="hybrid").vector(data.queries[number])
        search = search.distance_type("cosine").text(data.text(data.asked[number]))
        if filter:
            search = search.where(f"`group` = '{filter}'", prefilter=True)
        return search.limit(K).select(["id", "text", "group"]).to_arrow()["id"].to_pylist()

    def nearest(self, data: Data, number: int) -> list[int]:
        search = self._table.search(data.queries[number]).distance_type("cosine").limit(K)
        return search.select(["id"]).to_arrow()["id"].to_pylist()

    def close(self) -> None:
        """Nothing: it has no such method."""


class Milvus:
    """Milvus Lite with sparse vectors and its fusion of ranks."""

    def __init__(self, folder: Path, data: Data) -> None:
        from pymilvus import DataType, MilvusClient

        self._client = MilvusClient(str(folder / "milvus.db"))
        if not self._client.has_collection("docs"):
            schema = self._client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSIONS)
            schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
            schema.add_field("text", DataType.VARCHAR, max_length=4000)
            schema.add_field("group", DataType.VARCHAR, max_length=20)
            indexes = self._client.prepare_index_params()
            indexes.add_index("vector", index_type="FLAT", metric_type="COSINE")
            indexes.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
            self._client.create_collection("docs", schema=schema, index_params=indexes)
        self._client.load_collection("docs")

    def insert(self, data: Data, rows: range) -> None:
        self._client.insert(
            "docs",
            [
                {
                    "id": row,
                    "vector": data.vectors[row].tolist(),
                    "words": dict(zip(*data.sparse(data.words[row]), strict=True)),
                    "text": data.text(data.words[row]),
                    "group": f"g{row % GROUPS}",
                }
                for row in rows
            ],
        )

    def finish(self) -> None:
        self._client.flush("docs")

    def query(self, data: Data, number: int, filter: str | None) -> list[int]:
        from pymilvus import AnnSearchRequest, RRFRanker

        condition = f"group == '{filter}'" if filter else ""
        words = dict(zip(*data.sparse(data.asked[number]), strict=True))
        legs = [
            AnnSearchRequest(
                [data.queries[number].tolist()], "vector", {"metric_type": "COSINE"}, 50, condition
            ),
            AnnSearchRequest([words], "words", {"metric_type": "IP"}, 50, condition),
        ]
        [found] = self._client.hybrid_search("docs", legs, RRFRanker(60), K, output_fields=["text", "group"])
        return [int(hit["id"]) for hit in found]

    def nearest(self, data: Data, number: int) -> list[int]:
        [found] = self._client.search("docs", [data.queries[number].tolist()], anns_field="vector", limit=K)
        return [int(hit["id"]) for hit in found]

    def close(self) -> None:
        self._client.close()


STORES: dict[str, Any] = {
    "ours": Ours,
    "ours, scalar": lambda folder, data: Ours(folder, data, quantization="scalar"),
    "ours, binary": lambda folder, data: Ours(folder, data, quantization="binary"),
    "ours, two stages": lambda folder, data: Ours(folder, data, first_stage=256),
    "qdrant-client": Qdrant,
    "chroma": Chroma,
    "lancedb": Lance,
    "milvus-lite": Milvus,
}
BATCH = 1000


def resident() -> dict[str, float]:
    """Megabytes in memory: of the process alone, and of files that are mapped."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    sizes = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {"anonymous": int(sizes["RssAnon"][0]) / 1024, "mapped": int(sizes["RssFile"][0]) / 1024}


def main(name: str, folder: Path, number: int, queries: int) -> None:
    """Answer requests until there are no more."""
    data = Data(number, queries)
    exact = np.argsort(-(data.queries @ data.vectors.T), axis=1)[:, :K] if number else []
    store = STORES[name](folder, data)
    for line in sys.stdin:
        kind, *arguments = json.loads(line)
        answer: dict[str, Any] = {}
        started, worked = time.perf_counter(), time.process_time()
        if kind == "insert":
            for start in range(0, number, BATCH):
                store.insert(data, range(start, min(number, start + BATCH)))
            store.finish()
        elif kind == "query":
            query, filtered = arguments
            store.query(data, query, f"g{query % GROUPS}" if filtered else None)
        elif kind == "recall":
            hits = [set(store.nearest(data, query)) & set(exact[query].tolist()) for query in range(queries)]
            answer["recall"] = sum(map(len, hits)) / (queries * K)
        elif kind == "memory":
            data.vectors = data.words = None  # which are not the store's
            answer |= resident()
        elif kind == "reopen":
            store.close()
            started, worked = time.perf_counter(), time.process_time()
            store = STORES[name](folder, data)
            store.query(data, 0, None)
        answer["seconds"] = time.perf_counter() - started
        answer["processor"] = time.process_time() - worked
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
