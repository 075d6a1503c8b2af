"""Conditions on the keys of objects, written as choices, which grammars know. Knows JSON Schema alone.

JSON Schema says "if there is a, then also b" and "either a or b" in keywords that no grammar has. For objects
whose keys are known each is a choice between objects: one has the key, the other may not have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["write_as_choices"]


def write_as_choices(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without the conditions that can be written as choices; it allows the same objects."""
    copy = dict(node)
    choices = [_dependency(name, more) for name, more in _dependencies(copy).items()]
    names = _names(copy.get("not"))
    if names is not None and len(names) == 1:
        del copy["not"]
        choices.append([_without(names)])
    sets = [_names(branch) for branch in copy.get("oneOf", ())]
    alone = [one[0] for one in sets if one is not None and len(one) == 1]
    if sets and len(alone) == len(sets) and len({*alone}) == len(alone):
        del copy["oneOf"]
        choices.append(
            [{**_without([one for one in alone if one != key]), "required": [key]} for key in alone]
        )
    if choices:
        copy["allOf"] = [*copy.get("allOf", ()), *({"anyOf": choice} for choice in choices)]
    return copy


def _dependencies(copy: dict[str, Any]) -> dict[str, list[str]]:
    found = copy.get("dependentRequired")
    if not isinstance(found, Mapping) or not all(isinstance(more, list) for more in found.values()):
        return {}
    del copy["dependentRequired"]
    return dict(found)


def _dependency(name: str, more: Sequence[str]) -> list[dict[str, Any]]:
    return [_without([name]), {"required": [name, *more]}]


def _without(names: Iterable[str]) -> dict[str, Any]:
    return {"properties": dict.fromkeys(sorted(names), False)}


def _names(schema: Any) -> list[str] | None:
    """Return the keys that a schema asks for, if it asks for nothing else."""
    if not isinstance(schema, Mapping) or {*schema} - {"type"} != {"required"}:
        return None
    return list(schema["required"]) if schema.get("type", "object") == "object" else None
