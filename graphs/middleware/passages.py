"""Numbers the passages that an agent finds, over the whole conversation.

Knows tool messages whose artifact is a list of documents, from any tool. Knows no retriever.
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

from qwen_agentkit.graphs.middleware.tool_limits import cut_text
from qwen_agentkit.graphs.shared.passages import format_passage
from qwen_agentkit.text.documents import document_key

__all__ = ["PassagesMiddleware", "PassagesState", "numbers_of"]


class PassagesState(AgentState[Any]):
    """State of an agent: the passages found so far."""

    # No input: a request must not bring its own evidence.
    passages: Annotated[NotRequired[list[Document]], OmitFromInput]
    """Marker [n] is the n-th."""


class PassagesMiddleware(AgentMiddleware[PassagesState, Any, Any]):
    """Numbers the documents that tools return as artifacts, and writes them into the tool's message.

    Numbers continue over the conversation, and a passage that is found again keeps its number. So a marker
    always means the same passage, also when several tools are called at once. This works for any tool with
    ``response_format="content_and_artifact"`` whose artifact is a list of documents, such as LangChain's
    `create_retriever_tool`.

    Args:
        tools: Tools to add to the agent, such as those of `passage_tools`.
        characters: Maximum characters of one passage. The rest is cut, and a notice says so.
    """

    state_schema = PassagesState

    def __init__(self, tools: Sequence[BaseTool] = (), *, characters: int = 8000) -> None:
        self.tools = list(tools)
        self.characters = characters

    def before_model(self, state: PassagesState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Number what the last tool calls found."""
        passages = list(state.get("passages", []))
        places = {document_key(passage): number for number, passage in enumerate(passages, 1)}
        messages: list[AnyMessage] = []
        for message in _new_results(state["messages"]):
            numbers = []
            for found in message.artifact:
                passage = Document(
                    id=found.id,
                    page_content=cut_text(found.page_content, self.characters),
                    metadata=found.metadata,
                )
                key = document_key(passage)
                if key not in places:
                    passages.append(passage)
                    places[key] = len(passages)
                numbers.append(places[key])
                passages[places[key] - 1] = passage  # with its score for the last query
            content = "\n\n".join(format_passage(one, passages[one - 1]) for one in dict.fromkeys(numbers))
            update = {"content": content, "artifact": {"passages": numbers}}
            messages.append(message.model_copy(update=update))
        return {"messages": messages, "passages": passages} if messages else None


def numbers_of(message: AnyMessage) -> list[int]:
    """The numbers of the passages in a tool's message."""
    artifact = message.artifact if isinstance(message, ToolMessage) else None
    return artifact.get("passages", []) if isinstance(artifact, dict) else []


def _new_results(messages: Sequence[AnyMessage]) -> list[ToolMessage]:
    """The tool messages after the last message of the model that hold documents, in their order."""
    found: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        artifact = message.artifact
        if artifact and isinstance(artifact, list) and all(isinstance(one, Document) for one in artifact):
            found.insert(0, message)
    return found
