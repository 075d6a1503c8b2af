"""Text recognition for pictures and pages that are pictures, by the program Tesseract where it is installed.

Tesseract is well kept, works offline and knows more than a hundred languages, each a package of its own. It
runs as a process with a limit of time, and of memory where its caller has one.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from qwen_agentkit.errors import InputError, LoadError
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.pdf import read_pdf
from qwen_agentkit.ingest.pdf.bidi import is_rtl_line
from qwen_agentkit.ingest.pdf.characters import clean

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

__all__ = ["Ocr", "OcrMode", "as_pgm", "choose_ocr", "installed_languages", "read_pdf_with_ocr", "recognize"]

OcrMode = Literal["auto", "off", "force"]
"""Whether text is recognized: on pages without legible text, never, or on every page of a PDF."""

_SECONDS = 120
"""Most seconds for a page."""
_DOTS_PER_INCH = 300
_MOST_DOTS = 25_000_000
"""A larger page is made smaller."""
_SURE = 75
"""Tesseract's confidence, in percent, from which on a word with digits is not named as doubtful."""
_GUESSED = 40
"""The confidence below which a second reading proves nothing."""
_NAMED = 5
"""Most numbers that a warning names."""
_NUMERALS = "0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९.,:/-+%€$£()"
_MARGIN = 12
"""Dots of white around a number that is read by itself."""

_CODES = {
    "af": "afr", "am": "amh", "ar": "ara", "az": "aze", "be": "bel", "bg": "bul", "bn": "ben",
    "bo": "bod", "ca": "cat", "cs": "ces", "cy": "cym", "da": "dan", "de": "deu", "el": "ell",
    "en": "eng", "es": "spa", "et": "est", "eu": "eus", "fa": "fas", "fi": "fin", "fr": "fra",
    "ga": "gle", "gl": "glg", "gu": "guj", "he": "heb", "hi": "hin", "hr": "hrv", "hu": "hun",
    "hy": "hye", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn", "ka": "kat", "kk": "kaz",
    "km": "khm", "kn": "kan", "ko": "kor", "ku": "kmr", "lo": "lao", "lt": "lit", "lv": "lav",
    "mk": "mkd", "ml": "mal", "mn": "mon", "mr": "mar", "ms": "msa", "my": "mya", "ne": "nep",
    "nl": "nld", "no": "nor", "or": "ori", "pa": "pan", "pl": "pol", "ps": "pus", "pt": "por",
    "ro": "ron", "ru": "rus", "si": "sin", "sk": "slk", "sl": "slv", "sq": "sqi", "sr": "srp",
    "sv": "swe", "sw": "swa", "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur",
    "uk": "ukr", "ur": "urd", "uz": "uzb", "vi": "vie", "yi": "yid", "zh": "chi_sim",
    "zh-hant": "chi_tra",
}  # fmt: skip
"""Tesseract's names of languages."""


@dataclass(frozen=True)
class Ocr:
    """How text is recognized."""

    mode: OcrMode = "auto"
    languages: str = ""
    """Tesseract's names of the languages, joined by "+". Empty: all that are installed."""
    chosen: bool = False
    """Whether the caller chose the languages; if so, others give another document."""

    @property
    def version(self) -> str:
        """What of it belongs to the hash of a document."""
        return f"ocr {self.mode} {self.languages if self.chosen else ''} "


def choose_ocr(mode: OcrMode, chosen: Sequence[str], stored: Iterable[str]) -> Ocr | None:
    """Return how to recognize text on this machine; None if it is off, or Tesseract is not installed.

    Args:
        mode: When text is recognized.
        chosen: The languages to look for, as the package or Tesseract names them. Empty: those stored, or if
            none of them is installed, all that are.
        stored: The languages of the documents in the store.

    Raises:
        InputError: The mode is none, or a chosen language is not installed.
    """
    if mode not in get_args(OcrMode):
        raise InputError(f"ocr is {mode!r}; expected one of {', '.join(get_args(OcrMode))}.")
    if isinstance(chosen, str) or not isinstance(chosen, Sequence):
        raise InputError(f"ocr_languages is {chosen!r}; expected a list of languages. Write ['ar', 'en'].")
    known = installed_languages()
    if mode == "off":
        return None
    if (mode == "force" or chosen) and not known:
        raise InputError("Text recognition needs the program Tesseract, which is not installed. Install it.")
    missing = [code for code in chosen if _CODES.get(code, code) not in known]
    if missing:
        raise InputError(
            f"Tesseract does not know {missing[0]!r} here; expected some of {', '.join(known)}. Install the "
            "language, or choose another."
        )
    names = [name for code in chosen or stored if (name := _CODES.get(code, code)) in known]
    return Ocr(mode, "+".join(dict.fromkeys(names)), bool(chosen)) if known else None


