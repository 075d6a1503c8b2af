"""The passages that an agent found, numbered over the whole conversation.

Knows tool messages whose artifact is a list of documents, from whatever tool; knows no retriever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import AgentState, OmitFromInput
from langchain_core.documents import Document
from langchain_core.messages import AnyMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.runtime import Runtime
from typing_extensions import NotRequired

from qwen_agentkit.graphs.middleware.tool_limits import cut
from qwen_agentkit.graphs.shared.passages import passage_text, source_line
from qwen_agentkit.graphs.shared.prompts import PASSAGE
from qwen_agentkit.text.citations import document_source

__all__ = ["PassagesMiddleware", "PassagesState", "numbers_of"]


class PassagesState(AgentState[Any]):
    """What an agent has found so far."""

    # Not an input: a request must not bring its own evidence.
    passages: Annotated[NotRequired[list[Document]], OmitFromInput]
    """Marker [n] is the n-th."""


class PassagesMiddleware(AgentMiddleware[PassagesState, Any, Any]):
    """Numbers the documents that tools return as artifacts, and writes them into the tool's message.

    Numbers go on over the conversation and a passage found again keeps its own, so a marker means one
    passage for ever, also when several tools were called at once. Any tool with
    ``response_format="content_and_artifact"`` whose artifact is a list of documents takes part, LangChain's
    `create_retriever_tool` with it.

    Args:
        tools: to add to the agent, such as those of `passage_tools`.
        characters: most of one passage; the rest is cut with a notice.
    """

    state_schema = PassagesState

    def __init__(self, tools: Sequence[BaseTool] = (), *, characters: int = 8000) -> None:
        self.tools = list(tools)
        self.characters = characters

    def before_model(self, state: PassagesState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Number what the last tool calls found."""
        passages = list(state.get("passages", []))
        places = {_key(passage): number for number, passage in enumerate(passages, 1)}
        messages: list[AnyMessage] = []
        for message in _new_results(state["messages"]):
            numbers = []
            for found in message.artifact:
                passage = Document(
                    id=found.id,
                    page_content=cut(found.page_content, self.characters),
                    metadata=found.metadata,
                )
                if _key(passage) not in places:
                    passages.append(passage)
                    places[_key(passage)] = len(passages)
                numbers.append(places[_key(passage)])
                passages[numbers[-1] - 1] = passage  # its score is the one for the last query
            update = {"content": _written(numbers, passages), "artifact": {"passages": numbers}}
            messages.append(message.model_copy(update=update))
        return {"messages": messages, "passages": passages} if messages else None


def numbers_of(message: AnyMessage) -> list[int]:
    """The numbers of the passages in a tool's message."""
    artifact = message.artifact if isinstance(message, ToolMessage) else None
    return artifact.get("passages", []) if isinstance(artifact, dict) else []


def _new_results(messages: Sequence[AnyMessage]) -> list[ToolMessage]:
    """The tool messages since the model spoke that hold documents, in their order."""
    found: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        artifact = message.artifact
        if artifact and isinstance(artifact, list) and all(isinstance(one, Document) for one in artifact):
            found.insert(0, message)
    return found


def _written(numbers: Sequence[int], passages: Sequence[Document]) -> str:
    """As the other graphs write them: as data that cannot begin another passage."""
    return "\n\n".join(
        PASSAGE.format(
            number=number,
            source=source_line(passages[number - 1]),
            text=passage_text(passages[number - 1].page_content),
        )
        for number in dict.fromkeys(numbers)
    )


def _key(document: Document) -> tuple[str, str]:
    return document_source(document), document.page_content
