"""Groups of a server's user: they alone decide, and whatever is missing or odd finds nothing."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langgraph.runtime import Runtime, ServerInfo

from qwen_agentkit.errors import AccessError
from qwen_agentkit.graphs import GroupRetriever, create_rag_graph, group_filter
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords

QUESTION: Any = {"messages": [("user", "When does the library open?")]}


class User(dict[str, Any]):
    """A user as a server passes it on."""

    identity = "anna"


@pytest.fixture
def store() -> QwenVectorStore:
    store = QwenVectorStore(BagOfWords(), path=":memory:")
    texts = ["The library opens at nine.", "The library opens at ten.", "The library never opens."]
    store.add_texts(texts, [{"group": "crew"}, {"group": "staff"}, {}])
    return store


def found(store: QwenVectorStore, user: Any) -> set[str]:
    server = None if user is None else ServerInfo(assistant_id="1", graph_id="rag", user=user)
    config: Any = {"configurable": {"__pregel_runtime": Runtime(server_info=server)}}
    state = create_rag_graph(None, GroupRetriever(store=store)).invoke(QUESTION, config)
    return {document.page_content for document in state["retrieved"]}


def test_a_user_finds_what_is_of_their_groups(store: QwenVectorStore) -> None:
    assert found(store, User(groups=["crew"])) == {"The library opens at nine."}
    both = found(store, User(groups=("crew", "staff")))
    assert both == {"The library opens at nine.", "The library opens at ten."}
    assert found(store, User(groups=["guests"])) == set()


def test_a_further_filter_narrows_and_never_widens(store: QwenVectorStore) -> None:
    class Narrowed(GroupRetriever):
        wanted: dict[str, Any]

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return super()._get_relevant_documents(query, run_manager=run_manager, filter=self.wanted)

    server = ServerInfo(assistant_id="1", graph_id="rag", user=User(groups=["crew"]))
    config: Any = {"configurable": {"__pregel_runtime": Runtime(server_info=server)}}
    for wanted, count in (({"group": "staff"}, 1), ({"language": "ar"}, 0)):
        graph = create_rag_graph(None, Narrowed(store=store, wanted=wanted))
        texts = [document.page_content for document in graph.invoke(QUESTION, config)["retrieved"]]
        assert texts == ["The library opens at nine."][:count]


@pytest.mark.parametrize(
    "user",
    [
        None,
        User(),
        User(groups=[]),
        User(groups=None),
        User(groups="crew"),
        User(groups=[""]),
        User(groups=[1]),
    ],
    ids=str,
)
def test_whatever_is_missing_or_odd_is_refused(store: QwenVectorStore, user: Any) -> None:
    with pytest.raises(AccessError, match="authenticate"):
        found(store, user)


def test_outside_a_graph_nothing_is_searched(store: QwenVectorStore) -> None:
    with pytest.raises(AccessError, match="no user is authenticated"):
        GroupRetriever(store=store).invoke("library")
    with pytest.raises(AccessError):
        group_filter(None)
    with pytest.raises(AccessError):
        RunnableLambda(group_filter).invoke(None)
