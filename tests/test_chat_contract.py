"""LangChain's integration suite, with every capability on that a model which reads text can have.

The model is a checkpoint that `tests/tiny_chat.py` trains for the dialogues of the suite: nano-chat, which is
made for questions about passages, falls short of them. What passes shows that `ChatQwen` carries prompts,
thoughts, calls and objects as LangChain wants them; it says nothing about what a model can do.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel, Field

from qwen_agentkit import ChatQwen
from qwen_agentkit.engine.checkpoint.loading import load
from tests.tiny_chat import dictate, teach

METHODS = ("function_calling", "json_schema", "json_mode")
SCHEMA_TYPES = ("pydantic", "typeddict", "json_schema")

JOKE = {"setup": "Why the computer?", "punchline": "It has a mouse."}

REPLIES: dict[str, str | dict[str, Any]] = {
    "Hello": "Hello! What can I do for you?",
    "Hey": "Hello! What can I do for you?",
    "hi": "Hello! What can I do for you?",
    "hello": "Hello! What can I do for you?",
    "how are you": "I am well.",
    "Write me 2 haikus. Only include the haikus.": "Rain on the old roof.\n\nSnow on the new road.",
    "What is the value of magic_function(3)? Use the tool.": {"input": 3},
    "What is the value of magic_function_no_args()? Use the tool.": {},
    "Hello!": {"input": 3},
    "Using the tool, generate a Pirate greeting.": {"answer_style": "Pirate"},
    "What is the weather in San Francisco, CA?": {"location": "San Francisco, CA"},
    "<tool_response>\nIt's sunny.\n</tool_response>": "It's sunny.",
    '<tool_response>\n{"result": 3}\n</tool_response>': "3",
    "<tool_response>\nError: Missing required argument 'b'.\n</tool_response>": {"a": 1, "b": 2},
    "What is 3 + 4": {"a": 3, "b": 4},
    "Tell me a joke about cats.": JOKE,
    "Give me the setup to a joke about cats, no punchline.": JOKE,
    "Give me a joke about cats, include the punchline.": JOKE,
    "Tell me a joke about cats. Return the result as a JSON with 'setup' and 'punchline' keys. "
    "Return nothing other than JSON.": JOKE,
    "Create a customer named '你好啊集团' (Hello Group) - a Chinese technology company": {
        "customer_name": "你好啊集团",
        "description": "a company",
    },
    "Create a customer named 'こんにちは株式会社' (Hello Corporation) - a Japanese company": {
        "customer_name": "こんにちは株式会社",
        "description": "a company",
    },
    "<tool_response>\nThat's a great pick!\n</tool_response>": "Purple it is.",
    "Well, thanks.": "I am well.",
}


class Suite(ChatModelIntegrationTests):
    """The suite with the capabilities of a model that reads and writes text."""

    __test__ = False
    folder = "nano"
    thinking = False
    method = "function_calling"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatQwen

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.folder, "thinking": self.thinking, "temperature": 0, "max_tokens": 200}

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": self.method}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "nano-chat"

    @property
    def supported_usage_metadata_details(self) -> dict[Any, Any]:
        details = ["reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return ask(ChatQwen(**{**self.chat_model_params, "thinking": True}), "Hello", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        llm = ChatQwen(**self.chat_model_params)
        llm.invoke("Hello")
        return ask(llm, "Hello", stream=stream)


def ask(llm: ChatQwen, question: str, *, stream: bool) -> AIMessage:
    if not stream:
        return llm.invoke(question)
    first, *rest = llm.stream(question)
    message = sum(rest, first)
    assert isinstance(message, AIMessageChunk)
    return message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The checkpoint that knows the suite's dialogues."""
    trained = tmp_path_factory.mktemp("tiny-chat")
    teach(dictate(REPLIES, take_every_test), trained)
    held = load(str(trained))  # else every test would load it anew
    yield str(trained)
    del held


def take_every_test() -> None:
    """Take the suite's tests, whose prompts are what there is to learn; the async ones ask the same."""
    for thinking, method in product((False, True), METHODS):
        suite = Suite()
        suite.thinking, suite.method = thinking, method
        given = {"model": ChatQwen(**suite.chat_model_params), "my_adder_tool": my_adder_tool}
        for name, test in inspect.getmembers(suite, inspect.ismethod):
            wanted = inspect.signature(test).parameters.keys()
            if not name.startswith("test_") or inspect.iscoroutinefunction(test) or "vcr" in wanted:
                continue
            for schema_type in SCHEMA_TYPES if "schema_type" in wanted else SCHEMA_TYPES[:1]:
                every = {**given, "schema_type": schema_type}
                with suppress(Exception, pytest.skip.Exception):  # what fails here fails again below
                    test(**{key: every[key] for key in wanted & every.keys()})


class Joke(BaseModel):
    """Joke to tell user."""

    setup: str = Field(description="question to set up a joke")
    punchline: str = Field(description="answer to resolve the joke")


@tool
def my_adder_tool(a: int, b: int) -> int:
    """Tool that adds two integers.

    Takes two integers, a and b, and returns their sum.
    """
    return a + b


class TestWithoutThoughts(Suite):
    __test__ = True

    @pytest.fixture(autouse=True)
    def _use(self, folder: str) -> None:
        self.folder = folder


class TestWithThoughts(TestWithoutThoughts):
    thinking = True
    method = "json_schema"


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_structured_output(folder: str, thinking: bool, method: Any) -> None:
    llm = ChatQwen(model=folder, thinking=thinking, temperature=0, max_tokens=200)
    answer = llm.with_structured_output(Joke, method=method, include_raw=True).invoke(
        "Tell me a joke about cats."
    )
    assert answer["parsed"] == Joke(**JOKE)
    assert ("reasoning_content" in answer["raw"].additional_kwargs) == thinking


@pytest.mark.parametrize("stream", [False, True])
def test_usage_has_something_to_count(folder: str, stream: bool) -> None:
    suite = Suite()
    suite.folder = folder
    thought = suite.invoke_with_reasoning_output(stream=stream).usage_metadata
    assert thought is not None
    assert thought["output_token_details"]["reasoning"] > 0
    again = suite.invoke_with_cache_read_input(stream=stream).usage_metadata
    assert again is not None
    assert again["input_token_details"]["cache_read"] > 0
