"""Which files there are to read, and what each is called in the store. Reads no contents."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from qwen_agentkit.errors import InputError

__all__ = ["SUFFIXES", "SourceFile", "discover", "place_of", "source_name"]

SUFFIXES = frozenset(
    {".csv", ".docx", ".htm", ".html", ".jsonl", ".md", ".pdf", ".pptx", ".tsv", ".txt", ".xlsx"}
)


class SourceFile(NamedTuple):
    """A file and its name in the store, with forward slashes.

    A folder that cannot be listed stands for the files in it: its name ends with a slash.
    """

    path: Path
    source: str
    place: str
    """Tells files of one name in different folders apart, without saying where they are."""
    group: str = ""
    """The first folder below the given one, if there is any."""


def discover(paths: Iterable[str | os.PathLike[str]]) -> list[SourceFile]:
    """Find the documents under files and folders, in a stable order.

    Hidden files and folders and the locks of open documents are left out, and so are files of other kinds
    unless named themselves. Folders that cannot be listed are among what is found.

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
        named = resolved.name if root.is_dir() else f"{resolved.parent.name}/{resolved.name}".lstrip("/")
        return _readable(named)
    return _readable(root.as_posix())


def place_of(root: Path, below: str) -> str:
    """The `place` of what lies `below` a given folder, whether or not it exists."""
    return hashlib.sha256(f"{_readable(root.resolve().as_posix())}/{below}".encode()).hexdigest()[:16]


def _readable(name: str) -> str:
    """Names of files need not be UTF-8, what is stored does: other bytes are spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _files(root: Path) -> Iterator[SourceFile]:
    name = source_name(root)
    if not root.is_dir():
        yield SourceFile(root, name, place_of(root.parent, _readable(root.name)))
        return
    unlisted: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=unlisted.append):
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        for entry in sorted(files):
            file = Path(folder, entry)
            if not entry.startswith((".", "~$")) and file.suffix.lower() in SUFFIXES and _is_file(file):
                below = _readable(file.relative_to(root).as_posix())
                group = below.partition("/")[0] if "/" in below else ""
                yield SourceFile(file, f"{name}/{below}", place_of(root, below), group)
    for error in unlisted:
        inside = Path(error.filename).relative_to(root)
        below = "" if inside == Path() else f"{_readable(inside.as_posix())}/"
        yield SourceFile(root / inside, f"{name}/{below}", place_of(root, below))


def _is_file(path: Path) -> bool:
    """Whether there is a file, and no pipe that reading would wait for."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:  # a link to nothing
        return False
    except OSError:  # reading it says what is wrong
        return True
