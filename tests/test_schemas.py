"""Schemas as people write them: a grammar holds what it can, and what is completed fits or is refused."""

from __future__ import annotations

import json
import warnings
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Network, IPv6Interface
from typing import Any, Literal
from uuid import UUID

import jsonschema_rs
import pytest
import torch
from pydantic import (
    UUID4,
    AnyUrl,
    Base64Bytes,
    BaseModel,
    Field,
    HttpUrl,
    IPvAnyAddress,
    IPvAnyNetwork,
    TypeAdapter,
    create_model,
)

from qwen_agentkit.chat.parsing import Dialect, parse
from qwen_agentkit.chat.structured import response_format
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.grammar.answer_check import AnswerCheck
from qwen_agentkit.engine.grammar.holding import hold_schema
from qwen_agentkit.engine.grammar.lark import Tags
from qwen_agentkit.engine.grammar.turn_grammar import Turn, turn_grammar
from qwen_agentkit.errors import InputError
from tests.walks import matcher_of, walk

Json = dict[str, Any]
WHOLE = {"type": "integer"}
ABC: Json = dict.fromkeys("abc", WHOLE)


@pytest.fixture(scope="module")
def nano() -> Loaded:
    return load("nano-chat", chat=True)


def spells(loaded: Loaded, schema: Json, text: str) -> bool:
    matcher = matcher_of(loaded, Turn(schema=schema))
    for token in [*loaded.encode_prompt(text), loaded.token_id("<|im_end|>")]:
        logits = torch.zeros(len(loaded.tokenizer))
        matcher.mask(logits)
        if logits[token] != 0:
            return False
        if token != loaded.token_id("<|im_end|>"):
            matcher.accept(token)
    return True


HELD: dict[str, Json] = {
    "no type": {"properties": {"a": WHOLE}, "required": ["a"]},
    "no type, behind a choice": {"anyOf": [{"properties": {"a": WHOLE}, "required": ["a"]}]},
    "no type, behind a reference": {"$defs": {"A": {"properties": {"a": WHOLE}}}, "$ref": "#/$defs/A"},
    "perhaps null": {"type": ["object", "null"], "properties": {"a": WHOLE}},
    "required and not declared": {"properties": {"a": WHOLE}, "required": ["a", "b"]},
    "a generic name": {"$defs": {"Box[int]": WHOLE}, "properties": {"x": {"$ref": "#/$defs/Box[int]"}}},
    "itself": {"properties": {"kids": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}}},
    "names from a list": {"propertyNames": {"enum": ["r", "g"]}, "additionalProperties": WHOLE},
    "names by reference": {
        "$defs": {"C": {"const": "r"}},
        "propertyNames": {"$ref": "#/$defs/C"},
        "additionalProperties": WHOLE,
    },
    "names by pattern": {"propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": WHOLE},
    "names by length": {"propertyNames": {"maxLength": 2}, "additionalProperties": WHOLE},
    "names by format": {"propertyNames": {"format": "date"}, "additionalProperties": WHOLE},
    "patterns of names": {"type": "object", "patternProperties": {"^[a-z]{1,3}$": WHOLE}},
    "one of the keys": {"properties": ABC, "oneOf": [{"required": [name]} for name in "abc"]},
    "any of the keys": {"properties": ABC, "anyOf": [{"required": [name]} for name in "abc"]},
    "a key with another": {"properties": ABC, "dependentRequired": {"a": ["b", "c"]}},
    "a key with another, draft 7": {"properties": ABC, "dependencies": {"a": ["b"]}},
    "not a key": {"properties": ABC, "not": {"required": ["a"]}},
    "draft 4": {
        "properties": {"a": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 0.5}}
    },
    "draft 3": {"properties": {"a": {**WHOLE, "required": True, "divisibleBy": 5}}},
    "a tuple of draft 7": {"items": [WHOLE, {"type": "string"}], "additionalItems": False, "minItems": 2},
    "numbers of 64 bits": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "a whole constant": {"type": "integer", "const": 1.0},
    "whole constants": {"enum": [1.0, "a", None, {"b": [2.0]}]},
    "letters of any script": {"type": "string", "pattern": r"^\p{Lu}\p{Ll}{1,5}$"},
    "nothing more": {"properties": ABC, "unevaluatedProperties": False},
}


