#!/usr/bin/env bash
# pydantic's JSON schema of NaiveDatetime describes only values that NaiveDatetime refuses.
#
# Version: pydantic 2.14.4, jsonschema 4.26.0 with its format checks.
# Documentation (pydantic, JSON Schema): the schema says what is valid. JSON Schema 2020-12, 7.3.1: "date-time" is
#   RFC 3339's date-time, which ends with "Z" or an offset.
# What happens instead: the schema is {"type": "string", "format": "date-time"}. A text that fits it has an offset, and
#   pydantic refuses that; what pydantic takes does not fit. So a model that is held to the schema never gives an
#   object that can be read.
# Output seen:
#   2026-01-02T03:04:05Z fits the schema: True, is read: False
#   2026-01-02T03:04:05 fits the schema: False, is read: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydantic==2.14.4 jsonschema==4.26.0 rfc3339-validator==0.1.4
"$folder/venv/bin/python" - <<'PYTHON'
from jsonschema import Draft202012Validator
from pydantic import NaiveDatetime, TypeAdapter, ValidationError

adapter = TypeAdapter(NaiveDatetime)
checker = Draft202012Validator(adapter.json_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def is_read(text):
    try:
        adapter.validate_json(f'"{text}"')
    except ValidationError:
        return False
    return True


found = []
for text in ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"):
    found.append((checker.is_valid(text), is_read(text)))
    print(f"{text} fits the schema: {found[-1][0]}, is read: {found[-1][1]}")
assert found == [(True, False), (False, True)], "the schema and the reader agree on something now"
PYTHON
