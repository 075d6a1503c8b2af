"""Pictures of text are read by text recognition; without it the report says what to install."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pypdfium2 import PdfDocument

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import ingest, pipeline
from qwen_agentkit.ingest.ocr import Ocr, installed_languages
from qwen_agentkit.ingest.pictures import read_picture
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.pdf_files import drawn

needs_tesseract = pytest.mark.skipif(
    "eng" not in installed_languages(), reason="Tesseract with English is not installed"
)
FERRY = "The ferry leaves at 1250 from the old harbour"


def photo(text: str = FERRY) -> Image.Image:
    page: Image.Image = PdfDocument(drawn([(50, 700, text)], size=16))[0].render(scale=2).to_pil()
    return page.crop((60, 200, 1000, 320))


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@needs_tesseract
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_each_format_is_read(kind: str) -> None:
    [part] = read_picture(saved(photo(), kind), Ocr(languages="eng"))
    assert (part.text, part.metadata) == (FERRY, {"recognized": True})
    assert "Compare its numbers with the picture." in part.warnings[0]


@needs_tesseract
def test_pages_turned_and_clear_pictures_are_read() -> None:
    pages = saved(photo("First page"), "TIFF", save_all=True, append_images=[photo("Second page")])
    assert [(one.text, one.metadata["page"]) for one in read_picture(pages, Ocr(languages="eng"))] == [
        ("First page", 1),
        ("Second page", 2),
    ]
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned.
    turned = saved(photo().rotate(90, expand=True), "JPEG", exif=exif)
    assert read_picture(turned, Ocr(languages="eng"))[0].text == FERRY
    black = Image.new("RGBA", photo().size, (0, 0, 0, 0))
    black.putalpha(photo().convert("L").point(lambda value: 255 - value))
    assert read_picture(saved(black, "PNG"), Ocr(languages="eng"))[0].text == FERRY


@needs_tesseract
def test_a_picture_without_text_is_passed_over_and_a_broken_one_fails(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(saved(Image.new("L", (300, 200), 255), "PNG"))
    (tmp_path / "cut.png").write_bytes(saved(photo(), "PNG")[:200])
    (tmp_path / "scan.png").write_bytes(saved(photo(), "PNG"))
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        report = ingest([tmp_path], store, ocr_languages=["en"])
        assert report.added == 1
        assert [(Path(one["source"]).name, one["reason"]) for one in report.passed_over] == [
            ("logo.png", "The picture holds no text.")
        ]
        assert "broken picture" in report.failed[0]["reason"]
        off = ingest([tmp_path], store, ocr="off")
        assert (off.removed, store.count()) == (0, 1)


def test_without_text_recognition_the_report_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scan.webp").write_bytes(saved(photo(), "WEBP"))
    (tmp_path / "hours.md").write_text("The library opens at nine.")
    monkeypatch.setattr(pipeline, "choose_ocr", lambda *_: None)
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        report = ingest([tmp_path], store)
        assert (report.added, report.failed) == (1, [])
        assert "Tesseract" in report.passed_over[0]["reason"]
        assert "qwen-agentkit[ocr]" in report.passed_over[0]["reason"]
        [failure] = ingest([tmp_path / "scan.webp"], store).failed
        assert "Tesseract" in failure["reason"]


def test_without_the_extra_the_report_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(LoadError, match=r"qwen-agentkit\[ocr\]"):
        read_picture(b"", Ocr())


def test_a_picture_of_another_format_or_of_too_many_dots_is_refused() -> None:
    with pytest.raises(LoadError, match="broken picture"):
        read_picture(saved(photo(), "BMP"), Ocr())
    with pytest.raises(LoadError, match="dots"):
        read_picture(saved(Image.new("1", (16_000, 10_000)), "PNG"), Ocr())
