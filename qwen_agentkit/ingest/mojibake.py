"""Text that was spoiled before it was saved: UTF-8 that a program took for another encoding, and UTF-7."""

from __future__ import annotations

import re
import unicodedata

from qwen_agentkit.errors import LoadError

__all__ = ["find_mojibake", "refuse_utf7"]

_HEAD = 4000
"""Characters that are looked at."""
_FOREIGN = re.compile("[^\x00-\x7f]{2,}")
_TAKEN_FOR = {
    **{"cp1252": "windows-1252", "latin-1": "ISO-8859-1", "cp1251": "windows-1251", "cp1256": "windows-1256"},
    **{"cp437": "CP437", "cp850": "CP850", "mac-roman": "Mac Roman", "iso8859-15": "ISO-8859-15"},
    **{"gb18030": "GB18030", "cp932": "Shift-JIS"},
}
_ASIAN = frozenset({"gb18030", "cp932"})
_HAN = re.compile("[\u2e80-\uffef]")
_MANY = 40
"""Bytes of Asian text that are not valid UTF-8 by chance."""
_FEWEST = 6
_SHARE = 0.6
"""The bytes beyond ASCII, and the part of them, that have to be UTF-8 in disguise."""
_WRITABLE = 0.9
"""The part of the characters that the encoding has to have."""
_FEW = 3
"""Pieces of UTF-7 that may be chance."""
_UTF7 = re.compile(r"\+([A-Za-z0-9/+]{2,})(?:-|(?=[^A-Za-z0-9/+]|$))")


def find_mojibake(text: str) -> tuple[str, ...]:
    """Return a sentence if the text is UTF-8 that was once read in another encoding, such as "Ã¼" for "ü"."""
    words = _FOREIGN.findall(text[:_HEAD].replace("\ufffd", ""))
    if not words:
        return ()
    for encoding, name in _TAKEN_FOR.items():
        if _is_disguised(" ".join(words), encoding):
            return (
                f"The text seems to be UTF-8 that was taken for {name} when it was saved: {words[0][:20]!r} "
                "stands for other characters. Make the file anew from its source.",
            )
    return ()


def _is_disguised(words: str, encoding: str) -> bool:
    """Tell whether most of the words are valid UTF-8 in an encoding. By chance, few are."""
    data = words.encode(encoding, "ignore")
    if len(data.decode(encoding)) < _WRITABLE * len(words):
        return False
    if encoding in _ASIAN and (len(data) < _MANY or 2 * len(_HAN.findall(words)) < len(words)):
        return False  # They have Greek and Cyrillic letters too.
    spaces = words.count(" ")
    valid = len(data.decode("utf-8", "ignore").encode()) - spaces
    return valid >= max(_FEWEST, _SHARE * (len(data) - spaces))


def refuse_utf7(text: str) -> None:
    """Refuse UTF-7, whose letters are written as ASCII: a reader would take them for words.

    Raises:
        LoadError: A good part of the words is UTF-7.
    """
    head = text[:_HEAD]
    if "+" not in head or not head.isascii():
        return
    found = [match for match in _UTF7.finditer(head) if _is_utf7(match[1])]
    length = sum(len(match[0]) for match in found)
    if 2 * length > len(head) or (len(found) >= _FEW and 20 * length > len(head)):
        raise LoadError("The file is UTF-7, which is not read; expected UTF-8. Save it as UTF-8.")


def _is_utf7(code: str) -> bool:
    try:
        text = f"+{code}-".encode().decode("utf-7")
    except ValueError:
        return False
    kinds = {unicodedata.category(char)[0] for char in text}
    return not text.isascii() and "L" in kinds and "C" not in kinds
