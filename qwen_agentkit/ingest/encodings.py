"""Bytes into text: by mark, as UTF-8, as declared, or else as chardet finds, which is said."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from qwen_agentkit.errors import InputError, LoadError
from qwen_agentkit.ingest.mojibake import find_mojibake, refuse_utf7

__all__ = ["Decoded", "check_encoding", "codec_of", "decode_text", "to_utf8"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("koi8-r", "koi8-u", "gb18030", "big5hkscs", "cp932", "euc-jp", "cp949"),
)
"""What is looked for: the legacy encodings of files that people still have."""
_RARE = (
    *("iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "mac-cyrillic", "mac-roman"),
    *("cp720", "cp737", "cp850", "cp852", "cp857", "cp862", "cp866", "cp1125"),
)
"""Those of DOS, older Macs and early web pages, which need better evidence."""
_NEARLY = 0.8
"""The share of the confidence in a rare encoding that is enough for another one."""
# Pages name the smaller character set and use the larger, as browsers do.
_LARGER = {
    **{"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874"},
    **{"tis-620": "cp874", "big5": "big5hkscs", "euc_kr": "cp949", "shift_jis": "cp932"},
    **{"gb2312": "gb18030", "gbk": "gb18030"},
}
_NAMES = {
    **{f"cp{number}": f"windows-{number}" for number in (874, *range(1250, 1259))},
    **{"cp932": "Shift-JIS", "cp949": "EUC-KR", "big5hkscs": "Big5", "euc_jp": "EUC-JP"},
    **{f"iso8859-{number}": f"ISO-8859-{number}" for number in (2, 5, 6, 7)},
    **{"mac-roman": "Mac Roman", "mac-cyrillic": "Mac Cyrillic"},
    **{"shift_jis_2004": "Shift-JIS", "euc_jis_2004": "EUC-JP", "euc_jisx0213": "EUC-JP"},
}
"""Names that people know."""

_NO_TEXT = frozenset({"idna", "punycode", "utf-7", "unicode_escape", "raw_unicode_escape"})
"""Encodings of Python in which nobody writes files, or which text must not be taken for."""
_HZ = re.compile(rb"~\{(?:[!-w][!-~]){3,200}~\}")
_BINARY = "The file is binary; expected text. Give it its true ending, or remove it."
_STRAY = re.compile("[\udc80-\udcff]")
_FEW = 24
"""Bytes beyond ASCII that are too few to tell encodings apart beyond doubt."""
_QUOTE_INSIDE = re.compile(r"(?<=[^\W\d_])[«»“”„‚‹›](?=[^\W\d_])")
_FOREIGN_WORD = re.compile(r"[^\W\d_]*[\u0370-\u06ff][^\W\d_]*")
_WORD = re.compile(r"[^\W\d_]+")
_ASCII_LETTER = re.compile("[A-Za-z]")
_HEAD = 200_000
"""The bytes in which an encoding is looked for."""


class Decoded(NamedTuple):
    """A text, and what had to be assumed to read it."""

    text: str
    warnings: tuple[str, ...] = ()


def decode_text(data: bytes, declared: str = "") -> Decoded:
    r"""Decode text: by its byte order mark, as UTF-8, as it declares, or else as it looks.

    Args:
        data: The bytes of the file.
        declared: The name of the encoding that the file declares; empty if it declares none.

    Returns:
        The text with ``\n`` as line ends, and a sentence for each assumption.

    Raises:
        LoadError: The bytes are not text.
    """
    decoded = _decode(data, codec_of(declared) if declared else "")
    if "\0" in decoded.text:
        raise LoadError(_BINARY)
    refuse_utf7(decoded.text)
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n")
    return Decoded(text, decoded.warnings + find_mojibake(text))


def codec_of(label: str) -> str:
    """Return Python's name of an encoding that reads ASCII, by any name that browsers or Python know.

    The result is empty if there is none.
    """
    import webencodings

    known = webencodings.lookup(label)
    try:
        name = known.codec_info.name if known else codecs.lookup(label).name
        name = _LARGER.get(name, name)
        # The label was found as ASCII, so an encoding that reads it differently is wrong.
        return name if name not in _NO_TEXT and "meta".encode(name) == b"meta" else ""
    except (LookupError, ValueError, TypeError, AttributeError):
        return ""


def check_encoding(encoding: str) -> None:
    """Check that a name of an encoding is known, before it makes every file fail.

    Raises:
        InputError: It is not.
    """
    try:
        b"a".decode(codec_of(encoding) or encoding)
    except UnicodeError:
        return  # known, and not this byte's
    except (LookupError, ValueError) as error:  # A name with a zero byte is a ValueError.
        raise InputError(
            f"The encoding {encoding!r} is not known; expected a name such as 'windows-1256'. Check the "
            "spelling, or leave it out to have the encoding detected."
        ) from error


def to_utf8(data: bytes, encoding: str) -> bytes:
    """Rewrite text in a given encoding as UTF-8 with a byte order mark, which every reader knows.

    Raises:
        LoadError: There is no such encoding, or the bytes are in another.
    """
    try:
        text = data.decode(codec_of(encoding) or codecs.lookup(encoding).name)
    except LookupError as error:
        raise LoadError(
            f"The encoding {encoding!r} is not known; expected a name such as 'windows-1256'. "
            "Check the spelling."
        ) from error
    except ValueError as error:
        raise LoadError(
            f"The file is not in the encoding {encoding!r} ({error}); expected the right name. "
            "Leave it out to have the encoding detected."
        ) from error
    return codecs.BOM_UTF8 + text.removeprefix("\ufeff").encode("utf-8", "replace")


def _decode(data: bytes, declared: str) -> Decoded:
    for mark, name in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(name, "replace")
            return Decoded(text, _count_lost(text, name))
    if shifted := _decode_shifted(data):
        return shifted
    if b"\0" in data:
        return _decode_wide(data)
    try:
        return Decoded(data.decode())
    except UnicodeDecodeError as error:
        first = error.start
    if _is_broken_utf8(data):
        return _decode_broken_utf8(data, first)
    if declared and declared != "utf-8":
        try:
            text = data.decode(declared)
        except ValueError:
            pass
        else:
            return _check_declared(data, text, declared)
    return _detect(data, declared)


def _decode_shifted(data: bytes) -> Decoded | None:
    """Decode Asian text that consists of ASCII, and so would be UTF-8: ISO-2022 and HZ."""
    if b"\x1b$" in data[:_HEAD]:
        names = ["iso2022_kr", "iso2022_jp_2", "iso2022_jp_ext"]
    elif _HZ.search(data[:_HEAD]):
        names = ["hz"]
    else:
        return None
    for name in names:
        with suppress(ValueError):
            text = data.decode(name)
            if "\x1b" not in text and not text.isascii():
                return Decoded(text, (_assumption(name),) if name == "hz" else ())
    return None


def _count_lost(text: str, name: str) -> tuple[str, ...]:
    lost = text.count("\ufffd")
    return (f"{lost} characters could not be read as {name}.",) if lost else ()


def _decode_wide(data: bytes) -> Decoded:
    """Decode UTF-32 or UTF-16 without a mark: all characters have to be ones that texts consist of."""
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = data.decode(name)
        except ValueError:
            continue
        if text and _looks_written(text[:_HEAD]):
            return Decoded(text, (_assumption(name),))
    raise LoadError(_BINARY)


def _looks_written(text: str) -> bool:
    """Tell whether a text has no odd characters and those of two scripts at most, besides ASCII."""
    if any(
        unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs") and char not in "\t\n\r\f" for char in text
    ):
        return False
    blocks = {ord(char) >> 8 for char in text if char.isalpha() and not 0x2E80 <= ord(char) < 0xD7B0}
    spaces = sum(map(str.isspace, text)) + sum(char in "，。、！？；：" for char in text)
    return len(blocks) <= 4 + len(text) // 200 and (spaces > 0 or len(text) < 40)


def _is_broken_utf8(data: bytes) -> bool:
    """Tell whether valid sequences of several bytes are at least four times as many as stray bytes."""
    text = data.decode("utf-8", "surrogateescape")
    ascii_count = len(text.encode("ascii", "ignore"))
    strays = len(text) - len(text.encode("utf-8", "ignore").decode())
    return len(text) - ascii_count - strays >= 4 * strays


def _decode_broken_utf8(data: bytes, first: int) -> Decoded:
    """Decode UTF-8 with stray bytes: beside a Latin letter they are windows-1252, else unknown."""
    text = data.decode("utf-8", "surrogateescape")
    strays = len(_STRAY.findall(text))
    line = data.count(b"\n", 0, first) + 1
    many = "1 byte is" if strays == 1 else f"{strays} bytes are"
    warning = f"{many} not UTF-8, the first in line {line}; read as windows-1252 or as \ufffd."
    return Decoded(_STRAY.sub(_read_stray, text), (warning,))


def _read_stray(match: re.Match[str]) -> str:
    start, end = match.span()
    beside = match.string[max(0, start - 1) : start] + match.string[end : end + 1]
    byte = bytes([ord(match[0]) - 0xDC00])
    known = any(char.isascii() and char.isalnum() for char in beside)
    return byte.decode("cp1252", "replace") if known else "\ufffd"


def _check_declared(data: bytes, text: str, declared: str) -> Decoded:
    """Believe a declared Latin encoding only where the text has ASCII letters: templates copy the name."""
    letters = [char for char in text[:_HEAD] if char.isalpha()]
    odd = [char for char in letters if "\x7f" < char < "\u0250"]
    if 2 * len(odd) > len(letters) or 5 * _count_pairs(text[:_HEAD]) > len(odd) > 8:
        found = _detect(data, declared)
        if any(char > "\u0250" and char.isalpha() for char in found.text):
            return found
    return Decoded(text)


def _count_pairs(text: str) -> int:
    """Count runs of three or more accented letters: no Latin text has many."""
    return len(re.findall("[\u00c0-\u00ff]{3,}", text))


def _detect(data: bytes, declared: str) -> Decoded:
    """Decode as chardet finds, say so, and say what else it may be."""
    import chardet

    found = chardet.detect_all(data[:_HEAD], include_encodings=_CANDIDATES + _RARE, compat_names=False)
    ranked = list(_readable(data, [(str(one["encoding"] or ""), one["confidence"] or 0.0) for one in found]))
    if not ranked or _is_binary(ranked[0][1]):
        return _decode_wide(data)  # Without a space or a figure, no byte of it is zero.
    ranked = _with_usual_first(_with_whole_words_first(ranked))
    name, text, confidence = ranked[0]
    few = sum(byte > 0x7F for byte in data[:_HEAD]) < _FEW
    others = [
        other
        for other in ranked[1:]
        if other[1] != text and "\ufffd" not in other[1] and (few or other[2] > confidence / 2)
    ]
    if any(same == "cp1252" and as_text == text for same, as_text, _ in ranked):
        name = "cp1252"
    doubt = _NAMES.get(others[0][0], others[0][0]) if others else ""
    return Decoded(text, (_assumption(name, declared, doubt), *_count_lost(text, name)))


def _with_whole_words_first(ranked: list[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
    """Put what mixes scripts or cases inside words behind the rest: "coыte" is "coûte" read wrongly."""
    return sorted(ranked, key=lambda one: _mixes_scripts(one[1][:_HEAD]) or _mixes_cases(one[1][:_HEAD]))


def _mixes_cases(text: str) -> bool:
    """Tell whether a fifth of the words beyond ASCII have a capital of theirs behind a small letter."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    mixed = sum(
        any(not after.isascii() and after.isupper() and before.islower() for before, after in pairwise(word))
        for word in words
    )
    return 0 < len(words) <= 5 * mixed


