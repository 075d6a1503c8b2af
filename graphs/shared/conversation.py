"""What a graph reads of a conversation: enough to understand the next question.

Knows messages and a token budget. The thread itself is never cut: what is not read stays in the state, so
calls of tools and their results stay in pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs.shared.followups import has_content_words, stands_alone
from qwen_agentkit.graphs.shared.models import Thought, ask_line
from qwen_agentkit.graphs.shared.passages import escape_markup
from qwen_agentkit.graphs.shared.prompts import CONVERSATION, STAND_ALONE, SUMMARIZE
from qwen_agentkit.graphs.shared.runtime import Stage
from qwen_agentkit.text.languages import detect_language, language_name

__all__ = ["USER", "History", "estimate_tokens", "find_question", "read_history", "rewrite_followup"]

USER = "User"
"""The speaker of a human turn."""
_ASSISTANT = "Assistant"
_MAX_QUESTION = 20_000
"""Characters. A longer text is a document."""
_SUMMARY_WORDS = 60
_SUMMARY_BUDGETS = 4
"""A summary is made from at most so many budgets of old turns: more would not fit a small context."""


class SpokenTurn(NamedTuple):
    """One message of the conversation."""

    speaker: str
    text: str
    id: str

    def line(self) -> str:
        """The turn as a model reads it, on one line, so that it cannot begin another turn."""
        return f"{self.speaker}: {' '.join(escape_markup(self.text).split())}"


class History(NamedTuple):
    """A summary of the conversation up to the message with the id `summarized`, and the turns after it."""

    summary: str = ""
    summarized: str = ""
    turns: Sequence[SpokenTurn] = ()

    def lines(self) -> list[str]:
        """The history as a model reads it."""
        return [*_summary_lines("Summary", self.summary), *(turn.line() for turn in self.turns)]


def find_question(messages: Sequence[AnyMessage]) -> str:
    """The text of the last human message.

    Raises:
        InputError: There is no human message, it has no text, or it is as long as a document.
    """
    text = next((m.text.strip() for m in reversed(messages) if isinstance(m, HumanMessage)), "")
    if not text:
        raise InputError(
            f"The last human message of {len(messages)} messages is no question; expected a human message "
            'with text. Send, for instance, {"messages": [("user", "When does the library open?")]}.'
        )
    if len(text) > _MAX_QUESTION:
        raise InputError(
            f"The question has {len(text)} characters, beginning with {text[:40]!r}; expected at most "
            f"{_MAX_QUESTION}. Ingest long texts into the store, and ask about them."
        )
    return text


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text in any script: a quarter of its bytes."""
    return len(text.encode("utf-8", errors="replace")) // 4 + 1


def read_history(
    messages: Sequence[AnyMessage],
    known: tuple[str, str],
    budget: int,
    model: BaseChatModel | None,
    thought: Thought,
    stage: Stage,
) -> History:
    """Read the conversation before the last question, in at most about `budget` tokens.

    Args:
        messages: Messages of the thread.
        known: The summary so far, and the id of the last message in it.
        budget: In tokens. When the conversation is longer, its older half is summarized.
        model: Writes the summary. Without a model, and when it fails, the older half is dropped.
        thought: How the model thinks about the summary.
        stage: Where it is reported what was summarized, dropped and shortened.
    """
    summary, summarized = known
    turns = _read_turns(messages)
    ids = [turn.id for turn in turns]
    if summarized in ids:
        turns = turns[ids.index(summarized) + 1 :]
    else:  # the summary is of another thread, or its messages were deleted
        summary, summarized = "", ""
    if estimate_tokens(summary) + sum(estimate_tokens(turn.text) for turn in turns) <= budget:
        return History(summary, summarized, turns)
    old, turns = _split_turns(turns, budget // 2, stage)
    if not old:
        return History(summary, summarized, turns)
    readable = _newest(old, _SUMMARY_BUDGETS * budget)
    new_summary = ""
    if model is not None and readable:
        instruction = SUMMARIZE.format(words=_SUMMARY_WORDS)
        lines = [*_summary_lines("Summary so far", summary), *(turn.line() for turn in readable)]
        new_summary = ask_line(model, thought, instruction, "\n".join(lines), stage, "the newest turns alone")
    kept = len(readable) if new_summary else 0
    stage.details["history"] = {"summarized": kept, "dropped": len(old) - kept}
    return History(new_summary or summary, old[-1].id, turns)


def rewrite_followup(
    question: str, history: History, model: BaseChatModel | None, thought: Thought, stage: Stage
) -> str:
    """Rewrite a question so that it can be understood without the conversation.

    A question that stands alone stays as it is and costs no call. Without a model, and when it fails, every
    question does; if it has no content words, the question before is put in front of it.
    """
    earlier = [turn.text for turn in history.turns if turn.speaker == USER]
    if not earlier and not history.summary:
        return question
    language = detect_language(question)
    if stands_alone(question, language):
        return question
    if model is not None:
        request = CONVERSATION.format(turns="\n".join(history.lines()), question=escape_markup(question))
        instruction = STAND_ALONE.format(language=language_name(language))
        if line := ask_line(model, thought, instruction, request, stage, "the question as it is"):
            return line
    return f"{earlier[-1]} {question}" if earlier and not has_content_words(question) else question


def _summary_lines(label: str, summary: str) -> list[str]:
    return [f"{label}: {summary}"] if summary else []


def _read_turns(messages: Sequence[AnyMessage]) -> list[SpokenTurn]:
    """The turns before the last question, without calls of tools and their results."""
    last = max(place for place, message in enumerate(messages) if isinstance(message, HumanMessage))
    return [
        SpokenTurn(USER if isinstance(m, HumanMessage) else _ASSISTANT, m.text.strip(), str(m.id))
        for m in messages[:last]
        if isinstance(m, HumanMessage | AIMessage) and m.text.strip()
    ]


def _split_turns(
    turns: list[SpokenTurn], budget: int, stage: Stage
) -> tuple[list[SpokenTurn], list[SpokenTurn]]:
    """The older turns, and the newest that fit the budget. A newest turn that is longer is shortened."""
    new = _newest(turns, budget)
    if new or not turns:
        return turns[: len(turns) - len(new)], new
    last = turns[-1]
    text = last.text.encode("utf-8", errors="replace")[: 4 * budget].decode("utf-8", errors="ignore")
    stage.details["shortened"] = {"characters": len(last.text), "to": len(text)}
    return turns[:-1], [last._replace(text=f"{text}…")]


def _newest(turns: list[SpokenTurn], budget: int) -> list[SpokenTurn]:
    start = len(turns)
    while start and (budget := budget - estimate_tokens(turns[start - 1].text)) >= 0:
        start -= 1
    return turns[start:]
