#!/usr/bin/env bash
# xllamacpp 2026.10.11549 and uharfbuzz 0.57.0 cannot be imported in one process. Each installs and imports alone.
#
# Cython keeps its types in a module of the process that all extensions of one Cython version and one kind of interface
# share, here `_cython_3_3_0limitednofinalize`. Both wheels are abi3 and were built by Cython 3.3.0, but their
# `cython_function_or_method` has 160 and 152 bytes. Whichever comes second fails with a TypeError, not with an
# ImportError, so that `try: import ... except ImportError` does not help. pip finds no conflict.
#
# Seen: "TypeError: Shared Cython type cython_function_or_method has the wrong size, try recompiling", in both orders.
# With uharfbuzz 0.56.0 both are imported.
# Consequence: a program that shapes PDF text and runs GGUF files must pin one of them, or use two processes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet xllamacpp==2026.10.11549 uharfbuzz==0.57.0
try() { "$work/venv/bin/python" -c "$1" 2>&1 | tail -1 || true; }
for names in "xllamacpp, uharfbuzz" "uharfbuzz, xllamacpp"; do
    told=$(try "import $names; print('imported')")
    echo "import $names: $told"
    [[ $told == *"wrong size"* ]] || { echo "the behavior has changed"; exit 1; }
done
"$work/venv/bin/pip" install --quiet uharfbuzz==0.56.0
told=$(try "import xllamacpp, uharfbuzz; print('imported')")
echo "with uharfbuzz 0.56.0: $told"
[ "$told" = imported ]
