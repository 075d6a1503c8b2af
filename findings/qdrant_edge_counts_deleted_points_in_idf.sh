#!/usr/bin/env bash
# qdrant-edge-py 0.9.0: the statistics of a sparse vector with the IDF modifier count deleted points until the shard
# is loaded again. A process that runs for weeks ranks by documents that are gone; flush() and optimize() do not
# help. With a corpus of all points, IdfParams(corpus=Filter()), the statistics are right at once.
#
# Documented (IdfParams): "If None, statistics are collection-wide (global)."
# Seen: the score of a rare word before deleting, after it, with a corpus, and after loading again:
#       3.7054 3.7054 0.2877 0.2877
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet qdrant-edge-py==0.9.0

cat >scores.py <<'PYTHON'
import qdrant_edge as edge

config = edge.EdgeConfig(
    vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Cosine),
    sparse_vectors={"words": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
)
shard = edge.EdgeShard.create("shard", config)
words = [edge.SparseVector([1 if number else 2], [1.0]) for number in range(60)]
points = [
    edge.Point(id=number, vector={"": [1.0, 0.0], "words": vector}, payload={})
    for number, vector in enumerate(words)
]
shard.update(edge.UpdateOperation.upsert_points(points))


def score(params=None):
    nearest = edge.Query.Nearest(edge.SparseVector([2], [1.0]), using="words")
    [found] = shard.query(edge.QueryRequest(limit=1, query=nearest, params=params))
    return round(found.score, 4)


before = score()
shard.update(edge.UpdateOperation.delete_points(list(range(1, 60))))
shard.flush()
shard.optimize()
after = score()
corpus = score(edge.SearchParams(idf=edge.IdfParams(corpus=edge.Filter())))
shard.close()
shard = edge.EdgeShard.load("shard")
loaded = score()
print(before, after, corpus, loaded)
if not (before == after != corpus == loaded):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python scores.py
