"""Tool calls that a server streams in pieces. Knows indexes, ids and names, no tools.

OpenAI numbers the calls of an answer and gives id and name in the first piece of each. Servers differ: some
number all calls 0 or none, some write a new id or the name again into every piece.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from qwen_agentkit.chat.dialects import is_readable, read_call
from qwen_agentkit.chat.parsing import CallEvent, InvalidCallEvent
from qwen_agentkit.chat.tags import json_call

__all__ = ["StreamedCalls"]

_EMPTY = "{}"


@dataclass
class _Call:
    """A call that is still being written; without a name as long as none has come."""

    index: Any
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    repeats: bool = False
    """Whether it is the name of the call before it once more, which alone is no new call."""

    @property
    def arguments(self) -> str:
        """The arguments so far, as JSON text; "" if there are none."""
        text = "".join(self.pieces)
        return text if text.strip() else ""

    @property
    def body(self) -> str:
        """The call as the reader of calls takes it."""
        return json.dumps({"name": self.name, "arguments": self.arguments or {}})

    def is_whole(self) -> bool:
        """Whether the arguments are a whole object; looked at where one may end."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        return is_readable(json.dumps({"name": "any", "arguments": self.arguments}), "json")

    def add(self, arguments: str) -> None:
        """Take a piece of the arguments. Some servers write "{}" before or behind the arguments."""
        if arguments.strip() == _EMPTY and self.is_whole():
            return
        if arguments.strip() and len(self.pieces) == 1 and self.pieces[0].strip() == _EMPTY:
            self.pieces.clear()
        if arguments:
            self.pieces.append(arguments)


class StreamedCalls:
    """Joins the pieces of calls. All stay open until the end: any may go on after the next has begun."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, index: Any, call_id: str, name: str, arguments: Any) -> None:
        """Take a piece.

        Args:
            index: The number of the call; None if the server gives none.
            call_id: The id in the piece; may be empty.
            name: The name in the piece; may be empty.
            arguments: A piece of the arguments as text; an object is all of them.
        """
        if isinstance(index, str) and index.isdecimal():
            index = int(index)
        name = name.strip()
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        call = (
            self._find_named(index, call_id, name, arguments)
            if name
            else self._find(index, call_id, arguments)
        )
        if call is None:
            if not (call_id or name or arguments.strip()):
                return  # an empty piece at the end
            call = _Call(index)
            self._calls.append(call)
        elif name and call.name and not (call_id or arguments.strip()) and call.is_whole():
            call = _Call(index, repeats=True)
            self._calls.append(call)
        call.id, call.name = call.id or call_id, call.name or name
        call.index = index if call.index is None else call.index
        call.add(arguments)

    def read(self) -> Iterator[CallEvent | InvalidCallEvent]:
        """Yield the calls, each once.

        If arguments remain that belong to no call, the call before them is incomplete. If a call cannot be
        read, those without arguments are incomplete, too: it may hold theirs.
        """
        calls = [call for call in self._calls if call.arguments or (call.name and not call.repeats)]
        lost = [following is not None and not following.name for following in [*calls, None][1:]]
        broken = any(lost) or any(not is_readable(call.body, "json") for call in calls)
        events = [
            _read(call, incomplete=is_lost or (broken and not call.arguments))
            for call, is_lost in zip(calls, lost, strict=True)
        ]
        for place, event in enumerate(events):
            if not (event.call["id"] and event in events[:place]):
                yield event

    def _find(self, index: Any, call_id: str, arguments: str) -> _Call | None:
        """Find the call that a piece without a name continues: the one at its index, whatever its id."""
        at_index = [call for call in self._calls if call.index == index]
        if index is None:
            at_index = at_index or self._calls
        unnumbered = [call for call in self._calls if call.index is None]
        same_id = [call for call in at_index or self._calls if call_id and call.id == call_id]
        found = same_id or at_index or unnumbered
        waiting = [call for call in self._calls if call.name and not call.pieces]
        begins = arguments.lstrip().startswith("{") and not same_id
        if begins and found and waiting and found[-1].is_whole():
            return waiting[-1]  # all pieces have one number
        return found[-1] if found else None

    def _find_named(self, index: Any, call_id: str, name: str, arguments: str) -> _Call | None:
        """Find the call that a piece with a name continues: one without or with the same."""
        at_index = [call for call in self._calls if call.index == index]
        for call in reversed(at_index):
            numbered = index is not None or (call_id and call_id == call.id)
            adds_nothing = not arguments.strip() and numbered
            if not call.name and (not arguments.strip() or not call.is_whole()):
                return call
            same = call.name == name and (call.id == call_id or not call.id or not call_id)
            if same and (adds_nothing or not call.is_whole()):
                return call
        return None


def _read(call: _Call, *, incomplete: bool) -> CallEvent | InvalidCallEvent:
    """Read a call as those in a text are read."""
    raw = json_call(json.dumps(call.name), call.arguments)  # invalid calls are kept as a model writes them
    try:
        if incomplete:
            raise ValueError("arguments followed that belong to no call")
        name, arguments = read_call(call.body, "json", ())
    except ValueError as error:
        return InvalidCallEvent({"name": call.name or None, "args": raw, "id": call.id, "error": str(error)})
    return CallEvent({"name": name, "args": arguments, "id": call.id}, raw)
