"""What servers with the same routes do differently: rows of data, and how to tell them apart. Knows no chats.

Sources: the documentation of vLLM (thinking_token_budget, score templates), SGLang (rerank `instruct`),
Ollama (OpenAI compatibility), llama.cpp's server (chat_template_kwargs, thinking_budget_tokens), LM Studio
and Text Embeddings Inference, and the source of `transformers serve` 5.23 and of the server in
llama-cpp-python 0.3.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwen_agentkit.errors import (
    InputError,
    ServerAnswerError,
    ServerFailedError,
    ServerModelError,
    ServerRefusedError,
)
from qwen_agentkit.server.http import Server

__all__ = ["FLAVORS", "Flavor", "check_model", "detect_server"]


@dataclass(frozen=True)
class Flavor:
    """One kind of server.

    Attributes:
        name: As callers write it.
        switch: How thinking is switched: variables of the chat template, or `reasoning_effort`; None if there
            is no way to do it in a request.
        budget: Field that holds the most tokens of thought; None if it has none that it is sure to keep.
        ignores: Fields of a chat that it would refuse, or drop without a word.
        lists_models: Whether its list of models is all that it answers for.
        base64: Whether it can send vectors as bytes.
        bare_schema: Whether it takes the schema of an object as `{"type": "json_object", "schema"}` only.
        named_choice: Whether `tool_choice` may name a tool; else it is a word, such as "required".
        quiet_streams: Whether its streams leave out the usage, and the reason where there is no answer.
        loads_models: Whether it loads what it is asked for, and only fails (500) where that cannot be had.
    """

    name: str
    switch: Literal["template", "effort"] | None = None
    budget: str | None = None
    ignores: frozenset[str] = frozenset()
    lists_models: bool = False
    base64: bool = False
    bare_schema: bool = False
    named_choice: bool = True
    quiet_streams: bool = False
    loads_models: bool = False


_BEYOND_OPENAI = frozenset({"top_k", "min_p", "repetition_penalty"})

FLAVORS = {
    flavor.name: flavor
    for flavor in (
        Flavor("vllm", "template", "thinking_token_budget", lists_models=True, base64=True),
        Flavor("sglang", "template", lists_models=True),
        # The llama.cpp servers and LM Studio know the last of them by another name.
        Flavor(
            "llama.cpp",
            "template",
            "thinking_budget_tokens",
            ignores=frozenset({"repetition_penalty"}),
            lists_models=True,
            base64=True,
            named_choice=False,
        ),
        # It takes reasoning_effort="none"; sampling beyond OpenAI's belongs into its Modelfile.
        Flavor("ollama", "effort", ignores=_BEYOND_OPENAI | {"parallel_tool_calls"}),
        Flavor(
            "lmstudio",
            ignores=frozenset({"min_p", "parallel_tool_calls", "repetition_penalty"}),
            lists_models=True,
            named_choice=False,
        ),
        Flavor(
            "transformers",
            "template",
            ignores=_BEYOND_OPENAI
            | {
                *("parallel_tool_calls", "presence_penalty", "reasoning_effort", "response_format"),
                *("stream_options", "tool_choice"),
            },
            loads_models=True,
        ),
        # Another server than llama.cpp's own. It drops fields it does not know.
        Flavor(
            "llama-cpp-python",
            ignores=frozenset({"parallel_tool_calls", "repetition_penalty", "stream_options"}),
            lists_models=True,
            bare_schema=True,
            quiet_streams=True,
        ),
        Flavor("openai", ignores=_BEYOND_OPENAI),
    )
}
"""By name; "openai" is any other server."""

# What a server writes into `owned_by` of its own models.
_OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama.cpp",
    "library": "ollama",
    "organization_owner": "lmstudio",
}

# A route that only this kind of server has.
_ROUTES = {"/load_model": "transformers", "/extras/tokenize/count": "llama-cpp-python"}


def detect_server(server: Server, name: str | None, models: Sequence[dict[str, Any]]) -> Flavor:
    """Find out what kind of server it is.

    Args:
        server: What to ask.
        name: One of `FLAVORS`, which is believed; None asks.
        models: What it says of its models.

    Raises:
        InputError: There is no such kind.
        ServerError: It does not answer, or is busy: what it is would be a guess.
    """
    if name is not None:
        if name not in FLAVORS:
            raise InputError(f"server={name!r} is unknown; expected one of {', '.join(FLAVORS)}, or None.")
        return FLAVORS[name]
    owners = (str(row.get("owned_by")) for row in models)
    if owner := next((_OWNERS[owner] for owner in owners if owner in _OWNERS), None):
        return FLAVORS[owner]
    if _has(server, "/api/version", "version"):
        return FLAVORS["ollama"]
    routes = _has(server, "/openapi.json", "paths") or {}
    return FLAVORS[next((name for route, name in _ROUTES.items() if route in routes), "openai")]


def check_model(server: Server, flavor: Flavor, model: str, models: Sequence[dict[str, Any]]) -> None:
    """Refuse a model that is not there; some servers would answer with another one.

    Raises:
        ServerModelError: It names those that are.
    """
    names = [name for row in models for name in (row["id"], *(row.get("aliases") or ()))]
    if flavor.lists_models and names and model not in names:
        raise ServerModelError(
            f"{server.root} has no model {model!r}; it has {', '.join(map(repr, names))}. Pass one of them "
            "as model=."
        )


def _has(server: Server, path: str, key: str) -> Any:
    """Return a value of the JSON object at a path, None if there is none."""
    try:
        found = server.get(path)
    except (ServerRefusedError, ServerFailedError, ServerAnswerError):
        return None
    return found.get(key) if isinstance(found, dict) else None
