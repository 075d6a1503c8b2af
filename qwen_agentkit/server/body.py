"""A chat request as the JSON body that a kind of server takes. Knows settings and messages, reads no answers.

Fields: https://platform.openai.com/docs/api-reference/chat, with what `flavors` says about each server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from qwen_agentkit.chat.request import Request
from qwen_agentkit.chat.sampling import recommended_by_name
from qwen_agentkit.chat.tags import CLOSING_WORDS
from qwen_agentkit.errors import ServerUnsupportedError
from qwen_agentkit.server.flavors import Flavor

__all__ = ["write_body"]

# Settings by the names that chat templates have for them.
_TEMPLATE_NAMES = {
    "thinking": "enable_thinking",
    "reasoning_effort": "reasoning_effort",
    "keep_thoughts": "preserve_thinking",
}

# More than any context: the penalty holds for the prompt and the answer. llama.cpp refuses its own word, -1.
_ALL_TOKENS = 1_000_000

# What to do without the fields that structured output sends, which callers cannot leave out themselves.
_INSTEAD = {
    "tool_choice": (
        "Leave it out, and structured output with method='function_calling', too: offer the tools with "
        "bind_tools, ask for the call in the prompt and read tool_calls"
    ),
    "response_format": (
        "Leave it out, and structured output, too: describe the JSON in the prompt and read the text"
    ),
}


def write_body(model: str, flavor: Flavor, request: Request) -> dict[str, Any]:
    """Write a request as the body of a streamed chat completion.

    Args:
        model: As the server names it.
        flavor: The kind of server.
        request: What is asked.

    Raises:
        ServerUnsupportedError: This kind of server has no way to ask for it.
    """
    if request.tools and request.schema is not None and not flavor.composes:
        raise ServerUnsupportedError(
            f"The server ({flavor.name}) cannot be given tools and response_format together: it would write "
            "the object at once and never call a tool. Give an agent response_format=ToolStrategy(...), "
            "which asks for the object by a call, or ask for it in a call of its own."
        )
    asked: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "response_format": _response_format(request.schema, flavor),
        **_tools(flavor, request),
        **request.sampling,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    _refuse(flavor, asked.keys() & flavor.ignores, asked)
    body = {"model": model, "messages": _messages(request.messages, flavor), "stream": True, **asked}
    body |= _thinking_budget(flavor, request) | _thinking(flavor, request)
    for name, value in _defaults(model, request).items():
        if name not in flavor.ignores:
            body.setdefault(name, value)
    if flavor.repeat_penalty and "repetition_penalty" in body:
        body |= {"repeat_penalty": body.pop("repetition_penalty"), "repeat_last_n": _ALL_TOKENS}
    return body


def _messages(messages: Sequence[Mapping[str, Any]], flavor: Flavor) -> list[dict[str, Any]]:
    """Bring messages into the OpenAI form, where arguments of calls are JSON text.

    Thoughts go under both names that servers read, `reasoning_content` and `reasoning`.
    """
    converted = []
    for message in messages:
        turn = dict(message)
        if "reasoning_content" in turn:
            turn["reasoning"] = turn["reasoning_content"]
        if "tool_calls" in turn:
            turn["tool_calls"] = [_call(call, flavor) for call in turn["tool_calls"]]
        converted.append(turn)
    return converted


def _call(call: Mapping[str, Any], flavor: Flavor) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    if flavor.short_numbers:
        arguments = _keep_digits(arguments)
    text = json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**call["function"], "arguments": text}}


def _keep_digits(value: Any) -> Any:
    """Return a value of JSON whose numbers of more than six digits, and a point, are texts."""
    match value:
        case float() if float(f"{value:.6g}") != value:
            return repr(value)
        case dict():
            return {name: _keep_digits(part) for name, part in value.items()}
        case list():
            return [_keep_digits(part) for part in value]
    return value


def _tools(flavor: Flavor, request: Request) -> dict[str, Any]:
    """Write the tools, and which of them has to be called.

    Servers that know no choice of one tool are offered that tool alone.
    """
    tools = [_held(tool) if flavor.strict_calls else tool for tool in request.tools]
    name = request.forced_tool
    if not request.forced_call:
        return {"tools": tools or None}
    if name is None:
        return {"tools": tools, "tool_choice": "required"}
    if flavor.named_choice:
        return {"tools": tools, "tool_choice": {"type": "function", "function": {"name": name}}}
    chosen = [tool for tool in tools if tool["function"]["name"] == name]
    return {"tools": chosen, "tool_choice": "required"}


def _held(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool with the word that makes the server hold its calls to the schema, unless it has one."""
    return {**tool, "function": {"strict": True, **tool["function"]}}


def _response_format(schema: Mapping[str, Any] | None, flavor: Flavor) -> dict[str, Any] | None:
    if schema is None:
        return None
    if schema == {"type": "object"} and not flavor.object_schema:
        return {"type": "json_object"}
    if flavor.bare_schema or schema == {"type": "object"}:
        return {"type": "json_object", "schema": dict(schema)}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
    }


def _thinking_budget(flavor: Flavor, request: Request) -> dict[str, Any]:
    if request.thinking_budget is None:
        return {}
    budget = {"thinking_budget": request.thinking_budget}
    if flavor.budget is None:
        _refuse(flavor, budget, budget)
        return {}
    words = {flavor.budget_words: CLOSING_WORDS} if flavor.budget_words else {}
    return {flavor.budget: request.thinking_budget, **words}


def _thinking(flavor: Flavor, request: Request) -> dict[str, Any]:
    """Write the settings of thinking in the words of the server."""
    settings = {
        "thinking": request.thinking,
        "reasoning_effort": request.reasoning_effort,
        "keep_thoughts": request.keep_thoughts,
    }
    asked = {name: value for name, value in settings.items() if value is not None}
    if flavor.switch == "template":
        _refuse(flavor, asked.keys() & flavor.ignores, asked)
        variables = {_TEMPLATE_NAMES[name]: value for name, value in asked.items()}
        return {"chat_template_kwargs": variables} if variables else {}
    if flavor.switch == "effort":
        _refuse(flavor, asked.keys() & {"keep_thoughts"}, asked)
        effort = {True: "medium", False: "none", None: None}[request.thinking]
        if request.reasoning_effort is not None and request.thinking is not False:
            effort = request.reasoning_effort
        return {"reasoning_effort": effort} if effort else {}
    _refuse(flavor, asked, asked)
    return {}


def _defaults(model: str, request: Request) -> dict[str, Any]:
    """Return what the caller did not ask for, or what the reader checks anyway."""
    defaults: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if request.tools:
        defaults["parallel_tool_calls"] = request.parallel_calls  # llama.cpp allows one call by default
    if row := recommended_by_name(model, request.thinking):
        defaults |= asdict(row)
    return defaults


def _refuse(flavor: Flavor, names: Iterable[str], values: Mapping[str, Any]) -> None:
    for name in sorted(names):
        advice = (
            "If it is one of the servers this package knows, name it: server='vllm' or another."
            if flavor.name == "openai"
            else f"{_INSTEAD.get(name, 'Leave it out')}, or use another server."
        )
        kind = "An unknown kind of server" if flavor.name == "openai" else f"The server ({flavor.name})"
        raise ServerUnsupportedError(
            f"{kind} cannot be asked for {name}={values[name]!r}: it would refuse the field, or ignore it "
            f"without an error. {advice}"
        )