def _mixes_scripts(text: str) -> bool:
    """Tell whether half of the words with Greek, Cyrillic, Hebrew or Arabic letters have Latin ones too."""
    words = _FOREIGN_WORD.findall(text)
    mixed = sum(bool(_ASCII_LETTER.search(word)) for word in words)
    return 0 < len(words) <= 2 * mixed


def _with_usual_first(ranked: list[tuple[str, str, float]]) -> list[tuple[str, str, float]]:
    """Put the best usual encoding in front of a rare one that is hardly better."""
    name, text, confidence = ranked[0]
    if name not in _RARE:
        return ranked
    for one in ranked:
        if one[0] not in _RARE and one[2] >= _NEARLY * confidence and _odd_signs(one[1]) <= _odd_signs(text):
            return [one, *(other for other in ranked if other is not one)]
    return ranked


def _odd_signs(text: str) -> int:
    """Count signs such as the pilcrow, and quotes inside words: a text that is read wrongly has them."""
    written = ("L", "M", "N", "Z", "Pd", "Pi", "Pf", "Sc")
    head = text[:_HEAD]
    signs = sum(not unicodedata.category(char).startswith(written) for char in head if not char.isascii())
    return signs + len(_QUOTE_INSIDE.findall(head))


def _readable(data: bytes, found: list[tuple[str, float]]) -> Iterator[tuple[str, str, float]]:
    for encoding, confidence in found:
        try:
            name = codecs.lookup(encoding).name
        except LookupError:
            continue
        if name not in ("utf-8", "ascii"):
            yield name, data.decode(name, "replace"), confidence


def _is_binary(text: str) -> bool:
    controls = sum(
        1 for char in text[:_HEAD] if unicodedata.category(char) == "Cc" and char not in "\t\n\r\f"
    )
    return 100 * controls > len(text[:_HEAD])


def _assumption(name: str, declared: str = "", doubt: str = "") -> str:
    name = _NAMES.get(name, name.upper())
    why = f"declares {declared}, which it is not" if declared else "does not say its encoding"
    unsure = f", though it may be {doubt}" if doubt else ""
    return f"The file {why}; read as {name}{unsure}. If that is wrong, pass its encoding."
