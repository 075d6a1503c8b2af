"""Grammars of tool calls in the two dialects of the Qwen families. Knows tool schemas, no vocabularies."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llguidance import regex_to_lark

from qwen_agentkit.chat.dialects import Dialect
from qwen_agentkit.chat.tags import CLOSE_FUNCTION, CLOSE_PARAMETER, OPEN_FUNCTION, OPEN_PARAMETER
from qwen_agentkit.engine.grammar.formats import PATTERNS
from qwen_agentkit.engine.grammar.holding import hold_schema
from qwen_agentkit.engine.grammar.lark import exclude, json_rule, quote, warn_of
from qwen_agentkit.engine.grammar.older_schemas import upgrade
from qwen_agentkit.errors import InputError

__all__ = ["call_rules"]

# Ends a parameter in the XML dialect. A value cannot contain the tag, because the dialect has no escapes.
_END_VALUE = f"\n{CLOSE_PARAMETER}\n"
_ANY_TEXT = "/(?s:.*)/" + exclude(CLOSE_PARAMETER)

# Texts that the parser of the XML dialect does not read as strings.
_NULL = "/(?i:null)/"
_NOT_A_STRING = r"/\s*[-+.\p{Nd}\[{](?s:.*)/ | /(?i:true|false)/"

_ALTERNATIVES = ("$ref", "anyOf", "oneOf", "allOf")
_STRING_KEYS = {"enum", "const", "minLength", "maxLength", "pattern", "format"}
_ANNOTATIONS = {"type", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
_PARAMETER_KEYS = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "$defs",
    "definitions",
    *_ANNOTATIONS,
}


def call_rules(dialect: Dialect, tools: Sequence[Mapping[str, Any]], close: str) -> list[str]:
    """Return rules that define `call` as a call of one of the tools, without the tag that opens it.

    What of a tool's schema a grammar cannot hold is left out, and a warning says so; other tools, and the
    rest of the schema, are held all the same.

    Args:
        dialect: How the model writes calls; "auto" means JSON.
        tools: Tool schemas in the OpenAI form, at least one. A tool that says `strict` has to be held wholly.
        close: The closing tag as it is written in a rule.

    Raises:
        InputError: A grammar cannot express a name, or all of the schema of a strict tool.
    """
    rules_of = _xml_rules if dialect == "xml" else _json_rules
    rules = ["call: " + " | ".join(f"call_{number}" for number in range(len(tools)))]
    for number, tool in enumerate(tools):
        function = tool.get("function", tool)
        parameters = {**(function.get("parameters") or {"properties": {}}), "type": "object"}
        rule, name, strict = f"call_{number}", function["name"], bool(function.get("strict"))
        try:
            body, *more = rules_of(rule, name, parameters, strict=strict)
        except InputError as error:
            if strict or dialect == "xml":
                raise
            warnings.warn(f"Arguments of {name!r} can be anything: {error}", stacklevel=2)
            body, *more = rules_of(rule, name, {"type": "object"}, strict=False)
        rules += [f"{rule}: {body} {close}", *more]
    return rules


def _json_rules(rule: str, name: str, parameters: Mapping[str, Any], *, strict: bool) -> list[str]:
    begin = quote(f'\n{{"name": {quote(name)}, "arguments": ')
    return [f"{begin} {json_rule(f'tool {name!r}', parameters, strict=strict)} {quote('}' + chr(10))}"]


def _xml_rules(rule: str, name: str, parameters: Mapping[str, Any], *, strict: bool) -> list[str]:
    begin, end = quote(f"\n{OPEN_FUNCTION}{_tag_name(name)}>\n"), quote(f"{CLOSE_FUNCTION}\n")
    root = upgrade(parameters)
    left = sorted(root.keys() - _PARAMETER_KEYS)
    required = root.get("required", ())
    body, rules = [begin], []
    for number, (key, schema) in enumerate(root.get("properties", {}).items()):
        opening = quote(f"{OPEN_PARAMETER}{_tag_name(key)}>\n")
        value = f"{rule}_{number}"
        try:
            choices, more = _value_rules(value, f"{name}.{key}", schema, root)
        except InputError as error:
            left.append(str(error).partition(". ")[0])
            choices, more = _value_rules(value, f"{name}.{key}", {}, root)
        body.append(f"({opening} ({choices}))" + ("" if key in required else "?"))
        rules += more
    if left and strict:
        raise InputError(
            f"A grammar cannot express the schema of tool {name!r} in this model's XML dialect: {left[0]}. "
            "Simplify that part, or leave strict out: then it is checked when the call is there."
        )
    warn_of(f"tool {name!r}", left)
    return [" ".join([*body, end]), *rules]


def _value_rules(rule: str, path: str, schema: Any, root: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the right side of a rule for a value, and more rules: strings as text, all else as JSON."""
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    if isinstance(schema, Mapping):
        held = hold_schema(f"parameter {path}", {**schema, **definitions})
        if held.left:
            raise _inexpressible(path, held.left[0])
    branches = list(_branches(path, schema, root))
    strings = [branch for branch in branches if _is_string(branch)]
    choices, rules = [], []
    for number, branch in enumerate(branches):
        if branch in strings:
            choices.append(f"{rule}_{number}")
            text = _string_terminal(path, branch, mixed=len(strings) < len(branches))
            terminal = f"{rule}_{number}".upper()
            rules += [f"{rule}_{number}[lazy]: {terminal}", f"{terminal}: {text} {quote(_END_VALUE)}"]
        else:
            choices.append(f"{json_rule(f'parameter {path}', {**branch, **definitions})} {quote(_END_VALUE)}")
    return " | ".join(choices), rules


