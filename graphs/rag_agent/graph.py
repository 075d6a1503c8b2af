"""`rag_agent`: LangChain's `create_agent` over documents, with tools, budgets and checked citations.

Knows which middleware stands where; what each does is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, tool
from langchain_core.vectorstores import VectorStore
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from qwen_agentkit.errors import InputError, missing_extra
from qwen_agentkit.graphs.rag_agent.state import AgentContext
from qwen_agentkit.graphs.rag_agent.tools import Access, passage_tools
from qwen_agentkit.graphs.shared.models import chat_model, check_retriever, reranker_model
from qwen_agentkit.graphs.shared.prompts import AGENT
from qwen_agentkit.text.verification import Score

try:
    from langchain.agents import create_agent
    from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
except ModuleNotFoundError as error:
    raise missing_extra(error, "langchain", "agent") from error

from qwen_agentkit.graphs.middleware import (
    CitationMiddleware,
    HistoryMiddleware,
    LanguageMiddleware,
    ModelFallbackMiddleware,
    PassagesMiddleware,
    QuestionMiddleware,
    SearchBudgetMiddleware,
    StagesMiddleware,
    ThinkingBudgetMiddleware,
    ToolLimitsMiddleware,
    TurnLimitMiddleware,
)
from qwen_agentkit.graphs.middleware.extractive import ExtractiveMiddleware, NoModel

__all__ = ["build_rag_agent", "create_rag_agent"]


def create_rag_agent(
    model: BaseChatModel | str | None,
    retriever: BaseRetriever | VectorStore,
    *,
    tools: Sequence[BaseTool | Callable[..., Any]] = (),
    reranker: BaseDocumentCompressor | str | None = None,
    middleware: Sequence[AgentMiddleware[Any, Any, Any]] = (),
    system_prompt: str = AGENT,
    access: Access | None = None,
    approve: Iterable[str] = (),
    tool_seconds: float = 60.0,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
    cache: BaseCache[Any] | None = None,
    name: str = "rag_agent",
) -> CompiledStateGraph[Any, AgentContext, Any, Any]:
    """An agent that searches documents and answers with numbered citations, in the question's language.

    Its own tools are search, read_section, list_sources and cite. Its state has `passages` (marker [n] is
    the n-th, over the whole conversation), `answer`, `citations`, `verification` and `abstained`. Everything
    is bounded: searches, calls of the model, thought, seconds and characters of a tool call. Passages and
    results of tools are data: they add no tool and change no filter.

    What fails is replaced and announced in the custom stream as ``{"stage", "fallback", "error"}``: a
    reranker by the order of the search, a model by itself without thinking, then by quotes. When without a
    model every search fails, that is an error: "nothing found" would not be true.

    Example::

        agent = create_rag_agent(ChatQwen(), store, tools=[calculator, clock], reranker=QwenReranker())
        state = agent.invoke({"messages": [("user", "متى تفتح المكتبة؟")]}, context={"searches": 3})
        state["answer"], state["citations"]

    Args:
        model: any chat model with tools, or the name of one as in `create_rag_graph`. None: one search, and
            the best sentences are quoted as they are.
        retriever: any retriever, or a vector store.
        tools: more tools, such as those of `load_mcp_tools`.
        reranker: any compressor that writes `metadata["relevance_score"]`. If it also has a method
            ``score(pairs)``, every sentence of the answer gets a support score from it.
        middleware: more middleware; it stands nearer to the model and the tools than this graph's own.
        system_prompt: in the place of the package's; the language to answer in is added to it.
        access: from the runtime of a tool call to the filter of what it may find, such as
            ``lambda runtime: {"owner": runtime.server_info.user["identity"]}``. No argument of the model
            touches it; an error in it is an error of the search. The retriever gets it as ``filter``.
        approve: names of tools that a person has to approve before each call. Tools whose metadata has
            ``side_effects`` are added. Needs a checkpointer; bring a `HumanInTheLoopMiddleware` of your own
            in `middleware` to say more about it.
        tool_seconds: most for one call of a tool.
        checkpointer: keeps conversations; leave it out under `langgraph dev`, which brings its own.
        store: LangGraph's long-term memory, passed on.
        cache: LangGraph's node cache, passed on.
        name: of the graph, in traces and in Studio.

    Settings of one run are an `AgentContext`: ``agent.invoke(..., context={"searches": 2})``.

    Raises:
        InputError: a tool has the name of another, `approve` names none, the retriever is none or takes no
            filter, or a name names no model.
        MissingExtraError: langchain is not installed.
    """
    check_retriever(retriever)
    chat, ranker = chat_model(model), reranker_model(reranker)
    own = passage_tools(retriever, reranker=ranker, access=access)
    given = [one if isinstance(one, BaseTool) else tool(one) for one in tools]
    gated = _gated([*own, *given], approve)
    approved = any(isinstance(one, HumanInTheLoopMiddleware) for one in middleware)
    # The first is the outermost: an answer is put into the right language, then held against its passages.
    layers: list[AgentMiddleware[Any, Any, Any]] = [
        QuestionMiddleware(),
        PassagesMiddleware(own),
        SearchBudgetMiddleware(),
        ToolLimitsMiddleware(seconds=tool_seconds),
        CitationMiddleware(score=cast("Score | None", getattr(ranker, "score", None))),
    ]
    if gated and not approved:
        layers.append(HumanInTheLoopMiddleware(interrupt_on=dict.fromkeys(gated, True)))
    if chat is None:
        layers += [StagesMiddleware(), *middleware, ExtractiveMiddleware(ranker)]
    else:
        layers += [HistoryMiddleware(), ModelFallbackMiddleware(ranker), LanguageMiddleware()]
        layers += [TurnLimitMiddleware(), ThinkingBudgetMiddleware(), StagesMiddleware(), *middleware]
    return create_agent(
        NoModel() if chat is None else chat,
        given,
        system_prompt=system_prompt,
        middleware=layers,
        context_schema=AgentContext,
        checkpointer=checkpointer,
        store=store,
        cache=cache,
        name=name,
    )


def build_rag_agent(
    model: BaseChatModel | str | None, retriever: BaseRetriever | VectorStore, **given: Any
) -> StateGraph[Any, AgentContext, Any, Any]:
    """The builder behind `create_rag_agent`, to add nodes to; arguments as there.

    Compiled, it may take 25 steps of LangGraph unless you set `recursion_limit`.
    """
    return create_rag_agent(model, retriever, **given).builder


def _gated(tools: Sequence[BaseTool], approve: Iterable[str]) -> list[str]:
    """The names of the tools that need approval."""
    names = [one.name for one in tools]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(
            f"Two tools are named {', '.join(sorted(twice))}; expected names of their own, and other ones "
            "than search, read_section, list_sources and cite. Rename yours: @tool('another_name')."
        )
    wanted = set(approve)
    if unknown := wanted - set(names):
        raise InputError(
            f"approve names {', '.join(sorted(unknown))}, which is no tool; expected some of "
            f"{', '.join(names)}."
        )
    return [one.name for one in tools if one.name in wanted or (one.metadata or {}).get("side_effects")]
