"""What a graph remembers of a conversation: enough to understand the next question.

Knows messages and a token budget. The thread itself is never cut: tool calls and their results stay in pairs,
they are only not read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from qwen_agentkit.errors import InputError
from qwen_agentkit.graphs.shared.followups import has_words_of_its_own
from qwen_agentkit.graphs.shared.models import Thought, one_line
from qwen_agentkit.graphs.shared.passages import as_data
from qwen_agentkit.graphs.shared.prompts import CONVERSATION, STAND_ALONE, SUMMARISE
from qwen_agentkit.graphs.shared.running import Stage
from qwen_agentkit.text.languages import detect_language, language_name

__all__ = ["Memory", "last_question", "remember", "stand_alone", "tokens_in"]

_LONGEST_QUESTION = 20_000
"""Characters. What is longer is a document."""
_SUMMARY_WORDS = 60
_READ_AT_ONCE = 4
"""Budgets of old turns that one summary is made of: older ones would not fit a small context."""


class Turn(NamedTuple):
    """What one side said."""

    speaker: str
    text: str
    id: str

    def line(self) -> str:
        """The turn as a model reads it; line breaks in it cannot begin another turn."""
        return f"{self.speaker}: {' '.join(as_data(self.text).split())}"


class Memory(NamedTuple):
    """What is remembered: a summary up to the message `summarised`, and the turns after it."""

    summary: str
    summarised: str
    turns: list[Turn]


def last_question(messages: Sequence[AnyMessage]) -> str:
    """The text of the last human message.

    Raises:
        InputError: there is none, it has no text, or it is as long as a document.
    """
    text = next((m.text.strip() for m in reversed(messages) if isinstance(m, HumanMessage)), "")
    if not text:
        raise InputError(
            f"The last human message of {len(messages)} messages is no question; expected a human message "
            'with text, as in {"messages": [("user", "When does the library open?")]}.'
        )
    if len(text) > _LONGEST_QUESTION:
        raise InputError(
            f"The question has {len(text)} characters, beginning with {text[:40]!r}; expected at most "
            f"{_LONGEST_QUESTION}. Put what is to be searched into the store, and ask about it."
        )
    return text


def tokens_in(text: str) -> int:
    """About how many tokens a text has, in any script: a quarter of its bytes."""
    return len(text.encode("utf-8", errors="replace")) // 4 + 1


def remember(
    messages: Sequence[AnyMessage],
    memory: tuple[str, str],
    budget: int,
    model: BaseChatModel | None,
    thought: Thought,
    stage: Stage,
) -> Memory:
    """The conversation before the last question, in at most about `budget` tokens.

    Args:
        messages: of the thread.
        memory: the summary so far, and the id of the last message in it.
        budget: in tokens. Beyond it the older half is summarised.
        model: writes the summary; without one, and when it fails, the older half is dropped.
        thought: how the model thinks about it.
        stage: is told what was summarised, dropped and shortened.
    """
    summary, summarised = memory
    turns = _turns(messages)
    ids = [turn.id for turn in turns]
    if summarised in ids:
        turns = turns[ids.index(summarised) + 1 :]
    else:
        summary, summarised = "", ""  # another thread's, or the messages were taken away
    if tokens_in(summary) + sum(tokens_in(turn.text) for turn in turns) <= budget:
        return Memory(summary, summarised, turns)
    old, turns = _halved(turns, budget // 2, stage)
    if not old:
        return Memory(summary, summarised, turns)
    readable = _newest(old, _READ_AT_ONCE * budget)
    told = [f"Summary so far: {summary}"] if summary else []
    request = "\n".join([*told, *(turn.line() for turn in readable)])
    written = ""
    if model is not None and readable:
        instruction = SUMMARISE.format(words=_SUMMARY_WORDS)
        written = one_line(model, thought, instruction, request, stage, "the newest turns alone")
    kept = len(readable) if written else 0
    stage.details["history"] = {"summarised": kept, "dropped": len(old) - kept}
    return Memory(written or summary, old[-1].id, turns)


def stand_alone(
    question: str, memory: Memory, model: BaseChatModel | None, thought: Thought, stage: Stage
) -> str:
    """The question so that it can be searched for without the conversation before it.

    Without a model, and when it fails, that is the question as it is; with the one before, if it has no
    words of its own.
    """
    earlier = [turn.text for turn in memory.turns if turn.speaker == _PERSON]
    if not earlier and not memory.summary:
        return question
    if model is not None:
        told = [f"Summary: {memory.summary}"] if memory.summary else []
        turns = "\n".join([*told, *(turn.line() for turn in memory.turns)])
        request = CONVERSATION.format(turns=turns, question=as_data(question))
        instruction = STAND_ALONE.format(language=language_name(detect_language(question)))
        if line := one_line(model, thought, instruction, request, stage, "the question as it is"):
            return line
    return f"{earlier[-1]} {question}" if earlier and not has_words_of_its_own(question) else question


_PERSON = "User"


def _turns(messages: Sequence[AnyMessage]) -> list[Turn]:
    """What was said before the last question, without calls of tools and their results."""
    last = max(place for place, message in enumerate(messages) if isinstance(message, HumanMessage))
    return [
        Turn(_PERSON if isinstance(m, HumanMessage) else "Assistant", m.text.strip(), str(m.id))
        for m in messages[:last]
        if isinstance(m, HumanMessage | AIMessage) and m.text.strip()
    ]


def _halved(turns: list[Turn], budget: int, stage: Stage) -> tuple[list[Turn], list[Turn]]:
    """Older turns, and the newest that fit the budget; one that alone is longer is shortened."""
    new = _newest(turns, budget)
    if new or not turns:
        return turns[: len(turns) - len(new)], new
    last = turns[-1]
    text = last.text.encode("utf-8", errors="replace")[: 4 * budget].decode("utf-8", errors="ignore")
    stage.details["shortened"] = {"characters": len(last.text), "to": len(text)}
    return turns[:-1], [last._replace(text=f"{text}…")]


def _newest(turns: list[Turn], budget: int) -> list[Turn]:
    start = len(turns)
    while start and (budget := budget - tokens_in(turns[start - 1].text)) >= 0:
        start -= 1
    return turns[start:]
