"""The text of Markdown and of the like without its marks, as a reader sees it."""

from __future__ import annotations

import re

__all__ = ["without_markup"]

_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,300})\](?:\([^()\s]{0,500}(?: \"[^\"\n]{0,200}\")?\)|\[[^\[\]\n]{0,100}\])"
)
_TAG = re.compile(
    r"</?(?:b|i|em|strong|u|s|sup|sub|a|br|code|mark|span|p|td|tr|th|li)(?: [^<>\n]{0,300})?/?>", re.I
)
_LINE = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+|\|)|\|[ \t]*$|^[ \t|:]*-{3,}[-|: \t]*$", re.M
)
_MARKS = re.compile(r"\*{1,3}|(?<!\w)_{1,3}|_{1,3}(?!\w)|~~|`{1,3}")
_CELL = re.compile(r"[ \t]*\|[ \t]*")


def without_markup(text: str) -> str:
    """Return a text without emphasis, links, headings, list marks, tags and the borders of tables."""
    text = _TAG.sub("", _LINK.sub(r"\1", text))
    return _CELL.sub(" ", _MARKS.sub("", _LINE.sub(" ", text)))