@lru_cache
def installed_languages() -> tuple[str, ...]:
    """Return the languages that Tesseract knows here; none if it is not installed."""
    program = shutil.which("tesseract")
    if program is None:
        return ()
    listed = subprocess.run([program, "--list-langs"], capture_output=True, timeout=20)  # noqa: S603 - no input
    names = listed.stdout.decode(errors="replace").splitlines()[1:]
    return tuple(name for name in names if name not in ("osd", "equ", "snum"))


def read_pdf_with_ocr(data: bytes, ocr: Ocr) -> list[Part]:
    """Read a PDF, and recognize the text of its pages that have none, or of all.

    Raises:
        LoadError: The PDF is broken, needs a password, or holds no text in the end.
    """
    from pypdfium2 import PdfDocument  # Imported here because most runs read no PDF.

    parts = read_pdf(data)
    wanted = [
        index for index, part in enumerate(parts) if ocr.mode == "force" or (part.warnings and not part.text)
    ]
    if wanted:
        with closing(PdfDocument(data)) as document:
            for index in wanted:
                parts[index] = _recognize(document, index, parts[index], ocr)
    parts = [part for part in parts if part.text or part.warnings]
    if not any(any(map(str.isalnum, part.text)) for part in parts):
        warnings = [warning for part in parts for warning in part.warnings]
        raise LoadError(warnings[0] if warnings else "The file holds no text.")
    return parts


def _recognize(document: PdfDocument, index: int, part: Part, ocr: Ocr) -> Part:
    text, warning = recognize(_draw(document, index), ocr, "page")
    if not text:
        return part._replace(warnings=(*part.warnings, warning)) if warning else part
    return Part(text, {**part.metadata, "recognized": True}, (warning,))


def recognize(picture: bytes, ocr: Ocr, kind: str) -> tuple[str, str]:
    """Return the text in a picture, and a warning; both are empty if it holds none.

    Numbers of which Tesseract is not sure are read again by themselves. Those that differ then are named.

    Args:
        picture: In gray, as `as_pgm` writes it.
        ocr: How to recognize.
        kind: What the picture is, for the warning.
    """
    try:
        words = list(_read_words(picture, ocr.languages, "3"))
        text = clean(_join(words))
        if not any(map(str.isalnum, text)):
            return "", ""
        doubts = _find_doubts(picture, words, ocr.languages)
    except (OSError, subprocess.SubprocessError) as error:
        reason = "took too long" if isinstance(error, subprocess.TimeoutExpired) else f"failed ({error})"
        return "", f"Text recognition of the {kind} {reason}."
    named = f" Doubtful ones: {', '.join(doubts)}." if doubts else ""
    return text, f"The {kind} was read by text recognition. Compare its numbers with the {kind}.{named}"


