"""How kinds of servers with the same routes differ, as rows of data, and which kind a server is.

Sources: the documentation of vLLM (thinking_token_budget, score templates), SGLang (rerank `instruct`),
Ollama (OpenAI compatibility), llama.cpp's server (chat_template_kwargs, thinking_budget_tokens), LM Studio
and Text Embeddings Inference, and the source of `transformers serve` 5.23 and of the server in
llama-cpp-python 0.3.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

__all__ = ["FLAVORS", "Flavor", "check_model", "context_of", "detect_server"]


@dataclass(frozen=True)
class Flavor:
    """One kind of server.

    Attributes:
        name: As callers write it.
        switch: How a request switches thinking: by variables of the chat template, or by `reasoning_effort`;
            None if it cannot.
        budget: Field for the most tokens of thought; None if there is none that it is known to obey.
        ignores: Fields of a chat that it refuses, or ignores without an error.
        lists_models: Whether it answers for the models in its list only.
        base64: Whether it can send vectors as bytes.
        bare_schema: Whether it takes a schema only as `{"type": "json_object", "schema": {...}}`.
        named_choice: Whether `tool_choice` may name a tool; else it is a word, such as "required".
        object_schema: Whether it holds "any object" only where a schema says so, too.
        strict_calls: Whether it holds calls to the schemas of those tools only that say `strict`.
        composes: Whether it takes tools together with a response format. Others hold the answer to the format
            from its first token, so that no tool is ever called.
        budget_words: Field for the words that end a thought whose budget is spent; None if it has none.
        repeat_penalty: Whether that is its name for `repetition_penalty`, which it then counts in the last
            `repeat_last_n` tokens.
        short_numbers: Whether its chat template shows a model six digits of a number in an earlier call.
        quiet_streams: Whether its streams leave out the usage, and the reason why there is no answer.
        loads_models: Whether it loads models on request, and answers 500 for those it cannot find.
    """

    name: str
    switch: Literal["template", "effort"] | None = None
    budget: str | None = None
    ignores: frozenset[str] = frozenset()
    lists_models: bool = False
    base64: bool = False
    bare_schema: bool = False
    named_choice: bool = True
    object_schema: bool = False
    strict_calls: bool = False
    composes: bool = False
    budget_words: str | None = None
    repeat_penalty: bool = False
    short_numbers: bool = False
    quiet_streams: bool = False
    loads_models: bool = False


_BEYOND_OPENAI = frozenset({"top_k", "min_p", "repetition_penalty"})

FLAVORS = {
    flavor.name: flavor
    for flavor in (
        Flavor(
            "vllm", "template", "thinking_token_budget", lists_models=True, base64=True, strict_calls=True
        ),
        Flavor("sglang", "template", lists_models=True),
        Flavor(
            "llama.cpp",
            "template",
            "thinking_budget_tokens",
            lists_models=True,
            base64=True,
            named_choice=False,
            object_schema=True,
            budget_words="reasoning_budget_message",
            repeat_penalty=True,
            short_numbers=True,
        ),
        # It takes reasoning_effort="none"; sampling beyond OpenAI's belongs in its Modelfile.
        Flavor("ollama", "effort", ignores=_BEYOND_OPENAI | {"parallel_tool_calls"}),
        # It and llama-cpp-python have repeat_penalty, too, but no say in how many tokens it looks at.
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
        # A server of its own, not llama.cpp's. It ignores fields that it does not know.
        Flavor(
            "llama-cpp-python",
            ignores=frozenset({"parallel_tool_calls", "repetition_penalty", "stream_options"}),
            lists_models=True,
            bare_schema=True,
            quiet_streams=True,
        ),
        Flavor("openai", ignores=_BEYOND_OPENAI, composes=True),
    )
}
"""By name; "openai" is any other server."""

# What servers write into `owned_by` of their models.
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
    """Return the kind of a server.

    Args:
        server: The server.
        name: One of `FLAVORS`, which is not checked; None asks the server.
        models: What the server says about its models.

    Raises:
        InputError: There is no such kind.
        ServerError: The server does not answer, or is busy, so that its kind would be a guess.
    """
    if name is not None:
        if name not in FLAVORS:
            raise InputError(f"server={name!r} is unknown; expected one of {', '.join(FLAVORS)}, or None.")
        return FLAVORS[name]
    owners = (str(row.get("owned_by")) for row in models)
    if owner := next((_OWNERS[owner] for owner in owners if owner in _OWNERS), None):
        return FLAVORS[owner]
    if _find(server, "/api/version", "version"):
        return FLAVORS["ollama"]
    routes = _find(server, "/openapi.json", "paths") or {}
    return FLAVORS[next((name for route, name in _ROUTES.items() if route in routes), "openai")]


def check_model(server: Server, flavor: Flavor, model: str, models: Sequence[dict[str, Any]]) -> None:
    """Check that the server has a model; some servers would answer with another one.

    Raises:
        ServerModelError: The server does not have the model; the message names those that it has.
    """
    names = list(dict.fromkeys(name for row in models for name in (row["id"], *(row.get("aliases") or ()))))
    if flavor.lists_models and names and model not in names:
        raise ServerModelError(
            f"{server.root} has no model {model!r}; it has {', '.join(map(repr, names))}. Pass one of them "
            "as model=."
        )


def context_of(row: Mapping[str, Any]) -> int | None:
    """Return the context of a model in tokens, as vLLM, LM Studio or llama.cpp name it; None if unsaid."""
    meta = row.get("meta") or {}
    found = (
        row.get("max_model_len"),
        row.get("max_context_length"),
        meta.get("n_ctx"),
        meta.get("n_ctx_train"),
    )
    return next((value for value in found if isinstance(value, int) and value), None)


def _find(server: Server, path: str, key: str) -> Any:
    """Return a value of the JSON object at a path, None if there is none."""
    try:
        found = server.get(path)
    except (ServerRefusedError, ServerFailedError, ServerAnswerError):
        return None
    return found.get(key) if isinstance(found, dict) else None
