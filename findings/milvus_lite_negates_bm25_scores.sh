#!/usr/bin/env bash
# milvus-lite 3.2.2: the scores of a full-text search are negative, and a bound on them lets everything through.
#
# Version: milvus-lite 3.2.2, pymilvus 3.0.2.
# Documentation (Milvus, Metric Types): the value of BM25 lies in [0, infinity). Range Search: with a metric whose larger
#   values are nearer, results lie above `radius`.
# What happens instead: `distance` is the BM25 score with a minus before it, so that the best text has the lowest value.
#   A `radius` of 1 keeps every text. Other metrics are right, and a hybrid search gives the positive score.
# Output seen:
#   search    {'cat cat cat': -1.1, 'the cat sat': -0.64}
#   radius 1  {'cat cat cat': -1.1, 'the cat sat': -0.64}
#   hybrid    {'cat cat cat': 1.1, 'the cat sat': 0.64}
# Consequence: a program that drops weak hits by a threshold works with a Milvus server, and drops all or none here.
#
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet milvus-lite==3.2.2 pymilvus==3.0.2
"$folder/venv/bin/python" -W ignore - "$folder/test.db" <<'PYTHON'
import sys

from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, WeightedRanker

TEXTS = ["the cat sat", "cat cat cat", "nothing here", "nor there"]

client = MilvusClient(sys.argv[1])
schema = client.create_schema()
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("text", DataType.VARCHAR, max_length=100, enable_analyzer=True)
schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
schema.add_function(Function("bm25", FunctionType.BM25, input_field_names=["text"], output_field_names=["words"]))
indexes = client.prepare_index_params()
indexes.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
client.create_collection("texts", schema=schema, index_params=indexes)
client.insert("texts", [{"id": number, "text": text} for number, text in enumerate(TEXTS)])


def show(name, hits):
    found = {hit["entity"]["text"]: round(hit["distance"], 2) for hit in hits[0]}
    print(f"{name:9} {found}")
    return found


def search(**params):
    settings = {"metric_type": "BM25", "params": params}
    return client.search("texts", ["cat"], anns_field="words", search_params=settings, output_fields=["text"])


plain = show("search", search())
bounded = show("radius 1", search(radius=1.0))
request = AnnSearchRequest(data=["cat"], anns_field="words", param={"metric_type": "BM25"}, limit=10)
ranker = WeightedRanker(1.0, norm_score=False)
hybrid = show("hybrid", client.hybrid_search("texts", [request], ranker=ranker, limit=10, output_fields=["text"]))
assert list(plain) == list(hybrid) == ["cat cat cat", "the cat sat"]
assert hybrid == {text: -score for text, score in plain.items()} and min(hybrid.values()) > 0
assert hybrid["the cat sat"] < 1.0 and bounded == plain, "the finding is out of date"
PYTHON
