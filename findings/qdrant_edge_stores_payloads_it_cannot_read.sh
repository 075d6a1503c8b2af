#!/usr/bin/env bash
# qdrant-edge-py 0.9.0: a payload that is nested 127 levels deep is stored without an error, and cannot be read again.
# Every scroll and every search that meets the point fails, and so does deleting it. The other points of the page are
# not returned either, so that one document stops whoever reads the whole shard.
#
# Documented (Point): "payload: Payload data to associate with the point", a Dict[str, Any]; no depth is named.
# Seen: 126 levels: 1 point read
#       127 levels: stored; then reading: ... recursion limit exceeded; deleting: ... recursion limit exceeded
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet qdrant-edge-py==0.9.0

cat >deep.py <<'PYTHON'
import qdrant_edge as edge


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return {"value": value}


config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Cosine))
shard = edge.EdgeShard.create("shard", config)


def store(depth):
    point = edge.Point(id=depth, vector=[1.0, 0.0], payload=nested(depth))
    shard.update(edge.UpdateOperation.upsert_points([point]))


def error_of(work):
    try:
        work()
    except Exception as error:
        return str(error)
    return "no error"


def read():
    return shard.scroll(edge.ScrollRequest(limit=9, with_payload=True))[0]


store(126)
print("126 levels:", len(read()), "point read")
store(127)
reading = error_of(read)
deleting = error_of(lambda: shard.update(edge.UpdateOperation.delete_points([127])))
print("127 levels: stored; then reading:", reading, "; deleting:", deleting)
if not all("recursion limit exceeded" in error for error in (reading, deleting)):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python deep.py
