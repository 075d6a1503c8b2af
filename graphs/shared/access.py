"""Access control: a user finds only documents of their groups, as the server authenticated them.

Knows LangGraph's run and a store that filters by metadata. The groups come from the server's `authenticate`:
neither a request nor a model can change them. Without groups nothing is searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langgraph.runtime import get_runtime
from pydantic import ConfigDict

from qwen_agentkit.errors import AccessError
from qwen_agentkit.retrievers import KnowsLanguages

__all__ = ["GroupRetriever", "authenticated_groups", "group_filter"]


class GroupRetriever(BaseRetriever):
    """Searches only documents of the groups that the user of the running graph belongs to.

    Example::

        graph = create_rag_graph(ChatQwen(), GroupRetriever(store=store))

    Raises:
        AccessError: Searched outside a server, or for a user without groups.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: VectorStore
    """A store that takes the filter ``{key: [values]}``, which matches any of the values."""
    key: str = "group"
    """Metadata key of a document's group. Nobody finds a document without it."""
    limit: int = 200
    """Maximum number of documents to return. The graph keeps as many as its settings say."""

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        # The groups come last, so that no other filter can replace them.
        search = {"k": self.limit, "filter": {**(filter or {}), self.key: authenticated_groups()}}
        return self.store.as_retriever(search_kwargs=search).invoke(query)

    def languages(self) -> list[str]:
        """The languages of what the user may read; none where the store does not tell."""
        own: dict[str, Any] = {self.key: authenticated_groups()}
        return self.store.languages(own) if isinstance(self.store, KnowsLanguages) else []


def group_filter(runtime: object, key: str = "group") -> dict[str, list[str]]:
    """Make the filter of what the user may read, for the `access` of `create_rag_agent`.

    Raises:
        AccessError: As in `authenticated_groups`.
    """
    return {key: authenticated_groups()}


def authenticated_groups() -> list[str]:
    """The groups of the user whose request runs the graph, from the server's `authenticate`.

    Raises:
        AccessError: No graph is running, no user is authenticated, or the user has no groups.
    """
    try:
        server = get_runtime().server_info
    except (AttributeError, KeyError, RuntimeError):  # outside a graph
        server = None
    if server is None or server.user is None:
        raise AccessError(
            "The documents belong to groups, and no user is authenticated; expected a LangGraph server that "
            'authenticates. Name an "auth" that returns "groups" in langgraph.json, as in examples/auth.py.'
        )
    user = server.user
    groups = user["groups"] if "groups" in user else []  # noqa: SIM401 - a user has no method `get`
    if not isinstance(groups, list | tuple) or not groups or not all(_is_name(group) for group in groups):
        raise AccessError(
            f"The user {user.identity!r} has the groups {groups!r}; expected a list of at least one name. "
            'Return it as "groups" from the server\'s authenticate.'
        )
    return list(groups)


def _is_name(group: object) -> bool:
    return isinstance(group, str) and bool(group.strip())
