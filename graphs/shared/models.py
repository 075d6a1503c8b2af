"""Models in the graphs: made from a name, told how to think, and asked.

Knows LangChain's interfaces. Knows this package's own classes by name only, and imports them when a name is
given. Does not know what is done with an answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from typing import Any, NamedTuple, Protocol, TypeVar

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
from pydantic import BaseModel

from qwen_agentkit.errors import InputError, MissingExtraError
from qwen_agentkit.graphs.shared.runtime import ALWAYS_RAISED, Stage
from qwen_agentkit.graphs.shared.state import Node, RagContext

__all__ = [
    "NO_THOUGHT",
    "ChatModel",
    "NoAnswer",
    "Reranker",
    "Retriever",
    "Thought",
    "ask_line",
    "ask_object",
    "ask_text",
    "can_think",
    "check_retriever",
    "plan_thought",
    "resolve_chat_model",
    "resolve_reranker",
    "stream_answer",
]

ChatModel = BaseChatModel | str | None
"""What a graph takes as chat model: an object, a name for `resolve_chat_model`, or None for no model."""
Reranker = BaseDocumentCompressor | str | None
"""What a graph takes as reranker: an object, a name for `resolve_reranker`, or None for no reranker."""
Retriever = BaseRetriever | VectorStore
"""What a graph searches."""

ObjectT = TypeVar("ObjectT", bound=BaseModel)

_MAX_LINE = 500
"""Characters. A longer line is not the query that was asked for."""
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]+:(?![\\/]).+")  # neither C:\models nor a URL


class Shown(Protocol):
    """Shows an answer while it is written."""

    def feed(self, chunk: AIMessage) -> None:
        """Take the next chunk, or a whole message."""

    def end(self) -> None:
        """Take the end of the answer."""


class NoAnswer(Exception):
    """The model ended its turn without any text."""


class Thought(NamedTuple):
    """Whether a call thinks (None: as the model does by default), and in how many tokens at most."""

    thinking: bool | None
    budget: int | None


NO_THOUGHT = Thought(False, None)


def resolve_chat_model(model: ChatModel) -> BaseChatModel | None:
    """Make the chat model that a name stands for; an object is returned as it is.

    Args:
        model: A preset ("nano", "0.6b", "4b", "8b"), hub id or folder, for `ChatQwen`; or LangChain's
            "provider:model", for `init_chat_model`. No weights load before the first question.

    Raises:
        InputError: No model can be made from the name.
        MissingExtraError: The name has a provider, and langchain or the provider's package is not installed.
    """
    if not isinstance(model, str):
        return model
    if not model.strip():
        raise InputError('model="" names no model. Pass "0.6b", a hub id, a folder, a chat model, or None.')
    if not _PROVIDER.fullmatch(model):
        return _make("ChatQwen", model)  # type: ignore[no-any-return]  # resolved by name
    try:
        init_chat_model = import_module("langchain.chat_models").init_chat_model
        return init_chat_model(model)  # type: ignore[no-any-return]  # resolved by name
    except ImportError as error:
        raise MissingExtraError(
            f"model={model!r} names a provider of LangChain, which needs a package that is not installed: "
            f"{error}. Install langchain and the provider's package, or pass the name of a Qwen model."
        ) from error
    except ValueError as error:
        raise InputError(
            f"LangChain cannot make model={model!r}: {str(error).splitlines()[0]} Expected "
            '"provider:model", such as "openai:gpt-4o", or a preset, hub id or folder of a Qwen model.'
        ) from error


def resolve_reranker(reranker: Reranker) -> BaseDocumentCompressor | None:
    """Make the `QwenReranker` that a preset, hub id or folder names; an object is returned as it is."""
    return _make("QwenReranker", reranker) if isinstance(reranker, str) else reranker


def _make(name: str, model: str) -> Any:
    """Make an object of this package's class `name`, found by name: the graphs import no model class."""
    return getattr(import_module("qwen_agentkit"), name)(model=model)


def check_retriever(retriever: Retriever) -> None:
    """Refuse an object that cannot be searched.

    Raises:
        InputError: The object is neither a retriever nor a vector store. A path is not enough, since it names
            no embedder.
    """
    if not isinstance(retriever, BaseRetriever | VectorStore):
        raise InputError(
            f"retriever={retriever!r} is a {type(retriever).__name__}; expected a LangChain retriever or "
            'vector store. Pass, for instance, QwenVectorStore(QwenEmbeddings(), path="store").'
        )


def can_think(model: BaseChatModel) -> bool:
    """Whether thinking can be switched on and off for one call, as with `ChatQwen`."""
    field = type(model).model_fields.get("thinking")
    return field is not None and field.annotation == (bool | None)


