"""`rag_agent`: LangChain's `create_agent` over documents, with tools, budgets and checked citations.

Knows the order of the middleware, not what each does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from langchain_core.tools import BaseTool, tool
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from qwen_agentkit.errors import InputError, missing_extra
from qwen_agentkit.graphs.rag_agent.state import AgentContext
from qwen_agentkit.graphs.rag_agent.tools import Access, passage_tools
from qwen_agentkit.graphs.shared.models import (
    ChatModel,
    Reranker,
    Retriever,
    check_retriever,
    resolve_chat_model,
    resolve_reranker,
)
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
    model: ChatModel,
    retriever: Retriever,
    *,
    tools: Sequence[BaseTool | Callable[..., Any]] = (),
    reranker: Reranker = None,
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
    """Make an agent that searches documents and answers with numbered citations, in the question's language.

    Its own tools are search, read_section, list_sources and cite. Its state has `passages` (marker [n] is
    the n-th, over the whole conversation), `answer`, `citations`, `verification` and `abstained`. There are
    limits for searches, calls of the model, tokens of thought, and the seconds and characters of a tool call.
    Passages and results of tools are data: they can add no tool and change no filter.

    Failures are handled as in `create_rag_graph`. Without a model it is an error when every search fails: an
    answer that nothing was found would not be true.

    Example::

        agent = create_rag_agent(ChatQwen(), store, tools=[calculator, clock], reranker=QwenReranker())
        state = agent.invoke({"messages": [("user", "متى تفتح المكتبة؟")]}, context={"searches": 3})
        state["answer"], state["citations"]

    The settings of one run are an `AgentContext`: ``agent.invoke(..., context={"searches": 2})``.

    Args:
        model: As in `create_rag_graph`; the model must support tools. None: one search, and the answer quotes
            the best sentences.
        retriever: Any retriever, or a vector store.
        tools: More tools, such as those of `load_mcp_tools`.
        reranker: As in `create_corrective_rag_graph`.
        middleware: More middleware. It is placed nearer to the model and the tools than this graph's own.
        system_prompt: Replaces the package's prompt. The language of the answer is added to it.
        access: Makes the filter of what a tool call may find from the call's runtime, such as
            ``lambda runtime: {"owner": runtime.server_info.user["identity"]}``. The model cannot change it,
            and an error in it is an error of the search. The retriever gets it as ``filter``.
        approve: Names of tools that a person has to approve before each call, in addition to tools with
            ``side_effects`` in their metadata. Needs a checkpointer. For more detailed decisions, pass a
            `HumanInTheLoopMiddleware` of your own in `middleware`.
        tool_seconds: Maximum seconds for one call of a tool.
        checkpointer: As in `create_rag_graph`.
        store: As in `create_rag_graph`.
        cache: As in `create_rag_graph`.
        name: As in `create_rag_graph`.

    Raises:
        InputError: Two tools have one name, `approve` names no tool, the retriever cannot be searched or
            takes no filter, or no model can be made from a name.
        MissingExtraError: langchain, or the package of the model's provider, is not installed.
    """
    check_retriever(retriever)
    chat, ranker = resolve_chat_model(model), resolve_reranker(reranker)
    own = passage_tools(retriever, reranker=ranker, access=access)
    given = [one if isinstance(one, BaseTool) else tool(one) for one in tools]
    gated = _find_gated([*own, *given], approve)
    brings_approval = any(isinstance(one, HumanInTheLoopMiddleware) for one in middleware)
    # The first is the outermost: an answer is put into the right language, then checked against its passages.
    layers: list[AgentMiddleware[Any, Any, Any]] = [
        QuestionMiddleware(),
        PassagesMiddleware(own),
        SearchBudgetMiddleware(),
        ToolLimitsMiddleware(seconds=tool_seconds),
        CitationMiddleware(score=cast("Score | None", getattr(ranker, "score", None))),
    ]
    if gated and not brings_approval:
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
    model: ChatModel, retriever: Retriever, **options: Any
) -> StateGraph[Any, AgentContext, Any, Any]:
    """Make the builder behind `create_rag_agent`, to add nodes to; arguments as there.

    A graph that you compile from it stops after 25 steps of LangGraph, unless you set `recursion_limit`.
    """
    return create_rag_agent(model, retriever, **options).builder


def _find_gated(tools: Sequence[BaseTool], approve: Iterable[str]) -> list[str]:
    """The names of the tools that need approval."""
    names = [one.name for one in tools]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(
            f"Two tools are named {', '.join(sorted(repeated))}; expected a different name for each, other "
            "than search, read_section, list_sources and cite. Rename your tool: @tool('another_name')."
        )
    wanted = set(approve)
    if unknown := wanted - set(names):
        raise InputError(
            f"approve names {', '.join(sorted(unknown))}, which is no tool; expected names out of "
            f"{', '.join(names)}. Correct the name, or pass the tool in tools=."
        )
    return [one.name for one in tools if one.name in wanted or (one.metadata or {}).get("side_effects")]
