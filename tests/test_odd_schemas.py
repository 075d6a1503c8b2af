"""Schemas in which references, numbers, patterns and types are written as few people write them."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from typing_extensions import NotRequired, Required, TypedDict

from qwen_agentkit.chat.structured import response_format
from qwen_agentkit.chat.tools import read_tools
from qwen_agentkit.engine.checkpoint.loading import Loaded, load
from qwen_agentkit.engine.grammar.holding import hold_schema
from qwen_agentkit.engine.grammar.older_schemas import upgrade
from qwen_agentkit.engine.grammar.turn_grammar import Turn
from qwen_agentkit.errors import InputError
from tests.walks import walk

Json = dict[str, Any]
WHOLE = {"type": "integer"}


@pytest.fixture(scope="module")
def nano() -> Loaded:
    return load("nano-chat", chat=True)


REFERENCES: dict[str, Json] = {
    "a group of definitions": {
        "$ref": "#/definitions/a/full",
        "definitions": {
            "a": {
                "full": {
                    "$schema": "http://json-schema.org/draft-07/schema#",
                    "type": "object",
                    "properties": {"x": {"$ref": "#/definitions/b/full"}},
                    "required": ["x"],
                }
            },
            "b": {"full": WHOLE},
        },
    },
    "a property": {"properties": {"x": WHOLE, "y": {"$ref": "#/properties/x"}}, "required": ["x", "y"]},
    "an anchor": {
        "properties": {"x": {"$ref": "#n"}},
        "required": ["x"],
        "$defs": {"N": {"$anchor": "n", **WHOLE}},
    },
    "an id of draft 4": {
        "properties": {"x": {"$ref": "#n"}},
        "required": ["x"],
        "definitions": {"N": {"id": "#n", **WHOLE}},
    },
    "its own address": {
        "$id": "https://example.com/a.json",
        "properties": {"x": {"$ref": "a.json#/$defs/N"}},
        "required": ["x"],
        "$defs": {"N": WHOLE},
    },
    "a part with an address": {
        "$id": "https://example.com/a.json",
        "properties": {"x": {"$ref": "n.json"}},
        "required": ["x"],
        "$defs": {"N": {"$id": "n.json", **WHOLE}},
    },
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references_to_any_place_are_held(nano: Loaded, name: str) -> None:
    schema = REFERENCES[name]
    held = hold_schema(name, schema, strict=True)
    assert held.find_fault({"x": "a", "y": 1})
    text = walk(nano, Turn(schema=schema), 1)
    assert text is not None
    assert isinstance(json.loads(text)["x"], int)


def test_a_reference_to_elsewhere_is_left_out_and_said() -> None:
    schema = {"properties": {"a": {"$ref": "https://example.com/a"}, "b": WHOLE}, "required": ["b"]}
    held = hold_schema("x", schema)
    assert ["example.com/a" in part for part in held.left] == [True]
    assert held.find_fault({"a": 1, "b": "c"})
    assert not held.find_fault({"a": 1, "b": 2})
    with pytest.raises(InputError, match=r"example\.com"):
        hold_schema("x", schema, strict=True)


def test_data_that_looks_like_a_reference_is_data() -> None:
    schema = {"const": {"$ref": "#/nowhere"}}
    assert upgrade({"properties": {"a": schema}})["properties"]["a"] == schema


def test_numbers_beyond_64_bits_are_never_written_as_others() -> None:
    held = hold_schema("x", {"enum": [1, 10**20]})
    assert json.loads(held.grammar)["enum"] == [1]
    assert hold_schema("x", {"const": 10**20}).left == ("const 100000000000000000000",)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^(?P<x>a|b)(?P=x)$", r"^(a|b)\1$"),
        (r"\Aab\Z", "^ab$"),
        (r"^\\A\\Z$", r"^\\A\\Z$"),
        (r"\(?P<", r"\(?P<"),
        (r"\p{Lu}(?<n>a)", r"\p{Lu}(?<n>a)"),
    ],
)
def test_patterns_of_python(pattern: str, expected: str) -> None:
    assert upgrade({"pattern": pattern})["pattern"] == expected


class Node(BaseModel):
    """A node."""

    value: int = Field(ge=0, le=3)
    kids: list[Node] = Field(default=[], max_length=2)


class Row(TypedDict, total=False):
    """A row."""

    a: Required[int]
    b: Annotated[NotRequired[str], Field(max_length=3)]


class Described(TypedDict):
    """A row with words."""

    a: Annotated[int, ..., "How many."]
    b: Annotated[int, 5, "How often."]


@dataclasses.dataclass
class Tree:
    """A tree."""

    size: int
    parts: list[Tree] = dataclasses.field(default_factory=list)


class Money(BaseModel):
    """Money."""

    price: Decimal = Field(max_digits=5, decimal_places=2)
    rate: Decimal = Field(max_digits=3)
    word: bytes = Field(min_length=1, max_length=4)


@pytest.mark.parametrize("kind", [Node, Row, Tree, Money])
@pytest.mark.parametrize("called", [True, False])
def test_answers_and_arguments_are_of_the_type(nano: Loaded, kind: Any, called: bool) -> None:
    if called:
        schema = read_tools([kind])[0]["function"]["parameters"]
        assert "properties" in schema
    else:
        schema = response_format(kind)["json_schema"]["schema"]
    walks = (walk(nano, Turn(schema=schema), seed) for seed in range(4))
    texts = [text for text in walks if text is not None]
    assert texts
    for text in texts:
        TypeAdapter(kind).validate_json(text)


def test_words_about_fields_of_a_typed_dict_are_kept() -> None:
    function = read_tools([Described])[0]["function"]
    assert (function["name"], function["description"]) == ("Described", "A row with words.")
    parameters = function["parameters"]
    assert [one["description"] for one in parameters["properties"].values()] == ["How many.", "How often."]
    assert parameters["required"] == ["a"]


def test_a_list_is_no_tool() -> None:
    with pytest.raises(InputError, match="of type 'array'"):
        read_tools([RootModel[list[int]]])


def test_a_type_that_json_does_not_hold() -> None:
    with pytest.raises(InputError, match="No JSON schema describes"):
        response_format(TypedDict("Odd", {"a": object().__class__, "b": type(lambda: 0)}))
