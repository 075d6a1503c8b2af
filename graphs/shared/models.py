"""Models for the graphs: by name or as they are, thinking or not, and asked so that a run can be cancelled.

Knows LangChain's interfaces; this package's own classes by name only, resolved when a name is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib import import_module
from typing import Any, NamedTuple

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    message_chunk_to_message,
)
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langgraph.constants import TAG_NOSTREAM

from qwen_agentkit.errors import InputError, MissingExtraError
from qwen_agentkit.graphs.shared.running import NEVER_HIDDEN, Stage
from qwen_agentkit.graphs.shared.state import Node, RagContext

__all__ = [
    "NoAnswer",
    "Thought",
    "bound",
    "can_think",
    "chat_model",
    "check_retriever",
    "one_line",
    "reranker_model",
    "said",
    "thought_for",
    "thought_so_far",
]

_LONGEST_LINE = 500
"""Characters: what is longer is no query but the model talking."""
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]+:(?![\\/]).+")  # not C:\models nor a URL


class NoAnswer(Exception):
    """The model ended without a word of answer."""


class Thought(NamedTuple):
    """Whether a call thinks, None leaving it to the model, and in how many tokens at most."""

    thinking: bool | None
    budget: int | None


def chat_model(model: BaseChatModel | str | None) -> BaseChatModel | None:
    """The chat model that `model` names; anything else is returned as it is.

    Args:
        model: a preset ("nano", "0.6b", "4b", "8b"), hub id or folder, for `ChatQwen`; or LangChain's
            "provider:model", for `init_chat_model`. No weights load before the first question.

    Raises:
        InputError: it names nothing.
        MissingExtraError: a provider is named, and langchain or the provider's package is not installed.
    """
    if not isinstance(model, str):
        return model
    if not model.strip():
        raise InputError('model="" names no model; pass "0.6b", a hub id, a folder, a chat model, or None.')
    if not _PROVIDER.fullmatch(model):
        return _own("ChatQwen", model)  # type: ignore[no-any-return]  # resolved by name
    try:
        init_chat_model = import_module("langchain.chat_models").init_chat_model
        return init_chat_model(model)  # type: ignore[no-any-return]  # resolved by name
    except ImportError as error:
        raise MissingExtraError(
            f"model={model!r} names a provider of LangChain, which needs a package that is not installed: "
            f"{error}. Install langchain and the provider's package, or pass a Qwen model's name."
        ) from error
    except ValueError as error:
        raise InputError(
            f"model={model!r} cannot be made by LangChain: {str(error).splitlines()[0]} Expected "
            '"provider:model", such as "openai:gpt-4o", or a preset, hub id or folder of a Qwen model.'
        ) from error


def reranker_model(reranker: BaseDocumentCompressor | str | None) -> BaseDocumentCompressor | None:
    """The reranker that a preset, hub id or folder names; anything else is returned as it is."""
    return _own("QwenReranker", reranker) if isinstance(reranker, str) else reranker


def check_retriever(retriever: BaseRetriever | VectorStore) -> None:
    """Refuse what cannot be searched.

    Raises:
        InputError: it is neither a retriever nor a vector store, such as a path, which names no embedder.
    """
    if not isinstance(retriever, BaseRetriever | VectorStore):
        raise InputError(
            f"retriever={retriever!r} is a {type(retriever).__name__}; expected a LangChain retriever or "
            'vector store, such as QwenVectorStore(QwenEmbeddings(), path="store").'
        )


def can_think(model: BaseChatModel) -> bool:
    """Whether thinking can be switched on and off for a call, as `ChatQwen` allows."""
    field = type(model).model_fields.get("thinking")
    return field is not None and field.annotation == (bool | None)


def thought_for(node: Node, settings: RagContext, spent: int, hard: bool | None = None) -> Thought:
    """How a call of `node` thinks.

    Args:
        node: where it stands. All but "generate" think only if `node_budgets` names them.
        settings: of the run.
        spent: tokens of thought in this run so far.
        hard: whether the question was found to be hard; None: nobody looked.
    """
    wanted = settings.thinking
    if node != "generate":
        wanted = wanted is not False and node in settings.node_budgets
    elif wanted is None:
        wanted = hard
    left = None if settings.thinking_budget is None else max(0, settings.thinking_budget - spent)
    budgets = [one for one in (settings.node_budgets.get(node), left) if one is not None]
    budget = min(budgets) if budgets else None
    if budget == 0:
        wanted = False
    return Thought(wanted, None if wanted is False else budget)


def thought_so_far(state: Mapping[str, Any], stage: Stage) -> int:
    """Tokens of thought of the stages before, and of this one up to now."""
    return int(state.get("thought", 0)) + stage.used.thought


def bound(model: BaseChatModel, thought: Thought) -> Any:
    """The model as it is to think, as far as it can be told so."""
    given: dict[str, Any] = {}
    if can_think(model):
        given = {} if thought.thinking is None else {"thinking": thought.thinking}
        if thought.budget is not None and "thinking_budget" in type(model).model_fields:
            given["thinking_budget"] = thought.budget
    return model.bind(**given) if given else model


def said(model: Any, prompt: Sequence[AnyMessage], stage: Stage) -> AIMessage:
    """The whole answer of a model, unless the run is cancelled on the way.

    A call of a tool is no part of it: none is offered here, so it can only come out of a passage.

    Raises:
        NoAnswer: there is no text in it.
    """
    chunks: list[Any] = []
    # Closed at once, not when its last reference goes: the model is to stop where nobody reads on.
    with closing(model.stream(prompt)) as stream:
        for chunk in stream:
            stage.check()
            chunks.append(chunk)
    # Joined together: one after another each would copy what is there already. A model that does not stream
    # gives one message, which is no chunk.
    whole = chunks[0] + chunks[1:] if len(chunks) > 1 else next(iter(chunks), AIMessage(""))
    message = message_chunk_to_message(whole)
    if not isinstance(message, AIMessage) or not message.text.strip():
        raise NoAnswer("the model wrote no answer")
    if message.tool_calls or message.invalid_tool_calls:
        stage.details["ignored_tool_calls"] = [
            call["name"] for call in (*message.tool_calls, *message.invalid_tool_calls)
        ]
    extra = {key: value for key, value in message.additional_kwargs.items() if key != "tool_calls"}
    cleared = {"tool_calls": [], "invalid_tool_calls": [], "additional_kwargs": extra}
    return message.model_copy(update=cleared)


def one_line(
    model: BaseChatModel, thought: Thought, instruction: str, request: str, stage: Stage, instead: str
) -> str:
    """One line of the model, or "" when it fails or talks; `instead` says what is done then."""
    silent = bound(model, thought).with_config(tags=[TAG_NOSTREAM])
    try:
        text = said(silent, [SystemMessage(instruction), HumanMessage(request)], stage).text.strip()
    except NEVER_HIDDEN:
        raise
    except Exception as error:
        stage.fall_back(instead, error)
        return ""
    line = text.splitlines()[0].strip()
    if len(line) > _LONGEST_LINE:
        stage.fall_back(instead, f"the model wrote {len(line)} characters where a line was asked for")
        return ""
    return line


def _own(name: str, model: str) -> Any:
    """An object of this package's class `name`: graphs work with any class, so they import none of ours."""
    return getattr(import_module("qwen_agentkit"), name)(model=model)
