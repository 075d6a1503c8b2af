"""Text of every script in a terminal. Knows control characters and text direction, no models."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

__all__ = [
    "console",
    "escape_json",
    "isolate_lines",
    "isolate_name",
    "label_line",
    "mark_cell",
    "one_line",
    "progress_bars",
]

# Unicode isolates: the text inside keeps its own direction and does not affect its neighbors.
_LEFT, _RIGHT, _END = "\u2066", "\u2067", "\u2069"
# An invisible letter that runs from left to right.
_LEFT_MARK = "\u200e"

# Characters that control a terminal: colors, its title, the clipboard. A tab and a line feed are text.
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A})

# Characters that change the direction of the text after them. Marks such as U+200F do not.
_OVERRIDES = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class _Console(Console):
    """Prints text of documents and models without its control characters."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(_CONTROLS))


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no highlighting, no emoji codes."""
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def one_line(name: str) -> str:
    """Return a name of a file on one line, without characters that would turn the text after it."""
    return " ".join(name.split()).translate(_OVERRIDES)


def escape_json(text: str) -> str:
    """Escape what a terminal could obey in JSON: control characters and changes of direction.

    JSON itself escapes those below U+0020. What it means stays the same.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def isolate_lines(text: str) -> str:
    """Isolate each line of the text in its own direction, if a person reads the output.

    A terminal that implements the bidirectional algorithm then shows an Arabic quote, its full stop and the
    marker after it in the right places. Letters stay in logical order: reversing them would break such
    terminals, and copy and paste. Output that is not a terminal gets no marks.
    """
    if not sys.stdout.isatty():
        return text
    return "\n".join(_isolate(part) if part.strip() else part for part in text.split("\n"))


def isolate_name(name: str) -> str:
    """Return a name of a file on one line that leaves the order of the words around it alone.

    Without the marks, a line that begins with an Arabic name would run from right to left as a whole, and the
    number after it would stand before it. A name in other scripts, and output that no person reads, get none.
    """
    name = one_line(name)
    return _isolate(name) if _turns_neighbors(name) else name


def mark_cell(text: str) -> str:
    """Do for a cell of a table what `isolate_name` does, with marks that a folded or cut cell may lose."""
    text = one_line(text)
    return f"{_LEFT_MARK}{text}{_LEFT_MARK}" if _turns_neighbors(text) else text


def _turns_neighbors(text: str) -> bool:
    """Tell whether a person reads the output, and text in it runs from right to left."""
    return sys.stdout.isatty() and any(unicodedata.bidirectional(char) in ("R", "AL") for char in text)


def label_line(label: str, text: str, *, style: str = "") -> Text:
    """Return one line: a label from left to right, then text in its own direction."""
    return Text.assemble((label, style), isolate_lines(text))


def _isolate(text: str) -> str:
    return (_RIGHT if _is_right_to_left(text) else _LEFT) + text.translate(_OVERRIDES) + _END


def _is_right_to_left(text: str) -> bool:
    """Return whether the first strong character is right-to-left, as UAX #9 (rule P2) decides."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("R", "AL"):
            return True
        if direction == "L":
            return False
    return False


@contextmanager
def progress_bars(*, silent: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a progress callback for `ingest` that draws bars on standard error."""
    if silent:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield advance
