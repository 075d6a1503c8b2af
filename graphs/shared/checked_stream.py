"""Streams an answer sentence by sentence, each with the flag that it has in the final answer.

Knows LangGraph's message stream and the verification of sentences. Does not know who writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk
from langgraph.graph.message import push_message

from qwen_agentkit.graphs.shared.answers import is_abstention
from qwen_agentkit.text.citations import resolve_citations, without_markers
from qwen_agentkit.text.sentences import split_sentences
from qwen_agentkit.text.verification import Unsupported, Verification, treat_unsupported

__all__ = ["CheckedStream"]


_WORD = re.compile(r"\S+\s*|\s+")
_HALF_MARKER = re.compile(r"[\[【][^\]】]*$")


class CheckedStream:
    """Passes the chunks of an answer on, and holds a sentence back until it has been checked.

    A sentence is checked when the next one has begun: its markers stand behind it. Thoughts are passed on at
    once. Where sentences are dropped, the text comes at the end: only then is it known what is left. So does
    a text of which it is not known before whether it has to be checked. The text before a call of a tool is
    no answer; what is still held of it is passed on unchecked.

    Args:
        documents: The passages that the answer cites.
        language: Language of the answer, as an ISO 639-1 code.
        how: What happens to unsupported sentences.
        verify: Verifies an answer, or the beginning of one.
        needs: Whether a text has to be verified, as far as it goes; None for every text.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        language: str,
        how: Unsupported,
        verify: Callable[[str], Verification],
        needs: Callable[[str], bool] | None = None,
    ) -> None:
        self._documents, self._language, self._how = documents, language, how
        self._verify, self._needs = verify, needs or (lambda text: True)
        self._text = self._shown = ""
        self._checked = 0  # characters of the text that were looked at for a whole sentence
        self._id: str | None = None
        self._late: list[AIMessage] = []
        self._calls = False

    def feed(self, chunk: AIMessage) -> None:
        """Take the next chunk, or a whole message, and pass on what it settles."""
        if chunk.id is None:  # the stream of messages joins pieces by their id
            return
        self._id, text = chunk.id, chunk.text
        self._text += text
        self._calls = self._calls or bool(_calls_of(chunk))
        if not self._text:
            push_message(chunk, state_key=None)
        elif not text:
            self._late.append(chunk)  # a call, or how the answer ended, after the rest of it
        else:
            if _calls_of(chunk):  # a model that writes text and calls at once
                self._late.append(chunk.model_copy(update={"content": ""}))
            if self._how != "drop":
                self._show(self._settle())

    def end(self) -> None:
        """Pass on what was still held."""
        if self._id is None:
            return
        if self._calls:
            self._show(self._text[self._checked :])
        elif is_abstention(self._text.strip(), self._language):
            self._show(self._rest(self._text))
        else:
            self._show(self._rest(self._treated(self._text)))
        for chunk in self._late:
            push_message(chunk, state_key=None)

    def _settle(self) -> str:
        """Return what is new of the sentences before the last one, which may go on."""
        open_text = self._text[self._checked :]
        sentences = split_sentences(without_markers(open_text, blank=True))
        if len(sentences) < 2 or _HALF_MARKER.match(sentences[-1].text):
            return ""
        if not self._needs(self._text):
            return ""
        before, last = sentences[-2:]
        # A marker behind a sentence belongs to it; one at the start of a line, to what comes after.
        line = open_text.find("\n", before.end, last.start)
        self._checked += last.start if line < 0 else line
        return self._rest(self._treated(self._text[: self._checked]))

    def _treated(self, text: str) -> str:
        """Return the beginning of an answer, or all of it, as the final answer has it."""
        if self._needs(self._text):
            text = treat_unsupported(text, self._verify(text), self._how)
        return resolve_citations(text, self._documents)[0]

    def _rest(self, text: str) -> str:
        """Return what of a text has not been shown; nothing where it no longer begins as what was shown."""
        if not text.startswith(self._shown):
            return ""
        rest = text[len(self._shown) :]
        self._shown = text
        return rest

    def _show(self, text: str) -> None:
        """Show a text in words, as it would have come."""
        for word in _WORD.findall(text):
            push_message(AIMessageChunk(content=word, id=self._id), state_key=None)


def _calls_of(message: AIMessage) -> list[Any]:
    """Return the calls of a message, or of a chunk, whole or not."""
    return [*message.tool_calls, *message.invalid_tool_calls, *getattr(message, "tool_call_chunks", ())]
