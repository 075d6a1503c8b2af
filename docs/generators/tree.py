"""The tree of the package, with the first sentence of each module docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("qwen_agentkit", "graphs")


def tree() -> str:
    """Return both folders as one block: a line for each file and folder."""
    lines = [line for folder in FOLDERS for line in _list_folder(ROOT / folder, 0)]
    width = max(len(name) for name, _ in lines)
    return "\n```text\n" + "".join(f"{name:<{width}}  # {text}\n" for name, text in lines) + "```\n\n"


def first_sentence(path: Path) -> str:
    """Return the first sentence of a module docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{path} has no module docstring; expected one sentence of what it knows.")
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    found = re.match(r".*?[.?!](?=\s|$)", paragraph)
    return found[0] if found else paragraph


def _list_folder(folder: Path, depth: int) -> list[tuple[str, str]]:
    lines = [("  " * depth + folder.name + "/", first_sentence(folder / "__init__.py"))]
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name)):
        if path.is_dir() and (path / "__init__.py").is_file():
            lines += _list_folder(path, depth + 1)
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines.append(("  " * (depth + 1) + path.name, first_sentence(path)))
    return lines
