"""The names of files in a zip. Programs that know no UTF-8 write them in the encoding of their country."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence

__all__ = ["entry_names"]

_CANDIDATES = (
    *("cp437", "cp720", "cp737", "cp850", "cp852", "cp857", "cp862", "cp866"),
    *("cp932", "cp949", "gb18030", "big5hkscs", "cp874", "cp1251", "cp1255", "cp1256", "koi8-r"),
)
"""The encodings of DOS, which Windows writes names in, and those of Asia and of newer programs."""
_FINAL_INSIDE = re.compile("[ךםןףץ](?=[א-ת])|[כמנצ](?![א-ת'\"])")
"""What no Hebrew word has: the form for the end of a word inside it, or that for the inside at its end."""


def entry_names(entries: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Return the names of the files in an archive, with slashes between folders.

    Names that the archive does not mark as UTF-8 are all in one encoding, which more names show more surely.
    """
    unmarked = [one for one in entries if not one.flag_bits & 0x800 and not one.filename.isascii()]
    raw = {one.filename: _encode(one.filename) for one in unmarked}
    encoding = _detect(b"\n".join(raw.values())) if unmarked else ""
    decoded = {name: data.decode(encoding, "replace") for name, data in raw.items()}
    return [
        (one.filename if one.flag_bits & 0x800 else decoded.get(one.filename, one.filename)).replace(
            "\\", "/"
        )
        for one in entries
    ]


def _encode(name: str) -> bytes:
    """Return the bytes of a name that zipfile has read as cp437."""
    try:
        return name.encode("cp437")
    except ValueError:  # a name in an extra field of the archive
        return name.encode()


def _detect(names: bytes) -> str:
    import chardet

    try:
        names.decode()
        return "utf-8"
    except ValueError:
        pass
    found = chardet.detect_all(names, include_encodings=_CANDIDATES, compat_names=False)
    encodings = [one["encoding"].lower() for one in found if one["encoding"]]
    return next((name for name in encodings if _may_be(names, name)), "cp437")


def _may_be(names: bytes, encoding: str) -> bool:
    try:
        text = names.decode(encoding)
    except ValueError:
        return False
    return text.replace("\n", "").isprintable() and not _FINAL_INSIDE.search(text)
