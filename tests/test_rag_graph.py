"""The `rag` graph with any LangChain parts: real small classes with scripted words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs import RagContext, create_corrective_rag_graph, create_rag_graph
from qwen_agentkit.graphs.shared.checked_stream import CheckedStream
from qwen_agentkit.text.languages import phrase
from qwen_agentkit.text.verification import verify_citations
from tests.fakes.embedders import BagOfWords

PAGES = [
    Document("# Hours\n\nThe library opens at nine. It closes at five.", metadata={"source": "en/hours.md"}),
    Document("يغادر القارب في السابعة والنصف.", metadata={"source": "ar/boat.md"}),
    Document("窑炉最高温度为1230度。", metadata={"source": "zh/kiln.md"}),
]


class Pages(BaseRetriever):
    """All pages, in their order."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return list(PAGES)


class SharedCharacters(BaseDocumentCompressor):
    """Scores a document by the share of the question's characters that it contains."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> list[Document]:
        letters = set(query) - set(" ?؟？")
        scored = [
            document.model_copy(
                update={
                    "metadata": {
                        **document.metadata,
                        "relevance_score": len(letters & set(document.page_content)) / max(1, len(letters)),
                    }
                }
            )
            for document in documents
        ]
        return sorted(scored, key=lambda document: -document.metadata["relevance_score"])


def says(*texts: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(AIMessage(text) for text in texts))


def asked(question: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(question)]}


def test_an_answer_carries_citations_that_resolve() -> None:
    graph = create_rag_graph(says("It opens at nine [1], or so [8]."), Pages(), reranker=SharedCharacters())
    state = graph.invoke(asked("When does the library open?"), context={"min_score": 0.5})
    assert state["answer"] == "It opens at nine [1], or so."
    assert state["citations"] == [
        {"marker": 1, "source": "en/hours.md", "quote": "The library opens at nine."}
    ]
    assert state["messages"][-1].text == state["answer"]
    assert [message.type for message in state["messages"]] == ["human", "ai"]
    assert set(state["timings"]) == {"prepare", "retrieve", "rerank", "generate", "cite"}
    assert not state["abstained"]


@pytest.mark.parametrize(
    ("question", "language", "source", "quote"),
    [
        ("When does the library open?", "en", "en/hours.md", "The library opens at nine."),
        ("متى يغادر القارب؟", "ar", "ar/boat.md", "يغادر القارب في السابعة والنصف."),
        ("窑炉最高多少度？", "zh", "zh/kiln.md", "窑炉最高温度为1230度。"),
    ],
)
def test_without_a_model_it_quotes(question: str, language: str, source: str, quote: str) -> None:
    graph = create_rag_graph(None, Pages(), reranker=SharedCharacters())
    state = graph.invoke(asked(question), context={"sentences": 1})
    assert state["language"] == language
    assert state["answer"] == f"{phrase(language, 'from_documents')}\n{quote} [1]"
    assert state["citations"] == [{"marker": 1, "source": source, "quote": quote}]


@pytest.mark.parametrize(
    ("question", "language"), [("Wer gewann?", "de"), ("谁赢了比赛？", "zh"), ("ใครชนะ", "th")]
)
def test_it_abstains_in_the_language_of_the_question(question: str, language: str) -> None:
    graph = create_rag_graph(says("never asked"), Pages(), reranker=SharedCharacters())
    state = graph.invoke(asked(question), context=RagContext(min_score=1.0))
    assert state["abstained"]
    assert state["answer"] == phrase(language, "abstain")
    assert state["documents"] == []
    assert state["citations"] == []


def test_passages_without_a_sentence_are_no_answer() -> None:
    class Heading(Pages):
        def _get_relevant_documents(self, *args: Any, **kwargs: Any) -> list[Document]:
            return [Document("# Hours", metadata={"source": "en/hours.md"})]

    state = create_rag_graph(None, Heading()).invoke(asked("When?"))
    assert state["abstained"]
    assert state["answer"] == phrase("en", "abstain")


def test_the_answer_language_can_be_set() -> None:
    graph = create_rag_graph(None, Pages(), reranker=SharedCharacters())
    state = graph.invoke(asked("Nothing?"), context={"min_score": 1.0, "answer_language": "ar"})
    assert state["answer"] == phrase("ar", "abstain")


def test_a_plain_vector_store_fits() -> None:
    store = InMemoryVectorStore(BagOfWords())
    store.add_documents(PAGES)
    state = create_rag_graph(None, store).invoke(
        asked("When does the library open?"), context={"passages": 1}
    )
    assert state["citations"][0]["source"] == "en/hours.md"


def test_the_model_reads_numbered_passages_and_the_question() -> None:
    seen: list[Any] = []

    class Listening(GenericFakeChatModel):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            seen.extend(messages)
            return super()._generate(messages, *args, **kwargs)

    graph = create_rag_graph(Listening(messages=iter([AIMessage("x [1]")])), Pages())
    graph.invoke(asked("متى يغادر القارب؟"), context={"passages": 2})
    system, human = seen
    assert system.text.endswith("Answer in Arabic.")
    assert human.text.startswith("Passages:\n[1] en/hours.md\n# Hours")
    assert "\n\n[2] ar/boat.md\nيغادر القارب في السابعة والنصف.\n\nQuestion: متى يغادر القارب؟" in human.text


def test_streaming_announces_every_stage_and_token() -> None:
    graph = create_rag_graph(says("Nine o'clock [1]."), Pages())
    events = list(graph.stream(asked("When?"), stream_mode=["custom", "messages"]))
    stages = [event["stage"] for mode, event in events if mode == "custom"]
    assert stages == ["prepare", "retrieve", "rerank", "generate", "cite"]
    tokens = [
        event[0].text
        for mode, event in events
        if mode == "messages" and event[1]["langgraph_node"] == "generate"
    ]
    assert "".join(tokens) == "Nine o'clock [1]."
    assert len(tokens) > 2


STREAMED = (
    "It opens at nine [1]. It opens at 9:45 [1]. It opens at 9:50 [7]. Is that so? It opens at nine [1]."
)


@pytest.mark.parametrize(
    "text", [STREAMED, STREAMED.replace(". ", ".\n\n"), "It opens at nine.", "Nine. [1] At 9:45. [1] Ten."]
)
@pytest.mark.parametrize("how", ["flag", "drop", "keep"])
async def test_the_stream_of_messages_says_what_the_answer_says(text: str, how: str) -> None:
    for create in (create_rag_graph, create_corrective_rag_graph):
        graph = create(says(text), Pages())
        state: dict[str, Any] = {}
        pieces: list[str] = []
        events = graph.astream(
            asked("When?"), context={"unsupported": how}, stream_mode=["values", "messages"]
        )
        async for mode, event in events:
            if mode == "values":
                state = event
            elif event[1]["langgraph_node"] == "generate":
                pieces.append(event[0].text)
        # What is kept is shown while it is written, with markers that are only resolved later.
        expected = text if how == "keep" else state["answer"]
        if not state["abstained"]:
            assert "".join(pieces) == expected


def test_a_sentence_is_shown_when_the_next_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[str] = []

    def push(message: AIMessage, *, state_key: None) -> None:
        pushed.append(message.text or str(message.additional_kwargs))

    monkeypatch.setattr("qwen_agentkit.graphs.shared.checked_stream.push_message", push)
    documents = [Document("It opens at nine.")]
    verify = partial(verify_citations, documents=documents, language="en")
    shown = CheckedStream(documents, "en", "flag", verify)
    shown.feed(AIMessageChunk("", id="1", additional_kwargs={"reasoning_content": "Hm."}))
    for word in ["It opens ", "at ", "ten [1].", " It opens", " at nine [1]", "."]:
        shown.feed(AIMessageChunk(word, id="1"))
    assert pushed[0] == "{'reasoning_content': 'Hm.'}"
    assert "".join(pushed[1:]) == "It opens at ten [1]. [?]"
    shown.end()
    assert "".join(pushed[1:]) == "It opens at ten [1]. [?] It opens at nine [1]."


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        ("flag", "It opens at nine [1]. It opens at 9:45 [1]. [?]"),
        ("drop", "It opens at nine [1]."),
        ("keep", "It opens at nine [1]. It opens at 9:45 [1]."),
    ],
)
def test_sentences_are_verified_and_treated_as_the_settings_say(how: str, answer: str) -> None:
    graph = create_rag_graph(says("It opens at nine [1]. It opens at 9:45 [1]."), Pages())
    events = []
    state: dict[str, Any] = {}
    for mode, event in graph.stream(
        asked("When?"), context={"unsupported": how}, stream_mode=["values", "custom"]
    ):
        if mode == "custom":
            events.append(event)
        else:
            state = event
    assert state["answer"] == state["messages"][-1].text == answer
    first, second = state["verification"]["sentences"]
    assert (first["verdict"], second["verdict"]) == ("supported", "unsupported")
    assert second["missing"] == [{"kind": "number", "text": "9:45"}]
    assert events[-1]["verification"] == state["verification"]
    assert set(state["citations"][0]) == {"marker", "source", "quote"}


def test_an_answer_without_any_support_is_no_answer_when_dropped() -> None:
    state = create_rag_graph(says("It opens at 9:45 [1]."), Pages()).invoke(
        asked("When does it open?"), context={"unsupported": "drop"}
    )
    assert state["abstained"]
    assert state["answer"] == phrase("en", "abstain")


def test_quotes_are_verified_too() -> None:
    state = create_rag_graph(None, Pages(), reranker=SharedCharacters()).invoke(asked("متى يغادر القارب؟"))
    assert state["verification"]["supported"] == state["verification"]["claims"] > 0


def test_async_gives_the_same() -> None:
    graph = create_rag_graph(None, Pages(), reranker=SharedCharacters())
    question = asked("When does the library open?")
    assert asyncio.run(graph.ainvoke(question))["answer"] == graph.invoke(question)["answer"]


def test_a_conversation_starts_each_question_afresh() -> None:
    graph = create_rag_graph(None, Pages(), reranker=SharedCharacters(), checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    graph.invoke(asked("When does the library open?"), thread)
    state = graph.invoke(asked("谁赢了比赛？"), thread, context={"min_score": 1.0})
    assert state["abstained"]
    assert state["citations"] == []
    assert len(state["messages"]) == 4


def test_a_question_is_needed() -> None:
    graph = create_rag_graph(None, Pages())
    with pytest.raises(InputError, match="human message"):
        graph.invoke({"messages": [AIMessage("hello")]})


def test_settings_are_checked() -> None:
    graph = create_rag_graph(None, Pages())
    with pytest.raises(ValueError, match="candidates"):
        graph.invoke(asked("When?"), context={"candidates": 1000})
