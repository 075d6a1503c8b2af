"""Tokens that ChatQwen counts are those that it reads, without a network and in every script."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, trim_messages

from qwen_agentkit import ChatQwen
from qwen_agentkit.errors import ServerUnsupportedError


@pytest.fixture
def llm() -> ChatQwen:
    return ChatQwen(model="nano", temperature=0, max_tokens=1)


def search(query: str) -> str:
    """Search the handbook."""
    return query


TURNS: list[BaseMessage] = [
    SystemMessage("Answer briefly."),
    HumanMessage("متى يغادر القارب؟"),
    AIMessage("At nine."),
    HumanMessage("窑炉最高温度是多少？"),
]


@pytest.mark.parametrize("thinking", [None, False])
def test_a_prompt_has_as_many_tokens_as_the_usage_says(llm: ChatQwen, thinking: bool | None) -> None:
    llm = llm.model_copy(update={"thinking": thinking})
    usage = llm.invoke(TURNS).usage_metadata
    assert usage is not None
    assert llm.get_num_tokens_from_messages(TURNS) == usage["input_tokens"]


def test_tools_count(llm: ChatQwen) -> None:
    usage = llm.bind_tools([search]).invoke(TURNS).usage_metadata
    assert usage is not None
    assert llm.get_num_tokens_from_messages(TURNS, [search]) == usage["input_tokens"]


def test_a_text_is_counted_by_itself(llm: ChatQwen) -> None:
    loaded = llm._load()
    for text in ("The boat.", "窑炉", "<|im_end|>"):
        assert loaded.tokenizer.decode(llm.get_token_ids(text)) == text
        assert llm.get_num_tokens(text) == len(llm.get_token_ids(text))
    assert llm.get_num_tokens("<|im_end|>") > 1  # plain text, as in a prompt


def test_old_turns_are_trimmed_by_it(llm: ChatQwen) -> None:
    # The system message is counted by itself, each time with what opens the answer.
    most = sum(llm.get_num_tokens_from_messages([turn]) for turn in (TURNS[0], TURNS[3]))
    kept = trim_messages(TURNS, max_tokens=most, token_counter=llm, include_system=True, start_on="human")
    assert kept == [TURNS[0], TURNS[3]]


def test_a_server_has_its_own_tokenizer() -> None:
    there = ChatQwen(model="m", base_url="http://localhost:1/v1")
    with pytest.raises(ServerUnsupportedError, match="custom_get_token_ids"):
        there.get_num_tokens("a")
    given = there.model_copy(update={"custom_get_token_ids": lambda text: list(range(len(text)))})
    assert given.get_num_tokens("abc") == 3
    assert given.get_num_tokens_from_messages([HumanMessage("abc")]) > 3