def _branches(path: str, schema: Any, root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives of a schema, with references resolved and string literals apart from others."""
    if not isinstance(schema, Mapping):
        yield {}
        return
    beside = sorted(schema.keys() - _ANNOTATIONS - {"discriminator"})
    if any(key in _ALTERNATIVES for key in beside):
        if len(beside) > 1:
            raise _inexpressible(path, f"{beside[0]} beside {beside[1]}")
        yield from _alternatives(path, schema, root)
    elif isinstance(kinds := schema.get("type"), list):
        for kind in kinds:
            yield {**schema, "type": kind}
    else:
        literals = _literals(schema)
        strings = [literal for literal in literals if isinstance(literal, str)]
        others = [literal for literal in literals if not isinstance(literal, str)]
        yield from ({"enum": part} for part in (strings, others) if part)
        if not literals:
            yield schema


def _alternatives(
    path: str, schema: Mapping[str, Any], root: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the branches of a schema that is a reference or a choice."""
    if "$ref" in schema:
        _, kind, name = (*str(schema["$ref"]).split("/", 2), "", "")[:3]
        if name not in root.get(kind, {}):
            raise _inexpressible(path, f"$ref {schema['$ref']}")
        choices = [root[kind][name]]
    else:
        choices = next(schema[key] for key in _ALTERNATIVES if key in schema)
        if "allOf" in schema and len(choices) > 1:
            raise _inexpressible(path, "allOf")
    for choice in choices:
        yield from _branches(path, choice, root)


def _literals(schema: Mapping[str, Any]) -> list[Any]:
    return list(schema.get("enum", [schema["const"]] if "const" in schema else []))


def _is_string(schema: Mapping[str, Any]) -> bool:
    """Whether the parser reads values of the schema as strings, as it does with values without a type."""
    kind = schema.get("type", "string")
    return kind == "string" and all(isinstance(literal, str) for literal in _literals(schema))


def _string_terminal(path: str, schema: Mapping[str, Any], *, mixed: bool) -> str:
    """Return a terminal for the strings of a schema.

    Args:
        path: Names the parameter in errors.
        schema: The schema.
        mixed: Other types are allowed, too: leave out strings that would be read as one of them.
    """
    if unknown := sorted(schema.keys() - _STRING_KEYS - _ANNOTATIONS):
        raise _inexpressible(path, unknown[0])
    parts = [_ANY_TEXT, f"~{_NULL}"]
    if mixed:
        parts.append(f"~({_NOT_A_STRING})")
    if literals := _literals(schema):
        parts.append(f"({' | '.join(map(quote, literals))})")
    if "minLength" in schema or "maxLength" in schema:
        parts.append(f"/(?s:.{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}})/")
    if "pattern" in schema:
        parts.append(f"/{_search_pattern(path, str(schema['pattern']))}/")
    if (kind := schema.get("format")) is not None:
        if kind not in PATTERNS:
            raise _inexpressible(path, f"format {kind}")
        parts.append(f"/{PATTERNS[kind]}/")
    return f"({' & '.join(parts)})"


def _search_pattern(path: str, pattern: str) -> str:
    """Return a regular expression that matches a whole text if the pattern is found in it."""
    body = pattern.removeprefix("^")
    start = "" if body != pattern else "(?s:.*)"
    closed = re.search(r"(?<!\\)(?:\\\\)*\$$", body)
    body, end = (body[:-1], "") if closed else (body, "(?s:.*)")
    plain = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "", body)  # without escapes and character classes
    anchored = not (start and end)
    if re.search(r"[\^$]|\(\?<?[=!]", plain) or (anchored and "|" in re.sub(r"\([^()]*\)", "", plain)):
        raise _inexpressible(path, f"pattern {pattern}")
    return f"{start}(?:{regex_to_lark(body, 'dw')}){end}"


def _inexpressible(path: str, part: str) -> InputError:
    return InputError(
        f"The parameter {path} uses {part!r}, which a grammar cannot express in this model's XML dialect. "
        "Put it into the description, and check the value in the tool."
    )


def _tag_name(name: str) -> str:
    if re.search(r"[<>\n]", name):
        raise InputError(
            f"The name {name!r} cannot stand in a tag, and this model writes the names of tools in tags. "
            "Expected a name without '<', '>' and line breaks."
        )
    return name
