#!/usr/bin/env bash
# milvus-lite 3.2.2: one large number in a row makes filters of all other rows fail.
#
# Version: milvus-lite 3.2.2, pymilvus 3.0.2.
# Documentation (Milvus, Basic Operators): fields of numbers are compared with numbers, INT64 ones among them. INT64 holds
#   whole numbers of 64 bits, such as ids and times in nanoseconds.
# What happens instead: a comparison with a number that has a point is made in floats, and fails where any row of the
#   collection has a whole number beyond 2**53, even if the filter excludes that row.
# Output seen:
#   size > 0.5 finds [1]
#   after a row with a large number: Integer value 9007199254740993 not in range: -9007199254740992 to 9007199254740992
#   size > 0 finds [1, 2]
#
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet milvus-lite==3.2.2 pymilvus==3.0.2
"$folder/venv/bin/python" -W ignore - "$folder/test.db" <<'PYTHON'
import logging
import sys

from pymilvus import DataType, MilvusClient, MilvusException

logging.disable(logging.CRITICAL)
client = MilvusClient(sys.argv[1])
schema = client.create_schema()
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("size", DataType.INT64)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
indexes = client.prepare_index_params()
indexes.add_index("vector", index_type="FLAT", metric_type="COSINE")
client.create_collection("files", schema=schema, index_params=indexes)


def insert(number, size):
    client.insert("files", [{"id": number, "size": size, "vector": [1.0, 0.0]}])


def find(condition):
    return sorted(row["id"] for row in client.query("files", filter=condition, output_fields=["id"]))


insert(0, 0)
insert(1, 1)
print("size > 0.5 finds", find("size > 0.5"))
insert(2, 2**53 + 1)
try:
    found = find("id < 2 and size > 0.5")
except MilvusException as error:
    print("after a row with a large number:", error.message)
    assert "not in range" in error.message
else:
    raise SystemExit(f"found {found}: the finding is out of date")
print("size > 0 finds", find("size > 0"))
assert find("size > 0") == [1, 2]
PYTHON