def plan_thought(node: Node, settings: RagContext, spent: int, hard: bool | None = None) -> Thought:
    """Decide how a call of `node` thinks.

    Args:
        node: The node that asks. Nodes other than "generate" think only if `node_budgets` names them.
        settings: Settings of the run.
        spent: Tokens of thought in this run so far.
        hard: Whether the question was found to be hard; None: not known.
    """
    thinking = settings.thinking
    if node != "generate":
        thinking = thinking is not False and node in settings.node_budgets
    elif thinking is None:
        thinking = hard
    left = None if settings.thinking_budget is None else max(0, settings.thinking_budget - spent)
    limits = [limit for limit in (settings.node_budgets.get(node), left) if limit is not None]
    budget = min(limits) if limits else None
    if budget == 0:
        thinking = False
    return Thought(thinking, None if thinking is False else budget)


def stream_answer(
    model: BaseChatModel,
    thought: Thought,
    prompt: Sequence[AnyMessage],
    stage: Stage,
    *,
    hidden: bool = False,
    shown: Shown | None = None,
) -> AIMessage:
    """Ask a model for text, and stop it when the run is cancelled.

    Calls of tools are removed from the message: none is offered here, so a call can only be copied from a
    passage.

    Args:
        model: Any chat model.
        thought: How it thinks. A model without this setting thinks as it does by default.
        prompt: What it reads.
        stage: Stage of the node that asks.
        hidden: Keep the text out of LangGraph's message stream.
        shown: Takes the chunks, and puts into that stream what it makes of them.

    Raises:
        NoAnswer: The message has no text.
    """
    settings = _thought_settings(model, thought)
    asked: Any = model.bind(**settings) if settings else model
    if hidden or shown:
        asked = asked.with_config(tags=[TAG_NOSTREAM])
    chunks: list[Any] = []
    # Closed at once, not when it is collected: the model has to stop when the run is cancelled.
    with closing(asked.stream(prompt)) as stream:
        for chunk in stream:
            stage.check_cancelled()
            chunks.append(chunk)
            if shown:
                shown.feed(chunk)
    if shown:
        shown.end()
    # One sum of all chunks: adding them one by one would copy the text each time. A model that does not
    # stream gives one whole message.
    whole = chunks[0] + chunks[1:] if len(chunks) > 1 else next(iter(chunks), AIMessage(""))
    message = message_chunk_to_message(whole)
    if not isinstance(message, AIMessage) or not message.text.strip():
        raise NoAnswer("The model wrote no answer.")
    return _without_tool_calls(message, stage)


def _thought_settings(model: BaseChatModel, thought: Thought) -> dict[str, Any]:
    """The settings of a call with this thought, without those that the model does not have."""
    if not can_think(model):
        return {}
    settings: dict[str, Any] = {} if thought.thinking is None else {"thinking": thought.thinking}
    if thought.budget is not None and "thinking_budget" in type(model).model_fields:
        settings["thinking_budget"] = thought.budget
    return settings


def _without_tool_calls(message: AIMessage, stage: Stage) -> AIMessage:
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    if calls:
        stage.details["ignored_tool_calls"] = [call["name"] for call in calls]
    extra = {key: value for key, value in message.additional_kwargs.items() if key != "tool_calls"}
    cleared = {"tool_calls": [], "invalid_tool_calls": [], "additional_kwargs": extra}
    return message.model_copy(update=cleared)


def ask_text(
    model: BaseChatModel, thought: Thought, instruction: str, request: str, stage: Stage, instead: str
) -> str:
    """Ask a model for a short text that the reader does not see.

    Args:
        model: Any chat model.
        thought: How it thinks. A model without this setting thinks as it does by default.
        instruction: The system message.
        request: The human message.
        stage: Where a failure is announced.
        instead: What is done when the model fails.

    Returns:
        The text, or "" when the model fails.
    """
    prompt: list[AnyMessage] = [SystemMessage(instruction), HumanMessage(request)]
    try:
        return stream_answer(model, thought, prompt, stage, hidden=True).text.strip()
    except ALWAYS_RAISED:
        raise
    except Exception as error:
        stage.announce_fallback(instead, error)
        return ""


def ask_line(
    model: BaseChatModel, thought: Thought, instruction: str, request: str, stage: Stage, instead: str
) -> str:
    """Ask a model for one line, such as a search query; arguments as in `ask_text`.

    Returns:
        The first line of the text, or "" when the model fails or the line is too long to be a query.
    """
    text = ask_text(model, thought, instruction, request, stage, instead)
    line = next(iter(text.splitlines()), "").strip()
    if len(line) > _MAX_LINE:
        stage.announce_fallback(
            instead, f"The model wrote {len(line)} characters where a line was asked for."
        )
        return ""
    return line


def ask_object(
    schema: type[ObjectT],
    model: BaseChatModel,
    thought: Thought,
    instruction: str,
    request: str,
    stage: Stage,
    instead: str,
) -> ObjectT | None:
    """Ask a model for an object of `schema`; the other arguments as in `ask_text`.

    Returns:
        The object, or None when the model gives none.
    """
    prompt = [SystemMessage(instruction), HumanMessage(request)]
    try:
        structured = model.with_structured_output(schema, **_thought_settings(model, thought))
        asked = structured.with_config(tags=[TAG_NOSTREAM])
        return schema.model_validate(asked.invoke(prompt))
    except ALWAYS_RAISED:
        raise
    except Exception as error:
        stage.announce_fallback(instead, error)
        return None
