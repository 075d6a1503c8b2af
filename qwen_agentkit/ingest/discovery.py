"""Which files there are to read, and what each is called in the store. Reads no contents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from qwen_agentkit.errors import InputError

__all__ = ["SUFFIXES", "SourceFile", "discover", "source_name"]

SUFFIXES = frozenset({".md", ".txt", ".html", ".htm", ".pdf"})


class SourceFile(NamedTuple):
    """A file and its name in the store, with forward slashes."""

    path: Path
    source: str
    group: str = ""
    """The first folder below the given one, if there is any."""


def discover(paths: Iterable[str | os.PathLike[str]]) -> list[SourceFile]:
    """Find the documents under files and folders, in a stable order.

    Hidden files and folders are left out, and so are files of other kinds unless named themselves.

    Args:
        paths: Files and folders.

    Raises:
        InputError: A path does not exist, no document was found, or two files have one name.
    """
    roots = [Path(path).expanduser() for path in paths]
    missing = [root for root in roots if not root.exists()]
    if missing:
        raise InputError(
            f"{str(missing[0])!r} does not exist, expected a file or a folder; check the spelling"
        )
    found: dict[str, SourceFile] = {}
    for root in roots:
        for file in _files(root):
            other = found.setdefault(file.source, file).path
            if not other.samefile(file.path):
                raise InputError(
                    f"{str(file.path)!r} and {str(other)!r} would both be called {file.source!r}, expected "
                    f"one file a name; pass the folder that holds both"
                )
    if not found:
        named = ", ".join(repr(str(root)) for root in roots)
        raise InputError(
            f"{named} holds no documents, expected files ending in {', '.join(sorted(SUFFIXES))}"
        )
    return [found[source] for source in sorted(found)]


def source_name(root: Path) -> str:
    """Name a given path: as given where that is a plain relative path, else from its last folder on."""
    if root.is_absolute() or ".." in root.parts or root == Path():
        resolved = root.resolve()
        return resolved.name if root.is_dir() else f"{resolved.parent.name}/{resolved.name}".lstrip("/")
    return root.as_posix()


def _files(root: Path) -> Iterator[SourceFile]:
    name = source_name(root)
    if not root.is_dir():
        yield SourceFile(root, name)
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        for entry in sorted(files):
            file = Path(folder, entry)
            if not entry.startswith(".") and file.suffix.lower() in SUFFIXES and file.is_file():
                below = file.relative_to(root)
                group = below.parts[0] if len(below.parts) > 1 else ""
                yield SourceFile(file, f"{name}/{below.as_posix()}", group)
