"""Archives: the files in a zip, read as if they lay in a folder, and the chapters of an EPUB."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.office import check_archive, first_title, local_name
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.pictures import PICTURE_SUFFIXES
from qwen_agentkit.ingest.webpages import read_html
from qwen_agentkit.ingest.xmlfiles import parse_xml
from qwen_agentkit.ingest.zipnames import entry_names

__all__ = ["ReadMember", "read_epub", "read_member", "read_zip"]

ReadMember = Callable[[bytes, str], list[Part]]
"""Reads the bytes of a file by its ending."""

_LARGEST = 1 << 28
"""Unpacked bytes of all the files in an archive."""
_MOST = 5_000
"""Files in an archive."""
_MOST_STYLES = 20
"""Style sheets of a book, which say what is raised or hidden."""
_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz"})
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, OSError)


def read_zip(data: bytes, read: ReadMember) -> list[Part]:
    """Read the files of an archive, each with its name as `metadata["member"]`. Nothing is written to disk.

    Args:
        data: The bytes of the archive.
        read: Reads a file in it. One that cannot be read is a warning; an archive in it is not opened.

    Raises:
        LoadError: The archive is broken or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > _MOST or sum(entry.file_size for entry in entries) > _LARGEST:
                raise LoadError(
                    f"The archive holds {len(entries):,} files of {sum(e.file_size for e in entries):,} "
                    f"bytes; expected at most {_MOST:,} files of {_LARGEST:,} bytes. Unpack it and ingest "
                    "the folder."
                )
            names = entry_names(entries)
            return [
                part
                for pair in zip(entries, names, strict=True)
                for part in _read_entry(archive, *pair, read)
            ]
    except _BROKEN as error:
        raise LoadError(
            f"The file is a broken archive ({error}); expected a zip file. Make it anew and try again."
        ) from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, read: ReadMember) -> list[Part]:
    pieces = name.split("/")
    if any(piece.startswith((".", "~$")) and piece != ".." for piece in pieces) or pieces[0] == "__MACOSX":
        return []
    if ".." in pieces or name.startswith("/") or ":" in pieces[0]:
        return [Part("", {"member": name}, (f"{name!r} was left out: its name leads out of the archive.",))]
    if entry.flag_bits & 1:
        return [Part("", {"member": name}, (f"{name!r} was left out: it needs a password.",))]
    with archive.open(entry) as file:
        content = file.read(entry.file_size + 1)  # A damaged archive may hold more than it says.
    return read_member(content, name, read)


def read_member(data: bytes, name: str, read: ReadMember) -> list[Part]:
    """Read a file of an archive or a message. What cannot be read is a warning of a part without text."""
    suffix = posixpath.splitext(name)[1].lower()
    try:
        if suffix in _ARCHIVES:
            raise LoadError("It is an archive inside another file. Unpack it, and ingest what it holds.")
        if suffix in PICTURE_SUFFIXES:
            raise LoadError(
                "It is a picture inside another file. Save it as a file of its own, and ingest that."
            )
        parts = read(data, suffix)
    except LoadError as error:
        return [Part("", {"member": name}, (f"{name!r} was not read: {error}",))]
    title = {"title": posixpath.basename(name)}
    return [
        Part(
            part.text,
            {**title, **part.metadata, "member": "/".join(filter(None, (name, part.metadata.get("member"))))},
            tuple(f"{name!r}: {warning}" for warning in part.warnings),
        )
        for part in parts
    ]


def read_epub(data: bytes) -> list[Part]:
    """Read an EPUB: a part for each chapter in the order of the book; the page is its number.

    Raises:
        LoadError: The book is broken, too large, or protected against reading.
    """
    try:
        check_archive(data, "EPUB")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if "META-INF/rights.xml" in names:
                raise LoadError(
                    "The book is protected; expected one without copy protection. Get such a copy."
                )
            container = parse_xml(archive.read("META-INF/container.xml"))
            path = next(one.get("full-path") for one in container.iter() if local_name(one) == "rootfile")
            package = parse_xml(archive.read(path))
            chapters = [name for name in _spine(package, posixpath.dirname(path)) if name in names]
            shared = _book_title(package)
            sheets = sorted(name for name in names if name.lower().endswith(".css"))
            css = "\n".join(archive.read(name).decode("utf-8", "replace") for name in sheets[:_MOST_STYLES])
            return [
                _read_chapter(archive.read(name), css, {**shared, "page": number})
                for number, name in enumerate(chapters, start=1)
            ]
    except (*_BROKEN, ValueError, LookupError, StopIteration, TypeError) as error:
        reason = str(error) or type(error).__name__
        raise LoadError(
            f"The file is a broken EPUB ({reason}); expected a readable one. Save it anew and try again."
        ) from error


def _spine(package: Any, folder: str) -> list[str]:
    """Return the names of the files of chapters, in order; without those that are only shown on demand."""
    items = {
        item.get("id"): item.get("href") or ""
        for item in package.iter()
        if local_name(item) == "item" and "nav" not in (item.get("properties") or "").split()
    }
    references = (one.get("idref") for one in package.iter() if local_name(one) == "itemref")
    hrefs = (items[name] for name in references if items.get(name))
    return [posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0]))) for href in hrefs]


def _book_title(package: Any) -> dict[str, Any]:
    titles = ("".join(one.itertext()) for one in package.iter() if local_name(one) == "title")
    return first_title(*titles)


def _read_chapter(data: bytes, css: str, metadata: dict[str, Any]) -> Part:
    [page] = read_html(data, css)
    return Part(page.text, {**page.metadata, **metadata}, page.warnings)
