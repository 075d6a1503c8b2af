"""Answers as objects: every kind of schema, every method, with thoughts, tools and too few tokens."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, Field, HttpUrl, PostgresDsn
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from qwen_agentkit.chat.structured import answer_schema, ask_for_json, response_format
from qwen_agentkit.chat_models import ChatQwen
from qwen_agentkit.errors import AnswerFaultError, InputError

WILD: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "presence_penalty": 0.0, "seed": 3}


class Part(BaseModel):
    """A part of a part."""

    size: int = Field(ge=0, le=9)
    parts: list[Part] = Field(default=[], max_length=1)


class Flat(BaseModel):
    """A part without parts."""

    size: int = Field(ge=0, le=9)
    name: str | None = Field(default=None, max_length=4)


class PartV1(BaseModelV1):
    """The same in version 1."""

    size: bool


class PartDict(TypedDict):
    """The same as a dict."""

    size: Annotated[bool, ..., "Whether it is large"]


SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": "boolean"}},
    "required": ["size"],
    "title": "Size",
}


@pytest.fixture
def llm(tiny_qwen3_dir: Path) -> ChatQwen:
    """A model of random weights."""
    return ChatQwen(model=str(tiny_qwen3_dir), max_tokens=150, thinking_budget=5, **WILD)


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("schema", [Part, PartV1, PartDict, SCHEMA])
def test_objects(llm: ChatQwen, schema: Any, method: Any, thinking: bool) -> None:
    if schema is Part and method == "function_calling":
        schema = Flat  # LangChain's converter of tools loses what a recursive model refers to
    asking = llm.with_structured_output(schema, method=method, include_raw=True, thinking=thinking)
    result = asking.invoke("Go")
    assert ("reasoning_content" in result["raw"].additional_kwargs) == thinking
    if method == "json_mode":  # any object: it fits by chance
        assert result["raw"].content.startswith("{")
        return
    assert result["parsing_error"] is None
    if isinstance(schema, type) and schema is not PartDict:
        assert isinstance(result["parsed"], schema)
    else:
        assert result["parsed"]["size"] in (True, False)


async def test_streams_of_objects(llm: ChatQwen) -> None:
    asking = llm.with_structured_output(SCHEMA)
    whole = asking.invoke("Go", thinking=False)
    assert list(asking.stream("Go", thinking=False))[-1] == whole
    assert [part async for part in asking.astream("Go", thinking=False)][-1] == whole
    assert await asking.ainvoke("Go", thinking=False) == whole


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_an_answer_that_is_cut_off(llm: ChatQwen, method: Any) -> None:
    class Story(BaseModel):
        """A story."""

        text: str = Field(min_length=500)

    asking = llm.with_structured_output(Story, method=method)
    with pytest.raises(OutputParserException, match=r"cut off after 40 tokens.*Raise max_tokens"):
        asking.invoke("Go", thinking=False, max_tokens=40)
    raw = llm.with_structured_output(Story, method=method, include_raw=True, max_tokens=40, thinking=False)
    result = raw.invoke("Go")
    assert result["raw"].response_metadata["finish_reason"] == "length"
    assert (result["parsed"], type(result["parsing_error"])) == (None, OutputParserException)


def test_what_the_model_is_told() -> None:
    chat = [SystemMessage("Be brief."), HumanMessage("Go")]
    told = ask_for_json(chat, response_format(SCHEMA))
    assert told[0].text.startswith("Be brief.\n\nAnswer with JSON that fits this JSON schema")
    assert '"size": {"type": "boolean"}' in told[0].text
    assert chat[0].text == "Be brief."
    told = ask_for_json([HumanMessage("Go")], {"type": "json_object"}, with_tools=True)
    assert told[0].text == "If you call no tool, answer with one JSON object and nothing else."


def test_schemas_of_formats() -> None:
    assert answer_schema(response_format(Part))["$defs"]["Part"]["properties"]["parts"]["maxItems"] == 1
    assert answer_schema(response_format(PartV1))["required"] == ["size"]
    assert answer_schema(response_format({"name": "f", "parameters": SCHEMA})) == SCHEMA
    made = response_format(SCHEMA)
    assert response_format(made) == made
    with pytest.raises(InputError, match="holds no JSON schema"):
        answer_schema({"type": "json_schema"})


class Tags(BaseModel):
    """Tags."""

    tags: list[Literal["a"]] = Field(min_length=2, max_length=2, json_schema_extra={"uniqueItems": True})


@pytest.mark.filterwarnings("ignore:A grammar cannot hold all")
def test_a_schema_that_no_grammar_holds_is_checked_when_the_answer_is_there(llm: ChatQwen) -> None:
    with pytest.raises(OutputParserException, match="non-unique"):
        llm.with_structured_output(Tags).invoke("Go")
    read = llm.with_structured_output(Tags, include_raw=True).invoke("Go")
    assert "non-unique" in str(read["parsing_error"])
    with pytest.raises(AnswerFaultError, match=r"tags: .* non-unique"):
        llm.invoke("Go", response_format=Tags)
    with pytest.raises(AnswerFaultError, match="non-unique"):
        list(llm.stream("Go", response_format=Tags))
    called = llm.bind_tools([Tags], tool_choice="any", parallel_tool_calls=False).invoke("Go")
    assert called.tool_calls == []
    [call] = called.invalid_tool_calls
    assert (call["name"], "non-unique" in str(call["error"])) == ("Tags", True)


def test_a_warning_says_what_is_only_checked(llm: ChatQwen) -> None:
    with pytest.warns(UserWarning, match="uniqueItems"):
        llm.bind_tools([Tags]).invoke("Go", max_tokens=1)


def test_only_strict_refuses_it(llm: ChatQwen) -> None:
    for method in ("json_schema", "function_calling"):
        with pytest.raises(InputError, match="uniqueItems"):
            llm.with_structured_output(Tags, method=method, strict=True).invoke("Go")
    with pytest.raises(InputError, match="uniqueItems"):
        llm.bind_tools([Tags], strict=True).invoke("Go")


def test_what_pydantic_asks_for_and_its_schema_does_not_say() -> None:
    class Bill(BaseModel):
        """A bill."""

        amount: Decimal = Field(gt=0)
        page: HttpUrl
        store: PostgresDsn

    properties = answer_schema(response_format(Bill))["properties"]
    assert properties["amount"]["type"] == "number"
    assert properties["amount"]["exclusiveMinimum"] == 0
    assert re.match(properties["page"]["pattern"], "https://example.com/a")
    assert re.match(properties["store"]["pattern"], "postgresql://host/name")
    assert not re.match(properties["page"]["pattern"], "ftp://example.com")
