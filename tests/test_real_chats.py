"""Chats with real servers, llama.cpp's own and vLLM's, with nano-chat; `pytest -m server` runs them.

`tests/real_servers.py` says where the servers are looked for; one that is not there is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel

from qwen_agentkit import ChatQwen
from qwen_agentkit.cli.doctor import check_server
from qwen_agentkit.errors import InputTooLongError, ServerModelError
from tests.conftest import bundled
from tests.gguf_files import write_gguf
from tests.real_servers import answer_parts, both, find_llama_server, find_vllm, serving, whole

pytestmark = [pytest.mark.server, pytest.mark.enable_socket]


@pytest.fixture(scope="module", params=["llama.cpp", "vllm"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The kind of a server that has nano-chat, and its address."""
    folder = tmp_path_factory.mktemp("servers")
    if request.param == "vllm":
        binary, environment = find_vllm()
        command = [binary, "serve", str(bundled("nano-chat")), "--served-model-name", "nano-chat"]
        command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "4096", "--max-num-seqs", "4"]
        command += [
            "--reasoning-parser",
            "qwen3",
            "--enable-auto-tool-choice",
            "--tool-call-parser",
            "hermes",
        ]
    else:
        binary, environment = find_llama_server()
        file = write_gguf(bundled("nano-chat"), folder / "nano-chat.gguf")
        command = [binary, "-m", str(file), "--alias", "nano-chat", "-t", "1", "-c", "4096"]
        command += ["--jinja", "--reasoning-format", "deepseek"]
    with serving(folder) as start:
        yield request.param, start(command, environment)


@pytest.fixture
def chat_url(server: tuple[str, str]) -> str:
    return server[1]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Ticket(BaseModel):
    title: str
    hours: int


QUESTIONS = ["Hello, who are you?", "Which city is the capital of France?", "متى؟"]


@pytest.mark.parametrize("thinking", [None, True, False])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_greedy_answer_is_the_one_of_this_process(
    chat_url: str, question: str, thinking: bool | None
) -> None:
    there, here = both(chat_url, thinking=thinking)
    wanted = answer_parts(here.invoke(question))
    assert answer_parts(there.invoke(question)) == wanted
    assert answer_parts(whole(there, question)) == wanted


@pytest.mark.parametrize("penalty", [1.05, 1.3, 2.0])
def test_a_penalty_for_repeating_counts_the_prompt_and_the_answer(chat_url: str, penalty: float) -> None:
    for question in QUESTIONS:
        there, here = both(chat_url, repetition_penalty=penalty)
        assert there.invoke(question).text == here.invoke(question).text


def test_a_budget_ends_a_thought(server: tuple[str, str]) -> None:
    there, here = (llm.invoke(QUESTIONS[0]) for llm in both(server[1], thinking_budget=3))
    if server[0] == "llama.cpp":  # it closes a thought with the words that it is given
        assert answer_parts(there) == answer_parts(here)
    assert len(there.additional_kwargs["reasoning_content"]) < 120
    assert "</think>" not in there.text


def test_a_stop_string_leaves_the_thought_alone(chat_url: str) -> None:
    there, here = (llm.invoke(QUESTIONS[0], stop=["who"]) for llm in both(chat_url))
    assert there.text == here.text == "Hello, "


CALL = {"name": "add", "args": {"a": 2, "b": 3}, "id": "call_1", "type": "tool_call"}


def test_a_conversation_with_a_tool_result(chat_url: str) -> None:
    turns = [
        HumanMessage("Add 2 and 3."),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("5", tool_call_id="call_1"),
    ]
    there, here = (llm.bind_tools([add]).invoke(turns) for llm in both(chat_url))
    assert answer_parts(there) == answer_parts(here)


def test_messages_without_text_are_taken(chat_url: str) -> None:
    there, here = both(chat_url)
    for turns in (
        [HumanMessage("")],
        [SystemMessage(""), HumanMessage("Hello")],
        [HumanMessage("Hi"), AIMessage(""), HumanMessage("Hello")],
        [HumanMessage("Add."), AIMessage("", tool_calls=[CALL]), ToolMessage("", tool_call_id="call_1")],
    ):
        assert answer_parts(there.invoke(turns)) == answer_parts(here.invoke(turns))


def test_a_forced_call_and_an_object_hold_their_schemas(chat_url: str) -> None:
    there, here = both(chat_url)
    for choice in ("add", "any"):
        [call] = there.bind_tools([add], tool_choice=choice).invoke("Add 2 and 3.").tool_calls
        [wanted] = here.bind_tools([add], tool_choice=choice).invoke("Add 2 and 3.").tool_calls
        assert (call["name"], call["args"]) == (wanted["name"], wanted["args"])
    asking = there.with_structured_output(Ticket, method="function_calling")
    assert isinstance(asking.invoke("Fix the door, 3 hours."), Ticket)
    assert there.invoke("Say it in JSON.", response_format={"type": "json_object"}).text.startswith("{")


def test_what_it_cannot_do_is_an_error(chat_url: str) -> None:
    there, _ = both(chat_url)
    with pytest.raises(ServerModelError, match=r"it has 'nano-chat'\. Pass"):
        ChatQwen(model="other", base_url=chat_url).invoke("Hello")
    for ask in (there.invoke, lambda text: list(there.stream(text))):
        with pytest.raises(InputTooLongError, match="4096"):
            ask("word " * 9000)


def test_doctor_knows_it(server: tuple[str, str]) -> None:
    kind, url = server
    found = check_server(url, None, None)
    assert (found["server"], found["cannot be asked for"]) == (kind, "nothing that ChatQwen has")
    assert [found[ability] for ability in ("chat", "thoughts")] == ["yes"] * 2
