"""Who may read what: passages of the groups of the user whom the server has authenticated, and no others.

Knows LangGraph's run and a store that filters by metadata. A request or a model has no part in it: the
groups are what the server's own `authenticate` returned, and without any nothing is searched.
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

__all__ = ["GroupRetriever", "authenticated_groups", "group_filter"]


class GroupRetriever(BaseRetriever):
    """Searches only the documents of the groups that the user of the running graph belongs to.

    Example::

        graph = create_rag_graph(ChatQwen(), GroupRetriever(store=store))

    Raises:
        AccessError: When searching outside a server, or for a user without groups.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: VectorStore
    """One whose filter may be ``{key: [values]}``, of which one must match."""
    key: str = "group"
    """Key of the metadata that names a document's group. A document without it is nobody's."""
    limit: int = 200
    """Passages found at most; the graph keeps as many as its settings say."""

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        filter: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        # The groups come last: no further filter can stand in their place.
        search = {"k": self.limit, "filter": {**(filter or {}), self.key: authenticated_groups()}}
        return self.store.as_retriever(search_kwargs=search).invoke(query)


def group_filter(runtime: object, key: str = "group") -> dict[str, list[str]]:
    """The filter of what the user may read, as the `access` of an agent whose tools read the store too.

    Raises:
        AccessError: As `authenticated_groups`.
    """
    return {key: authenticated_groups()}


def authenticated_groups() -> list[str]:
    """The groups of the user whose request runs the graph, as the server's `authenticate` gave them.

    Raises:
        AccessError: There is no graph, no authenticated user, or the user has no groups.
    """
    try:
        server = get_runtime().server_info
    except (AttributeError, KeyError, RuntimeError):  # outside a graph
        server = None
    if server is None or server.user is None:
        raise AccessError(
            "The documents belong to groups, and no user is authenticated; expected a LangGraph server whose "
            'langgraph.json names an "auth" that returns "groups", as examples/auth.py does.'
        )
    user = server.user
    groups = user["groups"] if "groups" in user else []  # noqa: SIM401 - a user has no method `get`
    if not isinstance(groups, list | tuple) or not groups or not all(_is_name(group) for group in groups):
        raise AccessError(
            f"The user {user.identity!r} has the groups {groups!r}; expected a list of one name or more "
            'under "groups" in what the server\'s authenticate returns.'
        )
    return list(groups)


def _is_name(group: object) -> bool:
    return isinstance(group, str) and bool(group.strip())
