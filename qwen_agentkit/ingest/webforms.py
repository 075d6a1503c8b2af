"""What the fields of a form on a web page say: typed text, ticks and choices, behind their labels."""

from __future__ import annotations

from qwen_agentkit.ingest.markup import Tag

__all__ = ["field_text", "is_chosen"]

_TYPED = frozenset({
    "", "date", "datetime-local", "email", "month", "number", "range", "tel", "text", "time", "url", "week",
})  # fmt: skip
_TICKED = frozenset({"checkbox", "radio"})


def field_text(tag: Tag) -> str:
    """Return what an `input` element shows; empty for buttons, searches, passwords and hidden fields.

    A tick is written as in Markdown: "[x]" or "[ ]". A field without a label has the name that screen readers
    give it.
    """
    kind = tag.attributes.get("type", "").strip().lower()
    if kind in _TICKED:
        # What has no name is not part of a form: pages use it to open menus.
        return ("[x] " if "checked" in tag.attributes else "[ ] ") if tag.attributes.get("name") else ""
    value = " ".join(tag.attributes.get("value", "").split()) if kind in _TYPED else ""
    name = " ".join(tag.attributes.get("aria-label", "").split()).rstrip(":")
    return f"{name}: {value}" if name and value else value


def is_chosen(tag: Tag) -> bool:
    """Tell whether an `option` element is the one that is chosen."""
    return "selected" in tag.attributes
