"""Options that several commands share, and what they mean."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from qwen_agentkit.cli.terminal import escape_json
from qwen_agentkit.makers import made_by_preset

if TYPE_CHECKING:
    from qwen_agentkit.stack import Stack
    from qwen_agentkit.vectorstores.points import Quantization

__all__ = ["DEFAULT_STORE", "AsJson", "Preset", "Store", "choose_preset", "open_stack", "print_json"]

Preset = Annotated[
    str | None,
    typer.Option(
        help="Models to use: nano (bundled), 0.6b, 4b or 8b. Default: those that made the store, else 0.6b.",
        metavar="NAME",
    ),
]
Store = Annotated[Path, typer.Option(help="Folder of the vector store.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

DEFAULT_STORE = Path(".qwen-agentkit/store")
_DEFAULT_PRESET = "0.6b"


def choose_preset(given: str | None, store: Path) -> str:
    """Return the preset to use: the one that was given, else the one that made the store, else 0.6b."""
    return given or made_by_preset(store.expanduser()) or _DEFAULT_PRESET


def open_stack(preset: str | None, folder: Path, quantization: str | None = None) -> Stack:
    """Return the models and the store of a command. Nothing is loaded or opened yet."""
    from qwen_agentkit.stack import Stack  # loads torch: only when a command runs

    kept = cast("Quantization | None", quantization)  # The store refuses another word.
    return Stack(choose_preset(preset, folder), folder, quantization=kept)


def print_json(value: Any) -> None:
    """Print JSON in UTF-8 whatever the locale, with every script unescaped."""
    text = escape_json(json.dumps(value, ensure_ascii=False, indent=2))
    sys.stdout.buffer.write((text + "\n").encode())
