"""Who may ask: authentication of a LangGraph server, whose groups decide which documents a user finds.

It is a part of a server, not a script: pip install 'qwen-agentkit[studio]', then:

1. Put the documents into one folder for each group, set QWEN_AGENTKIT_GROUPS=1, and run the graph `ingest`,
   or while the server is down: qwen-agentkit ingest documents --groups
2. Name this file in langgraph.json; Studio's own way in has to be closed:

       "auth": {"path": "./examples/auth.py:auth", "disable_studio_auth": true}
3. List the users in a JSON file, and name it in QWEN_AGENTKIT_USERS:

       {"SHA-256 of anna's token": {"identity": "anna", "groups": ["crew"], "admin": false}}

   A token: openssl rand -hex 32. Its hash: printf %s TOKEN | sha256sum
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid5

from langgraph_api.graph import NAMESPACE_GRAPH
from langgraph_sdk import Auth

auth = Auth()

# Read when the server starts: a missing or broken file stops it instead of letting everybody in.
_USERS: dict[str, Any] = json.loads(Path(os.environ["QWEN_AGENTKIT_USERS"]).read_text(encoding="utf-8"))
_INGEST = uuid5(NAMESPACE_GRAPH, "ingest")


@auth.authenticate
async def authenticate(authorization: str | None) -> Any:
    """The user of a bearer token; `groups` is what `GroupRetriever` goes by."""
    scheme, _, token = (authorization or "").partition(" ")
    user = _USERS.get(hashlib.sha256(token.encode()).hexdigest())
    if scheme.lower() != "bearer" or user is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Expected the bearer token of a user.")
    return {"identity": user["identity"], "groups": user["groups"], "admin": user.get("admin", False)}


@auth.on
async def refuse(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """What is not allowed below is forbidden: assistants of one's own, schedules, the server's store."""
    return False


@auth.on.assistants.read
@auth.on.assistants.search
async def see_graphs(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everybody sees which graphs there are."""
    return True


@auth.on.threads
async def own_threads(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Everybody has threads of their own, and sees no others."""
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.create_run
async def run_graphs(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Everybody asks on their own threads; only an administrator changes what is stored."""
    if value["assistant_id"] == _INGEST and not ctx.user["admin"]:
        raise Auth.exceptions.HTTPException(status_code=403, detail="Only an administrator may ingest.")
    return await own_threads(ctx, value)
