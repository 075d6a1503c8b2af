"""Tokens of parts of a chat, as trimming and summaries count them: cut, reversed, with results and images."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)

from qwen_agentkit import ChatQwen
from qwen_agentkit.errors import InputError

CALL = {"name": "look", "args": {"query": "b"}, "id": "1"}
CHAT: list[BaseMessage] = [
    SystemMessage("Answer briefly."),
    HumanMessage("When does the boat leave?"),
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("At nine.", tool_call_id="1"),
    AIMessage("At nine."),
    HumanMessage("And back?"),
]
IMAGE = ToolMessage(
    [{"type": "text", "text": "t"}, {"type": "image", "base64": "aGk=", "mime_type": "image/png"}],
    tool_call_id="1",
)

# Refuses what strict templates of real families refuse.
STRICT = """{%- if messages[0].role not in ('user', 'system') %}{{ raise_exception('No user.') }}{% endif %}
{%- for message in messages %}{% if message.role == 'system' and not loop.first %}
{{- raise_exception('System first.') }}{% endif %}<|im_start|>{{ message.role }}
{{ message.content }}{{ (message.tool_calls | tojson) if message.tool_calls }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.fixture(params=["nano", "strict"])
def llm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ChatQwen:
    llm = ChatQwen(model="nano", temperature=0, max_tokens=1)
    if request.param == "strict":
        loaded = llm._load()
        strict = replace(loaded, tokenizer=replace(loaded.tokenizer, chat_template=STRICT))
        monkeypatch.setitem(llm._held, llm._key(), strict)
    return llm


def test_every_part_in_every_order_has_tokens(llm: ChatQwen) -> None:
    for start, end in itertools.combinations(range(len(CHAT) + 1), 2):
        part = CHAT[start:end]
        assert llm.get_num_tokens_from_messages(part) > 0
        assert llm.get_num_tokens_from_messages(part[::-1]) > 0


def test_more_messages_have_more_tokens(llm: ChatQwen) -> None:
    counts = [llm.get_num_tokens_from_messages(CHAT[len(CHAT) - n :]) for n in range(len(CHAT) + 1)]
    assert counts[0] == 0
    assert counts[1:] == sorted(counts[1:])
    long = ToolMessage("At nine. " * 100, tool_call_id="1")
    assert llm.get_num_tokens_from_messages([long]) > 200


@pytest.mark.parametrize("strategy", ["first", "last"])
@pytest.mark.parametrize("tokens", [1, 30, 60, 10_000])
def test_chats_with_tools_can_be_trimmed(llm: ChatQwen, strategy: Any, tokens: int) -> None:
    options = {"start_on": "human", "include_system": True} if strategy == "last" else {}
    kept = trim_messages(CHAT, max_tokens=tokens, token_counter=llm, strategy=strategy, **options)
    assert all(message in CHAT for message in kept)
    assert llm.get_num_tokens_from_messages(kept) <= max(tokens, 30)
    assert (kept == CHAT) == (tokens == 10_000)


def test_images_count_nothing_and_are_noted_when_they_are_sent(llm: ChatQwen) -> None:
    text = ToolMessage("t", tool_call_id="1")
    assert llm.get_num_tokens_from_messages([IMAGE]) == llm.get_num_tokens_from_messages([text])
    with pytest.warns(UserWarning, match="image/png"):
        llm.invoke([*CHAT[:3], IMAGE], max_tokens=1)


def test_a_result_without_its_call_is_refused_when_it_is_sent(llm: ChatQwen) -> None:
    with pytest.raises(InputError, match="answers the call '1'"):
        llm.invoke(CHAT[3:])
