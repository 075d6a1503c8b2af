"""References of a JSON schema, written so that grammars and validators find what they refer to.

Knows how JSON Schema names places (https://json-schema.org/draft/2020-12/json-schema-core#section-8), and
nothing else of it. A reference may name any place, an anchor, or a part by an address of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

__all__ = ["gather_references"]

# Values that are data, whatever keys they hold.
_DATA = ("const", "default", "enum", "example", "examples")

# A place that every reader of schemas finds.
_PLAIN = re.compile(r"#(/(\$defs|definitions)/[^/#]+)?")


def gather_references(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in which references name the schema itself or its definitions.

    What they refer to otherwise is copied to the definitions. References to what is not in the schema are
    left as they are.
    """
    return _References(schema).gathered()


class _References:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._root = _base_of(schema, "")
        self._places = {self._root: schema, "": schema}
        for base, node in _walk(schema, ""):
            self._places.setdefault(base, node)
            for name in (node.get("$anchor"), _anchor_of(node.get("$id", node.get("id")))):
                if isinstance(name, str):
                    self._places.setdefault(f"{base}#{name}", node)
        self._names: dict[str, str] = {}  # of copies, by what is referred to
        self._copies: dict[str, Any] = {}

    def gathered(self) -> dict[str, Any]:
        gathered: dict[str, Any] = self._rewrite(self._schema, "")
        if self._copies:
            gathered["$defs"] = {**gathered.get("$defs", {}), **self._copies}
        return gathered

    def _rewrite(self, node: Any, base: str) -> Any:
        if isinstance(node, list):
            return [self._rewrite(item, base) for item in node]
        if not isinstance(node, Mapping):
            return node
        base = _base_of(node, base)
        copy = {
            key: value if key in _DATA and not isinstance(value, Mapping) else self._rewrite(value, base)
            for key, value in node.items()
        }
        if isinstance(reference := node.get("$ref"), str):
            copy["$ref"] = self._name(reference, base)
        return copy

    def _name(self, reference: str, base: str) -> str:
        """Return a reference to the same schema that is found everywhere."""
        place, fragment = urldefrag(urljoin(base, reference))
        if place in ("", self._root) and _PLAIN.fullmatch(f"#{fragment}"):
            return f"#{fragment}"
        whole = f"{place}#{fragment}"
        if whole not in self._names:
            found, inner = self._find(place, fragment)
            if found is None:
                return reference
            name = re.sub(r"[^\w.-]+", "_", fragment or place).strip("_") or "here"
            taken = {*self._copies, *self._schema.get("$defs", {})}
            self._names[whole] = name if name not in taken else f"{name}_{len(taken)}"
            self._copies[self._names[whole]] = True  # what is copied may refer to itself
            self._copies[self._names[whole]] = self._rewrite(found, inner)
        return f"#/$defs/{self._names[whole]}"

    def _find(self, place: str, fragment: str) -> tuple[Any, str]:
        """Return a schema and the address that references in it start from; None if it is not here."""
        if fragment and not fragment.startswith("/"):
            return self._places.get(f"{place}#{fragment}"), place
        node, base = self._places.get(place), place
        for step in fragment.split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(key)
            elif isinstance(node, list):
                node = node[int(key)] if key.isdecimal() and int(key) < len(node) else None
            base = _base_of(node, base)
        return (node, base) if isinstance(node, (Mapping, bool)) else (None, base)


def _walk(node: Any, base: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object in a schema, with the address of the part that it belongs to."""
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, base)
    elif isinstance(node, Mapping):
        base = _base_of(node, base)
        yield base, node
        for key, value in node.items():
            if key not in _DATA:
                yield from _walk(value, base)


def _base_of(node: Any, base: str) -> str:
    """Return the address of a schema: its own, or that of what it is in."""
    own = node.get("$id", node.get("id")) if isinstance(node, Mapping) else None
    return urldefrag(urljoin(base, own))[0] if isinstance(own, str) else base


def _anchor_of(own: Any) -> str | None:
    """Return the anchor that draft 4 and draft 6 write into an address."""
    return own[1:] if isinstance(own, str) and own.startswith("#") else None
