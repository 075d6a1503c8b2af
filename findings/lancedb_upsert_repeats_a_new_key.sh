#!/usr/bin/env bash
# lancedb 0.40.0: an upsert whose new rows share a key stores all of them, so that the key is there twice. If the key is
# in the table already, the same upsert is refused as ambiguous. After that, every upsert of the key changes both rows.
#
# Documented (merge_insert): 'This operation ... can be used to create behaviors like "insert if not exists", "update or
# insert (i.e. upsert)"', and on: "Typically this is some kind of key or id column."
# Seen: rows of a new key after one upsert of two; of a key that was there; after another upsert of the new key:
#       2 refused ['third', 'third']
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet lancedb==0.40.0

cat >upsert.py <<'PYTHON'
import lancedb

table = lancedb.connect("store").create_table("docs", [{"id": 1, "text": "old"}])


def upsert(*rows):
    merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
    merge.execute([{"id": id, "text": text} for id, text in rows])


upsert((2, "first"), (2, "second"))
new = table.count_rows("id = 2")
try:
    upsert((1, "first"), (1, "second"))
    known = "stored"
except ValueError as error:
    known = "refused" if "Ambiguous" in str(error) else str(error)
upsert((2, "third"))
texts = [row["text"] for row in table.search().where("id = 2").to_list()]
print(new, known, texts)
if (new, known, texts) != (2, "refused", ["third", "third"]):
    raise SystemExit("the finding is out of date")
PYTHON
venv/bin/python upsert.py