def _find_doubts(picture: bytes, words: Sequence[_Word], languages: str) -> list[str]:
    """Return the numbers of which Tesseract is not sure, unless it finds them again among digits alone.

    In Arabic text it is never sure: its model takes ١٥ for 10 with confidence. What it can read are digits
    that its model of English reads as well.
    """
    is_arabic = is_rtl_line("".join(word.text for word in words))
    if is_arabic and "eng" in installed_languages():
        languages = "eng"
    doubts: list[str] = []
    for word in words:
        if len(doubts) == _NAMED:
            break
        if (word.sure < _SURE or is_arabic) and any(map(str.isdigit, word.text)):
            seen = "".join(
                one.text for one in _read_words(_crop(picture, word.box), languages, "7", _NUMERALS)
            )
            known = _digits(seen) == _digits(word.text) if is_arabic else seen == word.text
            if not known or word.sure < _GUESSED:
                other = f" (or {seen})" if seen not in ("", word.text) else ""
                doubts.append(f"{word.text}{other}")
    return list(dict.fromkeys(doubts))


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _draw(document: PdfDocument, index: int) -> bytes:
    """Return the picture of a page in gray, as PGM."""
    with closing(document[index]) as page:
        width, height = page.get_size()
        scale = min(_DOTS_PER_INCH / 72, (_MOST_DOTS / max(1.0, width * height)) ** 0.5)
        bitmap = page.render(scale=scale, grayscale=True)
        return as_pgm(bytes(bitmap.buffer), bitmap.width, bitmap.height, bitmap.stride)


def as_pgm(rows: bytes, width: int, height: int, stride: int = 0) -> bytes:
    """Write a gray picture of a byte for each dot as PGM.

    Args:
        rows: The dots of each row.
        width: The dots in a row.
        height: The number of rows.
        stride: The bytes from one row to the next. Default: as many as dots.
    """
    if stride > width:
        rows = b"".join(rows[start : start + width] for start in range(0, height * stride, stride))
    return b"P5 %d %d 255\n" % (width, height) + rows


def _crop(picture: bytes, box: tuple[int, int, int, int]) -> bytes:
    """Cut a box, given as left, top, width and height, out of a picture, with a white margin."""
    head, rows = picture.split(b"\n", 1)
    across, down = map(int, head.split()[1:3])
    left, top = max(0, box[0] - 2), max(0, box[1] - 2)
    right, bottom = min(across, box[0] + box[2] + 2), min(down, box[1] + box[3] + 2)
    edge = b"\xff" * _MARGIN
    blank = b"\xff" * (right - left + 2 * _MARGIN) * _MARGIN
    lines = [edge + rows[row * across + left : row * across + right] + edge for row in range(top, bottom)]
    return as_pgm(blank + b"".join(lines) + blank, right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN)


@dataclass(frozen=True)
class _Word:
    text: str
    line: tuple[str, str, str]
    """The numbers of its block, paragraph and line."""
    sure: float
    box: tuple[int, int, int, int]
    """Its left and upper edge, its width and its height, in dots."""


def _read_words(picture: bytes, languages: str, layout: str, characters: str = "") -> Iterator[_Word]:
    """Yield the words that Tesseract finds.

    Args:
        picture: Any picture that Tesseract reads.
        languages: Tesseract's names of the languages.
        layout: Tesseract's number for what to expect: "3" for a page, "7" for a line.
        characters: The only characters to look for. Empty: all.

    Raises:
        OSError: Tesseract is gone.
        SubprocessError: It fails or takes too long.
    """
    program = shutil.which("tesseract") or "tesseract"
    names = languages or "+".join(installed_languages())
    only = ["-c", f"tessedit_char_whitelist={characters}"] if characters else []
    found = subprocess.run(  # noqa: S603 - the arguments are names of installed languages
        [program, "stdin", "stdout", "-l", names, "--psm", layout, *only, "tsv"],
        input=picture,
        capture_output=True,
        check=True,
        timeout=_SECONDS,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # Pages of several files are read at a time.
    )
    table = io.StringIO(found.stdout.decode("utf-8", "replace"))
    for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["text"] and row["text"].strip():
            line = (row["block_num"], row["par_num"], row["line_num"])
            left, top, width, height = (int(row[name]) for name in ("left", "top", "width", "height"))
            yield _Word(row["text"].strip(), line, float(row["conf"]), (left, top, width, height))


def _join(words: list[_Word]) -> str:
    """Return the words as lines and paragraphs."""
    text = ""
    for before, word in zip([None, *words], words, strict=False):
        if before is not None:
            same_paragraph = before.line[:2] == word.line[:2]
            text += " " if before.line == word.line else "\n" if same_paragraph else "\n\n"
        text += word.text
    return text