@pytest.mark.parametrize("name", HELD)
def test_what_a_grammar_holds(nano: Loaded, name: str) -> None:
    schema = HELD[name]
    held = hold_schema(name, schema, strict=True)
    completed = [text for seed in range(8) if (text := walk(nano, Turn(schema=schema), seed)) is not None]
    assert completed
    for text in completed:
        assert held.find_fault(json.loads(text)) == "", text
    if name.startswith("no type") or name == "perhaps null":
        assert all(text.startswith("{") for text in completed)


CHECKED: dict[str, tuple[Json, Any, str]] = {
    "different items": ({"type": "array", "uniqueItems": True}, [1, 1], "uniqueItems"),
    "not": ({"not": {"type": "string"}}, "a", "not"),
    "either": ({"oneOf": [{"minimum": 0, **WHOLE}, {"maximum": 10, **WHOLE}]}, 5, "oneOf"),
    "contains": ({"type": "array", "contains": {"const": 1}}, [2], "contains"),
    "if": ({"if": {"const": 1}, "then": {"type": "string"}}, 1, "if, then"),
    "looks ahead": ({"type": "string", "pattern": "^(?!a)"}, "ab", "pattern"),
    "looks back": ({"type": "string", "pattern": r"^(a|b)\1$"}, "ab", "pattern"),
    "a large number": ({"type": "number", "minimum": 0, "maximum": 1e20}, 2e20, "maximum"),
    "unsigned 64 bits": ({"type": "integer", "minimum": 0, "maximum": 2**64 - 1}, 2**64, "maximum"),
    "a format that is checked": ({"type": "string", "format": "json-pointer"}, "a", "format json-pointer"),
    "names beside properties": (
        {"properties": ABC, "propertyNames": {"maxLength": 0}},
        {"a": 1},
        "propertyNames",
    ),
    "free keys": ({"type": "object", "minProperties": 2}, {"a": 1}, "minProperties"),
    "deep inside": (
        {"properties": {"x": {"items": {"pattern": "^(?=a)", "maxLength": 1}}}},
        {"x": ["b"]},
        "pattern",
    ),
}


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_checked_when_the_answer_is_there(nano: Loaded, name: str) -> None:
    schema, bad, part = CHECKED[name]
    held = hold_schema(name, schema)
    assert part in "; ".join(held.left)
    check = AnswerCheck(Turn(schema=schema), "json")
    assert check.find_answer_fault(json.dumps(bad))
    valid = jsonschema_rs.validator_for(schema)
    for seed in range(4):
        text = walk(nano, Turn(schema=schema), seed)
        if text is not None and not check.find_answer_fault(text):
            assert valid.is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/Missing"}}}, "Missing"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "5"),
        ({"type": "string", "pattern": "["}, "regex"),
        ({"type": "whatever"}, "whatever"),
        ({"enum": []}, "empty"),
    ],
)
def test_schemas_that_nothing_fits(schema: Json, part: str) -> None:
    with pytest.raises(InputError, match="the answer") as error:
        hold_schema("the answer", schema)
    assert part in str(error.value)


def test_an_unknown_format_is_a_note() -> None:
    held = hold_schema("x", {"type": "string", "format": "markdown"})
    assert held.left == ("format markdown",)
    assert held.find_fault("# Title") == ""


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (
            "exclusiveMinimum 0",
            "exclusiveMaximum 0.5",
            {"0": False, "0.0": False, "0.25": True, "0.5": False},
        ),
        ("exclusiveMinimum 0", "maximum 0.5", {"0": False, "-0": False, "0.5": True, "0.001": True}),
        ("exclusiveMinimum 2", "exclusiveMaximum 2.5", {"2": False, "2.0": False, "2.25": True}),
        ("exclusiveMinimum 53", "exclusiveMaximum 53.1", {"53": False, "53.05": True}),
        ("exclusiveMinimum -0.5", "exclusiveMaximum 0", {"-0": False, "0": False, "-0.25": True}),
        ("exclusiveMinimum -2.5", "exclusiveMaximum -2", {"-2": False, "-2.0": False, "-2.25": True}),
        ("exclusiveMinimum 0", "maximum 1e-06", {"0": False, "0.0000005": True, "0.000002": False}),
        ("exclusiveMinimum 0", "exclusiveMaximum 1", {"0": False, "0.5": True, "1": False}),
        ("minimum 0", "maximum 0.5", {"0": True, "0.5": True}),
    ],
)
def test_bounds_that_are_excluded(nano: Loaded, low: str, high: str, texts: dict[str, bool]) -> None:
    bounds = {name: float(number) for name, number in (low.split(), high.split())}
    schema: Json = {"type": "number", **bounds}
    assert {text: spells(nano, schema, text) for text in texts} == texts


