"""`qwen-agentkit new`: a new project from the bundled templates. Knows files, no models."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

from qwen_agentkit.errors import InputError

__all__ = ["TEMPLATES", "create_project"]

TEMPLATES = {
    "rag": "Answers from your documents in the language of the question, with numbered citations.",
    "research": "Answers questions that take several searches: plans, searches, and verifies the answer.",
    "agent": "An agent that searches and reads your documents, calls your tools, and cites what it says.",
}
"""What the graph of each template does, in a sentence."""

_TAKEN = {"documents", "ingest", "store", "tests"}
"""Names that every project uses already, for folders and graphs."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_ENDING = ".tmpl"  # so that no tool reads a template as code
_DOT = "dot-"  # packaging leaves out files whose names begin with a dot


def create_project(folder: Path, graph: str) -> list[Path]:
    """Write a project that serves one graph: code, tests, settings and a sample document.

    Args:
        folder: A new or empty folder. Its name becomes the name of the project and, with "_" for "-", of the
            package.
        graph: One of `TEMPLATES`.

    Returns:
        Paths of the files written, relative to the folder.

    Raises:
        InputError: The folder is not empty, its name cannot name a package, or the template is unknown.
    """
    if graph not in TEMPLATES:
        raise InputError(f"Unknown template {graph!r}; expected one of {', '.join(TEMPLATES)}.")
    name = folder.resolve().name.lower()
    package = name.replace("-", "_")
    _check_name(folder, name, package)
    _check_empty(folder)
    values = {"name": name, "package": package, "description": TEMPLATES[graph]}
    values["requires"] = "qwen-agentkit[agent]" if graph == "agent" else "qwen-agentkit"
    templates = Path(str(files("qwen_agentkit") / "templates"))
    written = []
    for source in (templates / "common", templates / graph):
        for template in source.rglob(f"*{_ENDING}"):
            inside = template.relative_to(source).as_posix().removesuffix(_ENDING)
            parts = (package if part == "package" else part.replace(_DOT, ".") for part in inside.split("/"))
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            target.write_text(text, encoding="utf-8")
            written.append(target.relative_to(folder))
    return sorted(written)


def _check_name(folder: Path, name: str, package: str) -> None:
    if not _NAME.fullmatch(name) or iskeyword(package):
        raise InputError(
            f"{str(folder)!r} cannot name a Python package; expected letters, digits, '-' and '_', beginning "
            "with a letter. Type, for instance: qwen-agentkit new my-app"
        )
    if package in _TAKEN or find_spec(package) is not None:
        raise InputError(
            f"{str(folder)!r} would make a package {package!r}, but that name is taken; expected another "
            f"name. Type, for instance: qwen-agentkit new my-{name}"
        )


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{str(folder)!r} exists and is not an empty folder; expected a new or empty folder. "
            f"Type: qwen-agentkit new {folder}-2"
        )
