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


@dataclass
class _Call:
    """A call that is still being written; without a name as long as none has come."""

    index: Any
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)

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
        return bool(self.pieces) and self.pieces[-1].rstrip().endswith("}") and is_readable(self.body, "json")


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
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        call = self._find_named(index, call_id, name, arguments) if name else self._find(index, call_id)
        if call is None:
            if not (call_id or name or arguments.strip()):
                return  # an empty piece at the end
            call = _Call(index)
            self._calls.append(call)
        call.id, call.name = call.id or call_id, call.name or name
        if arguments:
            call.pieces.append(arguments)

    def read(self) -> Iterator[CallEvent | InvalidCallEvent]:
        """Yield the calls. If arguments remain that belong to no call, the call before them is incomplete."""
        calls = [call for call in self._calls if call.name or call.arguments]
        for call, following in zip(calls, [*calls, None][1:], strict=True):
            yield _read(call, incomplete=following is not None and not following.name)

    def _find(self, index: Any, call_id: str) -> _Call | None:
        """Find the call that a piece without a name continues: the one at its index, whatever its id."""
        at_index = [call for call in self._calls if call.index == index]
        if index is None:
            at_index = at_index or self._calls
        same_id = [call for call in at_index or self._calls if call_id and call.id == call_id]
        found = same_id or at_index
        return found[-1] if found else None

    def _find_named(self, index: Any, call_id: str, name: str, arguments: str) -> _Call | None:
        """Find the call that a piece with a name continues: one without or with the same."""
        at_index = [call for call in self._calls if call.index == index]
        for call in reversed(at_index):
            if not call.name and not call.pieces:
                return call
            same = call.name == name and (call.id == call_id or not call.id or not call_id)
            adds_nothing = not arguments.strip() and (index is not None or (call_id and call_id == call.id))
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
