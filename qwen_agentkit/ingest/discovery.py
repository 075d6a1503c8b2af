"""Find the files to read. Reads no contents.

How files are named in the store is known to `qwen_agentkit.text.documents`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest.pictures import PICTURE_SUFFIXES
from qwen_agentkit.ingest.plaintext import CODE_SUFFIXES
from qwen_agentkit.text.documents import decode_file_name, place_of, places_in, source_name

__all__ = ["SUFFIXES", "Found", "SourceFile", "discover", "find_documents"]

SUFFIXES = CODE_SUFFIXES | PICTURE_SUFFIXES | frozenset({
    ".csv", ".doc", ".docx", ".eml", ".epub", ".htm", ".html", ".ipynb", ".json", ".jsonl", ".markdown",
    ".md", ".msg", ".odp", ".ods", ".odt", ".pdf", ".ppt", ".pptx", ".rst", ".rtf", ".tsv", ".txt", ".xhtml",
    ".xls", ".xlsx", ".xml", ".zip",
})  # fmt: skip


class SourceFile(NamedTuple):
    """A file and its name in the store.

    A folder that cannot be listed stands for the files in it; its source ends with a slash.
    """

    path: Path
    source: str
    place: str
    """Distinguishes files of the same name in different folders."""
    folder: Path | None = None
    """The given folder that the file was found in; None for a file that was given itself."""
    group: str = ""
    """The first folder below the given one, if there is one."""


class Found(NamedTuple):
    """The documents in some files and folders."""

    files: list[SourceFile]
    passed_over: list[dict[str, str]]
    """Files in folders that no reader is for: "source" and "reason". Hidden ones are not listed."""


def discover(paths: Iterable[str | os.PathLike[str]]) -> list[SourceFile]:
    """Find the documents in files and folders, in a stable order.

    Hidden files and folders and the lock files of open documents are left out. Files of other kinds are found
    only if they are given themselves. Folders that cannot be listed are part of the result.

    Args:
        paths: Files and folders.

    Raises:
        InputError: A path does not exist, there are no documents, or two files have the same name.
    """
    roots = read_paths(paths)
    found = find_documents(roots).files
    if not found:
        raise no_documents(roots)
    return found


def read_paths(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return files and folders as paths; "~" is the home folder.

    Raises:
        InputError: They are no list, or one is empty or no path.
    """
    if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
        raise InputError(f"paths is {paths!r}; expected a list of files and folders. Write ['documents'].")
    roots = []
    for path in paths:
        # An empty path would be the current folder.
        if not isinstance(path, str | os.PathLike) or path == "":
            raise InputError(f"A path is {path!r}; expected a file or a folder. The current folder is '.'.")
        roots.append(Path(path).expanduser())
    if not roots:
        raise InputError("paths is empty; expected a file or a folder. Write ['documents'].")
    return roots


def no_documents(roots: Sequence[Path]) -> InputError:
    """Return the error to raise for paths that hold no documents."""
    named = ", ".join(repr(str(root)) for root in roots)
    return InputError(
        f"{named} holds no documents; expected files such as .csv, .docx, .eml, .html, .md, .pdf, .pptx, "
        ".txt, .xlsx or .zip. Check the path."
    )


def find_documents(roots: Sequence[Path], suffixes: Collection[str] = ()) -> Found:
    """Do what `discover` does, but find nothing without an error, and tell what was passed over.

    Args:
        roots: Files and folders.
        suffixes: Endings, in small letters, that are read besides those in `SUFFIXES`.

    Raises:
        InputError: A path does not exist, or two files have the same name.
    """
    missing = [root for root in roots if not root.exists()]
    if missing:
        raise InputError(
            f"The path {str(missing[0])!r} does not exist; expected a file or a folder. Check the spelling."
        )
    found: dict[str, SourceFile] = {}
    others: dict[str, str] = {}
    known = SUFFIXES.union(suffixes)
    for root in roots:
        for file in _find_files(root):
            if file.folder is not None and file.path.suffix.lower() not in known:
                others[file.source] = file.path.suffix
                continue
            other = found.setdefault(file.source, file)
            if other is not file and not _is_same_file(other.path, file.path):
                raise InputError(
                    f"{str(file.path)!r} and {str(other.path)!r} would both be called {file.source!r}; "
                    "expected one file per name. Pass the folder that holds both."
                )
    passed_over = [
        {"source": source, "reason": _why_passed_over(others[source])}
        for source in sorted(others.keys() - found.keys())
    ]
    return Found([found[source] for source in sorted(found)], passed_over)


def _why_passed_over(suffix: str) -> str:
    return f"There is no reader for {suffix!r} files." if suffix else "The file has no ending."


def _find_files(root: Path) -> Iterator[SourceFile]:
    name = source_name(root)
    if not root.is_dir():
        yield SourceFile(root, name, place_of(root.parent, decode_file_name(root.name)))
        return
    unlisted: list[OSError] = []
    place_in = places_in(root)
    for folder, folders, files in os.walk(root, onerror=unlisted.append):
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        below_root = "" if folder == str(root) else f"{Path(folder).relative_to(root).as_posix()}/"
        for entry in sorted(files):
            file = Path(folder, entry)
            if not entry.startswith((".", "~$")) and _is_file(file):
                below = decode_file_name(below_root + entry)
                group = below.partition("/")[0] if "/" in below else ""
                yield SourceFile(file, f"{name}/{below}", place_in(below), root, group)
    for error in unlisted:
        inside = Path(error.filename).relative_to(root)
        below = "" if inside == Path() else f"{decode_file_name(inside.as_posix())}/"
        yield SourceFile(root / inside, f"{name}/{below}", place_in(below))


def _is_file(path: Path) -> bool:
    """Tell whether this is a regular file; reading a pipe would block."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:  # a link without a target
        return False
    except OSError:  # Reading the file will give the reason.
        return True


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # a link to itself, or a file that has vanished
        return one.absolute() == other.absolute()
