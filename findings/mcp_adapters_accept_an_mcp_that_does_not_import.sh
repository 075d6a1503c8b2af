#!/usr/bin/env bash
# langchain-mcp-adapters 0.3.0 declares mcp>=1.9.2, and mcp 1.12.4 declares pydantic without an upper bound. pip
# installs the three together with pydantic 2.14.4 and reports no conflict, and then the adapters cannot be imported:
# mcp 1.12.4 imports a private name of pydantic, which is gone.
#
# Seen: ImportError: cannot import name 'eval_type_backport' from 'pydantic._internal._typing_extra'
# Consequence: whoever pins an older mcp for another reason loses the adapters after an update of pydantic.
#
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet langchain-mcp-adapters==0.3.0 mcp==1.12.4 pydantic==2.14.4 langchain-core==1.8.3
"$work/venv/bin/pip" check
said=$("$work/venv/bin/python" -c "import langchain_mcp_adapters.client" 2>&1 | tail -n 1) || true
echo "$said"
case "$said" in
  *"cannot import name 'eval_type_backport'"*) ;;
  *) echo "the behavior has changed"; exit 1 ;;
esac
