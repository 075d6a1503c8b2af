#!/usr/bin/env bash
# qdrant-edge-py 0.9.0: MatchValue(True) finds the points whose value is the integer 1, and not those whose value is
# true; MatchValue(False) finds 0. MatchAny does the same. QdrantClient(":memory:") of
# qdrant-client 1.20.0 finds true for True alone.
#
# Documented (MatchValue): "Match exact value. value: Union[str, int, bool]"
# Seen: the ids of the points with True, 1, False, 0 that MatchValue(True) and MatchValue(False) find:
#       [2] [4]
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet qdrant-edge-py==0.9.0

cat >booleans.py <<'PYTHON'
import qdrant_edge as edge

config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Cosine))
shard = edge.EdgeShard.create("shard", config)
points = [
    edge.Point(id=number, vector=[1.0, 0.0], payload={"public": value})
    for number, value in enumerate([True, 1, False, 0], 1)
]
shard.update(edge.UpdateOperation.upsert_points(points))


def find(value):
    condition = edge.FieldCondition(key="public", match=edge.MatchValue(value))
    found, _ = shard.scroll(edge.ScrollRequest(limit=9, filter=edge.Filter(must=[condition])))
    return [record.id for record in found]


print(find(True), find(False))
if (find(True), find(False)) != ([2], [4]):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python booleans.py
