#!/usr/bin/env bash
# chromadb 1.5.9: Collection.delete(ids=[...]) answers how many ids it was given, not how many records it deleted. A
# caller that checks whether a document is gone, or counts deletions, is told of deletions that never were.
# delete(where=...) counts what it deleted.
#
# Documented (DeleteResult of Collection.delete): "deleted: The number of records deleted"
# Seen: deleting "a", which is there, and two ids that are not; then a filter that finds nothing; records left of 2:
#       {'deleted': 3} {'deleted': 0} 1
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet chromadb==1.5.9

cat >delete.py <<'PYTHON'
import chromadb

docs = chromadb.PersistentClient("store").create_collection("docs", embedding_function=None)
docs.add(ids=["a", "b"], embeddings=[[1.0, 0.0], [0.0, 1.0]], metadatas=[{"n": 1}, {"n": 2}])
by_ids = docs.delete(ids=["a", "unknown", "nowhere"])
by_filter = docs.delete(where={"n": 7})
print(by_ids, by_filter, docs.count())
if (by_ids["deleted"], by_filter["deleted"], docs.count()) != (3, 0, 1):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python delete.py
