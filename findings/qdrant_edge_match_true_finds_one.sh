#!/usr/bin/env bash
# qdrant-edge-py 0.9.0: MatchValue(True) finds the integer 1, and never the value true.
#
# Documented (MatchValue): the value is a text, an integer or a boolean. Qdrant keeps booleans apart from integers, and
#   the memory mode of qdrant-client, which follows its server, does so, too.
# Seen: which of the values 1, true, 0 and false are found:
#       qdrant-edge   True: [1]    False: [0]
#       qdrant-client True: [True] False: [False]
# Consequence: no filter for a boolean finds anything, and its negation excludes nothing.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet qdrant-edge-py==0.9.0 qdrant-client==1.20.0

cat >match.py <<'PYTHON'
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

VALUES = [1, True, 0, False]
VECTOR = [1.0, 0.0]

shard = edge.EdgeShard.create(
    "shard", edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Cosine))
)
points = [edge.Point(id=n, vector={"": VECTOR}, payload={"flag": value}) for n, value in enumerate(VALUES)]
shard.update(edge.UpdateOperation.upsert_points(points))

client = QdrantClient(":memory:")
client.create_collection("flags", models.VectorParams(size=2, distance=models.Distance.COSINE))
client.upsert(
    "flags",
    [models.PointStruct(id=n, vector=VECTOR, payload={"flag": value}) for n, value in enumerate(VALUES)],
)


def find_in_edge(value):
    condition = edge.FieldCondition(key="flag", match=edge.MatchValue(value))
    found, _ = shard.scroll(edge.ScrollRequest(filter=edge.Filter(must=[condition])))
    return [point.payload["flag"] for point in found]


def find_in_client(value):
    condition = models.FieldCondition(key="flag", match=models.MatchValue(value=value))
    found, _ = client.scroll("flags", models.Filter(must=[condition]))
    return [point.payload["flag"] for point in found]


seen = {}
for name, find in (("qdrant-edge", find_in_edge), ("qdrant-client", find_in_client)):
    seen[name] = f"True: {find(True)} False: {find(False)}"
    print(name, seen[name])
assert seen["qdrant-client"] == "True: [True] False: [False]"
assert seen["qdrant-edge"] == "True: [1] False: [0]", "the finding is out of date"
PYTHON
venv/bin/python match.py
