"""Formulas of office files into a line of text (ECMA-376 part 1, 22.1): ³√8, (1+2)/3, [1, 2; 3, 4]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qwen_agentkit.ingest.office import local_name
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["formula_text"]

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_DEEPEST = 60


def formula_text(element: Any, depth: int = 0) -> str:
    """Return a formula as a reader says it: no figure touches one that belongs elsewhere.

    Args:
        element: `m:oMath`, or an element in it.
        depth: How many elements are around it; what is deeper than any formula is left out.
    """
    name = local_name(element)
    if depth > _DEEPEST or name.endswith("Pr"):
        return ""
    if name == "t":
        return element.text or ""
    if name in _WRITERS:
        return _WRITERS[name]({local_name(child): formula_text(child, depth + 1) for child in element})
    if name == "nary":
        return _write_sum(element, depth)
    children = [child for child in element if not local_name(child).endswith("Pr")]
    texts = [formula_text(child, depth + 1) for child in children]
    if name == "d":
        return _in_brackets(element, texts)
    return _LISTS[name].join(texts) if name in _LISTS else _join(children, texts)


def _join(elements: list[Any], texts: list[str]) -> str:
    """Join what stands side by side. Figures of two runs are one number, those of other elements are not."""
    joined, before = "", ""
    for element, text in zip(elements, texts, strict=True):
        name = local_name(element)
        if joined[-1:].isdecimal() and text[:1].isdigit() and (name, before) != ("r", "r"):
            joined += " "
        joined, before = joined + text, name
    return joined


def _group(text: str) -> str:
    """Put what is more than a number or a name into brackets."""
    return text if text.isalnum() or (text[:1] == "(" and text[-1:] == ")") else f"({text})"


def _script(text: str, before: str, *, lowered: bool = False) -> str:
    marked = mark_raised(text, before, lowered=lowered)
    if marked != text or not text:
        return marked if marked[:1] not in ("^", "_") else f"{marked[0]}{_group(text)}"
    return f"{'_' if lowered else '^'}{_group(text)}"


def _root(parts: dict[str, str]) -> str:
    return f"{mark_raised(parts.get('deg', ''), '')}√{_group(parts.get('e', ''))}"


_Writer = Callable[[dict[str, str]], str]
_WRITERS: dict[str, _Writer] = {
    "f": lambda of: f"{_group(of.get('num', ''))}/{_group(of.get('den', ''))}",
    "rad": _root,
    "sSup": lambda of: of.get("e", "") + _script(of.get("sup", ""), of.get("e", "")),
    "sSub": lambda of: of.get("e", "") + _script(of.get("sub", ""), of.get("e", ""), lowered=True),
    "sSubSup": lambda of: (
        of.get("e", "")
        + _script(of.get("sub", ""), of.get("e", ""), lowered=True)
        + _script(of.get("sup", ""), of.get("e", ""))
    ),
    "sPre": lambda of: (
        _script(of.get("sup", ""), "") + _script(of.get("sub", ""), "", lowered=True) + of.get("e", "")
    ),
    "func": lambda of: f"{of.get('fName', '')} {of.get('e', '')}",
    "limLow": lambda of: f"{of.get('e', '')}_({of.get('lim', '')})",
    "limUpp": lambda of: f"{of.get('e', '')}^({of.get('lim', '')})",
}
"""Writes an element from the texts of its parts."""
_LISTS = {"m": "; ", "mr": ", ", "eqArr": "; ", "oMathPara": " "}
"""What stands between the children of an element."""


def _property(element: Any, name: str, default: str) -> str:
    found = element.find(f"{_M}{local_name(element)}Pr/{_M}{name}")
    return default if found is None else found.get(f"{_M}val", "")


def _in_brackets(element: Any, texts: list[str]) -> str:
    between = _property(element, "sepChr", "|").join(texts)
    return f"{_property(element, 'begChr', '(')}{between}{_property(element, 'endChr', ')')}"


def _write_sum(element: Any, depth: int) -> str:
    """Write a sum, a product or an integral with its limits."""
    of = {local_name(child): formula_text(child, depth + 1) for child in element}
    low = f"_({of['sub']})" if of.get("sub") else ""
    high = f"^({of['sup']})" if of.get("sup") else ""
    return f"{_property(element, 'chr', '∫')}{low}{high} {of.get('e', '')}"
