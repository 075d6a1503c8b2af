"""A run as one HTML page: stages and times, passages, prompts, thoughts, answer and citations.

Knows the events and the state of a graph. The page loads nothing. All text in it is escaped, because
documents and models may contain anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from qwen_agentkit.text.citations import find_markers, marker_numbers
from qwen_agentkit.text.documents import document_key, document_source

__all__ = ["Recorder", "render_page"]


@dataclass
class _Call:
    """One call of a chat model. Times are seconds since the start of the run."""

    stage: str
    start: float
    prompt: list[tuple[str, str]]
    seconds: float = 0.0
    thoughts: str = ""
    text: str = ""
    tokens: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Step:
    """A stage that ended, or a fallback inside it."""

    name: str
    start: float
    seconds: float
    details: str
    fallback: bool = False


class Recorder(BaseCallbackHandler):
    """Records a run: pass it as a callback, and give it the custom events."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.calls: dict[UUID, _Call] = {}
        self._started = time.perf_counter()

    def event(self, event: Any) -> None:
        """Record one custom event of a graph."""
        if not isinstance(event, dict) or "stage" not in event:
            return
        rest = {key: value for key, value in event.items() if key not in ("stage", "seconds", "verification")}
        seconds = float(event.get("seconds", 0.0))
        details = json.dumps(rest, ensure_ascii=False, default=str) if rest else ""
        start = max(0.0, self._now() - seconds)
        self.steps.append(_Step(str(event["stage"]), start, seconds, details, "fallback" in event))

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record a prompt as it goes to the model."""
        prompt = [(message.type, str(message.text)) for message in messages[0]]
        self.calls[run_id] = _Call(str((metadata or {}).get("langgraph_node", "")), self._now(), prompt)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the answer of the model."""
        self._record_answer(run_id, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record what the model wrote before it failed or the reader stopped."""
        self._record_answer(run_id, kwargs.get("response"))
        if not isinstance(error, GeneratorExit):
            self.calls[run_id].text += f"{type(error).__name__}: {error}"

    def _record_answer(self, run_id: UUID, response: LLMResult | None) -> None:
        call = self.calls[run_id]
        call.seconds = self._now() - call.start
        for generation in response.generations[0] if response else []:
            if isinstance(generation, ChatGeneration):
                message = generation.message
                call.text = message.text
                call.thoughts = str(message.additional_kwargs.get("reasoning_content", ""))
                call.tokens = getattr(message, "usage_metadata", None) or {}

    def _now(self) -> float:
        return time.perf_counter() - self._started


def render_page(recorder: Recorder, state: Mapping[str, Any], *, models: Sequence[str]) -> str:
    """Return the report of a run as HTML.

    Args:
        recorder: The recorded run.
        state: The last state of the graph.
        models: Names of the checkpoints that took part.
    """
    from jinja2 import Environment, StrictUndefined  # 0.2 s that a run without a report does not wait for

    template = (files("qwen_agentkit") / "data" / "trace.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    ends = [step.start + step.seconds for step in recorder.steps]
    calls = list(recorder.calls.values())
    total = max([*ends, *(call.start + call.seconds for call in calls), 1e-6])
    return environment.from_string(template).render(
        question=state["question"],
        language=state["language"],
        abstained=state["abstained"],
        answer=_split_at_markers(state["answer"], len(state["documents"])),
        citations=state["citations"],
        sentences=(state.get("verification") or {"sentences": []})["sentences"],
        reasoning=state["reasoning"],
        passages=_describe_passages(state["retrieved"], state["documents"]),
        steps=recorder.steps,
        calls=calls,
        total=total,
        models=models,
    )


def _split_at_markers(answer: str, passages: int) -> list[tuple[str, int]]:
    """Split the answer into pieces: text with 0, and markers with the number of the passage they link to."""
    pieces: list[tuple[str, int]] = []
    done = 0
    for match in find_markers(answer):
        pieces.append((answer[done : match.start()], 0))
        for number in marker_numbers(match):
            pieces.append((f"[{number}]", number if 1 <= number <= passages else 0))
        done = match.end()
    return [*pieces, (answer[done:], 0)]


def _describe_passages(retrieved: Sequence[Document], kept: Sequence[Document]) -> list[dict[str, Any]]:
    """Describe every passage found, those of the answer first, with both ranks and both scores."""
    before = {document_key(document): place for place, document in enumerate(retrieved, 1)}
    after = {document_key(document): place for place, document in enumerate(kept, 1)}
    rest = [document for document in retrieved if document_key(document) not in after]
    return [
        {
            "source": document_source(document),
            "text": document.page_content,
            "language": document.metadata.get("language"),
            "before": before.get(document_key(document)),
            "after": after.get(document_key(document)),
            "retrieval_score": document.metadata.get("retrieval_score"),
            "relevance_score": document.metadata.get("relevance_score"),
        }
        for document in [*kept, *rest]
    ]