class Color(Enum):
    """A color."""

    red = "red"
    blue = "blue"


class Node(BaseModel):
    """A node."""

    name: str = ""
    next: Node | None = None


TYPES: dict[str, Any] = {
    **{str(kind): kind for kind in (set[str], frozenset[int], set[Literal["a", "b"]])},
    **{kind.__name__: kind for kind in (UUID, IPvAnyAddress, IPvAnyNetwork, IPv4Network, IPv6Interface)},
    **{kind.__name__: kind for kind in (AnyUrl, HttpUrl, Decimal, date, timedelta, Color, Node, bytes)},
    **{str(key): dict[key, int] for key in (Literal["a", "b"], Color, UUID, date)},
    "UUID4": UUID4,
    "Base64Bytes": Base64Bytes,
    "tuple": tuple[int, str],
}


@pytest.mark.parametrize("name", TYPES)
def test_answers_fit_types_of_pydantic(nano: Loaded, name: str) -> None:
    model = create_model("Answer", value=(TYPES[name], Field()))
    schema = response_format(model)["json_schema"]["schema"]
    check = AnswerCheck(Turn(schema=schema), "json")
    for seed in range(3):
        text = walk(nano, Turn(schema=schema), seed)
        if text is not None and not check.find_answer_fault(text):
            TypeAdapter(model).validate_json(text)


def tool(name: str, parameters: Json) -> Json:
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": parameters}}


ODD = tool(
    "tag",
    {"properties": {"tags": {"type": "array", "items": WHOLE, "uniqueItems": True}}, "required": ["tags"]},
)
BROKEN = tool("broken", {"properties": {"a": {"$ref": "#/$defs/Missing"}}})
GOOD = tool("good", {"properties": {"n": WHOLE}, "required": ["n"]})


@pytest.mark.parametrize("dialect", ["json", "xml"])
@pytest.mark.parametrize("forced", [True, False])
def test_a_tool_never_breaks_another(nano: Loaded, dialect: Dialect, forced: bool) -> None:
    turn = Turn(tools=[ODD, GOOD, BROKEN], must_call=forced, parallel=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        turn_grammar(turn, Tags(nano.tokenizer), dialect, thinking=False, opened=False)
    odd, broken = (str(one.message) for one in caught)
    assert "'tag'" in odd
    assert "uniqueItems" in odd
    assert "broken" in broken
    assert "Missing" in broken
    check, seen = AnswerCheck(turn, dialect), set()
    for seed in range(6):
        text = walk(nano, turn, seed, dialect) or ""
        for call in parse(text, tools=turn.tools, dialect=dialect).tool_calls:
            seen.add(call["name"])
            if call["name"] == "good":
                assert isinstance(call["args"]["n"], int)
            elif call["name"] == "tag":  # the rest of its schema is held
                assert all(isinstance(item, int) for item in call["args"]["tags"])
            else:
                assert check.find_call_fault(call["name"], call["args"])
    assert seen or not forced
    assert check.find_call_fault("tag", {"tags": [1, 1]})
    assert not check.find_call_fault("good", {"n": 1})


def test_a_schema_beyond_a_grammar_as_a_whole_is_checked() -> None:
    round_and_round: Json = {
        "$defs": {
            "a": {"$ref": "#/$defs/b", "required": ["x"]},
            "b": {"$ref": "#/$defs/a", "properties": {"x": WHOLE}},
        },
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
    }
    held = hold_schema("x", round_and_round)
    assert held.left == ("circular references with sibling keys are not supported",)
    with pytest.raises(InputError, match="circular"):
        hold_schema("x", round_and_round, strict=True)
