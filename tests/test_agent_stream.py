"""What an agent shows while it writes: each sentence with the flag that it has in the final answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.checkpoint.memory import InMemorySaver

from qwen_agentkit.graphs import create_rag_agent
from qwen_agentkit.graphs.middleware import CitationMiddleware, PassagesMiddleware
from qwen_agentkit.graphs.rag_agent.tools import passage_tools
from qwen_agentkit.text.languages import phrase
from tests.fakes.agents import GOOD, HOURS, THREAD, Played, Shelf, ask, calls, search

FALSE = "It opens at 9:45 [1]."


class Spoken(Played):
    """A scripted model that streams words, as models do."""

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        whole: Any = self._generate(messages, **kwargs).generations[0].message
        yield ChatGenerationChunk(message=AIMessageChunk("", additional_kwargs={"reasoning_content": "Hm."}))
        for word in re.findall(r"\S+\s*|\s+", whole.text):
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        pieces = [
            {"name": one["name"], "args": '{"query": "library opens"}', "id": one["id"], "index": 0}
            for one in whole.tool_calls
        ]
        last = AIMessageChunk("", tool_call_chunks=pieces, response_metadata={"finish_reason": "stop"})
        yield ChatGenerationChunk(message=last)


def stream(agent: Any, question: Any = None, how: str = "sync", **options: Any) -> list[AIMessage]:
    """The messages of the stream, each joined from its pieces, in their order."""
    joined: dict[str, Any] = {}

    def add(piece: Any) -> None:
        if isinstance(piece, AIMessage):
            known = joined.get(str(piece.id))
            joined[str(piece.id)] = piece if known is None else known + piece

    async def run() -> None:
        async for piece, _ in agent.astream(question or ask(), stream_mode="messages", **options):
            add(piece)

    if how == "async":
        asyncio.run(run())
    else:
        for piece, _ in agent.stream(question or ask(), stream_mode="messages", **options):
            add(piece)
    return list(joined.values())


def agent_of(*lines: Any, checkpointer: Any = None, **options: Any) -> Any:
    """An agent without a repair of the language, whose draft and repair are both in its lines."""
    layers = [PassagesMiddleware(passage_tools(Shelf())), CitationMiddleware(**options)]
    return create_agent(Spoken(lines=list(lines)), [], middleware=layers, checkpointer=checkpointer)


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{GOOD} {FALSE}", f"{GOOD} {FALSE} [?]"),
        (f"{FALSE} {GOOD}", f"{FALSE} [?] {GOOD}"),
        ("It opens early. " + GOOD, "It opens early. [?] " + GOOD),
        ("It opens at 9:45 [1].\n\n- " + GOOD, "It opens at 9:45 [1]. [?]\n\n- " + GOOD),
        ("图书馆十点开门 [1]。" + GOOD, "图书馆十点开门 [1]。 [?]" + GOOD),
        (phrase("en", "abstain"), phrase("en", "abstain")),
    ],
)
def test_the_stream_is_the_final_answer(text: str, shown: str, how: str) -> None:
    lines = [search("library opens"), text, text]
    asked, *drafts = stream(create_rag_agent(Spoken(lines=lines), Shelf()), how=how)
    assert [one["name"] for one in asked.tool_calls] == ["search"]
    assert create_rag_agent(Spoken(lines=lines), Shelf()).invoke(ask())["answer"] == shown
    assert drafts[-1].text.strip() == shown
    assert drafts[-1].response_metadata["finish_reason"] == "stop"
    assert drafts[-1].additional_kwargs["reasoning_content"] == "Hm."


@pytest.mark.parametrize(("how", "shown"), [("drop", GOOD), ("keep", f"{GOOD} {FALSE}")])
def test_what_is_dropped_is_not_shown(how: Any, shown: str) -> None:
    agent = agent_of(search("library opens"), f"{GOOD} {FALSE}", unsupported=how)
    assert stream(agent)[-1].text.strip() == shown


def test_a_sentence_is_shown_when_the_next_one_begins() -> None:
    model = Spoken(lines=[search("library opens"), f"{FALSE} {GOOD}"])
    agent = create_agent(
        model, [], middleware=[PassagesMiddleware(passage_tools(Shelf())), CitationMiddleware()]
    )
    pieces = [piece.text for piece, _ in agent.stream(ask(), stream_mode="messages") if piece.text]
    assert len([piece for piece in pieces if piece.strip()]) > 6
    assert "".join(pieces).count("[?]") == 2  # of the draft and of its repair


def test_text_before_a_call_is_no_answer() -> None:
    again = calls(("search", {"query": "kiln"}), text="I look once more.")
    agent = agent_of(search("library opens"), again, GOOD)
    _, second, last = stream(agent)
    assert second.text == "I look once more."
    assert [one["name"] for one in second.tool_calls] == ["search"]
    assert last.text == GOOD


def test_a_talk_without_documents_is_shown_as_it_is_written() -> None:
    agent = agent_of("Hello. It is 9:45 [1].")
    assert stream(agent, {"messages": [HumanMessage("Hi")]})[0].text == "Hello. It is 9:45 [1]."


@pytest.mark.parametrize(
    ("text", "shown"),
    [("You are welcome. Bye.", "You are welcome. Bye."), (f"Sure. {FALSE}", f"Sure. [?] {FALSE} [?]")],
)
def test_a_later_turn_is_checked_if_it_cites(text: str, shown: str) -> None:
    agent = agent_of(search("library opens"), GOOD, text, checkpointer=InMemorySaver())
    agent.invoke(ask(), THREAD)
    shown_text = stream(agent, {"messages": [HumanMessage("Thanks, and when again?")]}, config=THREAD)[
        -1
    ].text
    assert shown_text.strip() == agent.get_state(THREAD).values["answer"] == shown


def test_hidden_calls_stay_hidden_and_chains_are_passed_on() -> None:
    class Asking(CitationMiddleware):
        """Asks another model inside the call."""

        def faults(self, answer: str, request: Any) -> list[str]:
            Spoken(lines=["A secret."]).with_config(tags=["nostream"]).invoke("x")
            (Spoken(lines=["A choice. It is 9:45."]) | (lambda one: one)).invoke("x")
            return []

    layers = [PassagesMiddleware(passage_tools(Shelf())), Asking()]
    agent = create_agent(Spoken(lines=[search("library opens"), GOOD]), [], middleware=layers)
    assert [one.text.strip() for one in stream(agent)[1:]] == [GOOD, "A choice. It is 9:45."]
    assert HOURS.page_content
