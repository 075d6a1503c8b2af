"""Pictures of text, such as scans and photos of letters, through text recognition."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.ocr import Ocr, as_pgm, recognize
from qwen_agentkit.ingest.parts import Part

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NO_OCR", "PICTURE_SUFFIXES", "read_picture"]

PICTURE_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
NO_OCR = (
    "Text in pictures is read by text recognition, which is off. Install the program Tesseract, and type: "
    "pip install 'qwen-agentkit[ocr]'"
)

_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
_MOST_DOTS = 25_000_000
"""A larger picture is made smaller."""
_LARGEST = 150_000_000
"""Dots of a picture that is opened at all."""
_FEW_DOTS = 1_000_000
"""A smaller picture is enlarged: Tesseract needs letters of 20 dots or more."""
_MOST_PAGES = 2_000


def read_picture(data: bytes, ocr: Ocr) -> list[Part]:
    """Read the text in a picture: a part for each page of a TIFF file that has several.

    Raises:
        LoadError: The picture is broken or too large, or the extra `ocr` is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; those that are too large fail.
            return list(_read_pages(data, ocr))
    except LoadError:
        raise
    except ImportError as error:
        raise LoadError(
            "The file is a picture, which needs the extra 'ocr'. Type: pip install 'qwen-agentkit[ocr]'"
        ) from error
    except Exception as error:  # Pillow raises nearly anything for a damaged file.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoadError(
            f"The file is a broken picture ({reason}); expected a readable one. Save it anew and try again."
        ) from error


def _read_pages(data: bytes, ocr: Ocr) -> Iterator[Part]:
    from PIL import Image, ImageSequence

    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        count = getattr(picture, "n_frames", 1)
        if count > _MOST_PAGES:
            raise LoadError(
                f"The picture has {count:,} pages; expected {_MOST_PAGES:,} or fewer. Save it as several."
            )
        for number, page in enumerate(ImageSequence.Iterator(picture), start=1):
            text, warning = recognize(_as_gray(page), ocr, "picture")
            metadata = {**({"page": number} if count > 1 else {}), **({"recognized": True} if text else {})}
            yield Part(text, metadata, (warning,) if warning else ())


def _as_gray(picture: Image) -> bytes:
    """Return a picture as PGM: upright, on white, neither small nor huge."""
    from PIL import Image, ImageOps

    dots = picture.width * picture.height
    if dots > _LARGEST:
        raise LoadError(f"The picture has {dots:,} dots; expected {_LARGEST:,} or fewer. Make it smaller.")
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:  # What is clear would turn black.
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    gray = upright.convert("L")
    if not _FEW_DOTS <= dots <= _MOST_DOTS:
        scale = (_MOST_DOTS / dots) ** 0.5 if dots > _MOST_DOTS else 2.0
        size = (max(1, round(gray.width * scale)), max(1, round(gray.height * scale)))
        gray = gray.resize(size, Image.Resampling.LANCZOS)
    return as_pgm(gray.tobytes(), gray.width, gray.height)
