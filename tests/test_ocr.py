"""Pages that are pictures are read by text recognition, with doubt, or named with what to install."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pypdfium2 import PdfDocument
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from qwen_agentkit.errors import InputError
from qwen_agentkit.ingest import ingest, ocr
from qwen_agentkit.ingest.ocr import Ocr, choose_ocr, installed_languages, read_pdf_with_ocr
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.embedders import BagOfWords
from tests.pdf_files import drawn

needs_tesseract = pytest.mark.skipif(
    "eng" not in installed_languages(), reason="Tesseract with English is not installed"
)


def scanned(*pages: str) -> bytes:
    """A PDF whose pages are pictures of text, behind a first page of text."""
    out = BytesIO()
    canvas = Canvas(out)
    canvas.drawString(50, 700, "The first page is text.")
    canvas.showPage()
    for text in pages:
        picture = PdfDocument(drawn([(50, 700, text)], size=16))[0].render(scale=2).to_pil()
        canvas.drawImage(ImageReader(picture), 0, 0, *canvas._pagesize)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@needs_tesseract
def test_a_scanned_page_is_read_with_doubt() -> None:
    text, read = read_pdf_with_ocr(scanned("The ferry leaves at 1250 from the old harbour"), Ocr())
    assert (text.text, text.warnings) == ("The first page is text.", ())
    assert read.text == "The ferry leaves at 1250 from the old harbour"
    assert read.metadata == {"page": 2, "recognized": True}
    assert "Compare its numbers" in read.warnings[0]


@needs_tesseract
def test_force_reads_pages_with_text_too() -> None:
    [page] = read_pdf_with_ocr(drawn([(50, 700, "Plain text of a page")], size=16), Ocr("force", "eng"))
    assert page.metadata["recognized"]
    assert page.text == "Plain text of a page"


@needs_tesseract
def test_ingest_recognizes_unless_told_not_to(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(scanned("The ferry leaves from the old harbour"))
    with QwenVectorStore(BagOfWords(), path=":memory:") as store:
        report = ingest([tmp_path], store, ocr="off")
        assert "Tesseract" in report.warnings[0]["reason"]
        assert store.count() == 1
        assert ingest([tmp_path], store).added == 1
        assert store.count() == 2
        assert ingest([tmp_path], store).skipped == 1
        assert ingest([tmp_path], store, ocr_languages=["en"]).added == 1


def test_without_the_program_pages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "installed_languages", lambda: ())
    assert choose_ocr("auto", (), ["en"]) is None
    with pytest.raises(InputError, match="not installed"):
        choose_ocr("force", (), [])


def test_languages_are_chosen_then_stored_then_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "installed_languages", lambda: ("ara", "chi_sim", "eng"))
    assert choose_ocr("auto", (), ["ar", "hi", "en"]) == Ocr("auto", "ara+eng")
    assert choose_ocr("auto", (), ["hi"]) == Ocr("auto", "")
    assert choose_ocr("force", ["zh"], ["ar"]) == Ocr("force", "chi_sim", chosen=True)
    assert choose_ocr("off", (), ["ar"]) is None
    with pytest.raises(InputError, match="'hi'"):
        choose_ocr("auto", ["hi"], [])
    with pytest.raises(InputError, match="expected one of auto, off, force"):
        choose_ocr("sometimes", (), [])  # type: ignore[arg-type]


def test_a_number_is_doubtful_unless_it_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = (("1250", 96.0, "9999"), ("1730", 60.0, "1730"), ("l880", 60.0, "1880"), ("1990", 20.0, "1990"))
    words = [
        ocr._Word(text, ("1", "1", "1"), sure, (place, 0, 8, 8)) for place, (text, sure, _) in enumerate(seen)
    ]

    def read(picture: bytes, languages: str, layout: str, characters: str = "") -> list[ocr._Word]:
        return [replace(words[0], text=seen[int(picture)][2])] if characters else words

    monkeypatch.setattr(ocr, "_crop", lambda picture, box: b"%d" % box[0])
    monkeypatch.setattr(ocr, "_read_words", read)
    text, warning = ocr.recognize(b"", Ocr(), "page")
    assert text == "1250 1730 l880 1990"
    assert warning.endswith("Doubtful ones: l880 (or 1880), 1990.")


def test_a_number_in_arabic_text_is_doubtful_however_sure_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = (("بزيادة", 93.0, ""), ("10", 84.0, "70"), ("عن", 92.0, ""), ("2019.", 91.0, "2019"))
    words = [
        ocr._Word(text, ("1", "1", "1"), sure, (place, 0, 8, 8)) for place, (text, sure, _) in enumerate(seen)
    ]
    asked: list[str] = []

    def read(picture: bytes, languages: str, layout: str, characters: str = "") -> list[ocr._Word]:
        asked.extend([languages] if characters else [])
        return [replace(words[0], text=seen[int(picture)][2])] if characters else words

    monkeypatch.setattr(ocr, "_crop", lambda picture, box: b"%d" % box[0])
    monkeypatch.setattr(ocr, "_read_words", read)
    monkeypatch.setattr(ocr, "installed_languages", lambda: ("ara", "eng"))
    assert ocr.recognize(b"", Ocr("auto", "ara"), "page")[1].endswith("Doubtful ones: 10 (or 70).")
    assert asked == ["eng", "eng"]


@needs_tesseract
def test_a_number_is_read_again_by_itself() -> None:
    bitmap = PdfDocument(drawn([(50, 700, "Room 4711 is open")], size=16))[0].render(scale=3, grayscale=True)
    picture = ocr.as_pgm(bytes(bitmap.buffer), bitmap.width, bitmap.height, bitmap.stride)
    [number] = [word for word in ocr._read_words(picture, "eng", "3") if word.text == "4711"]
    again = ocr._read_words(ocr._crop(picture, number.box), "eng", "7", "0123456789")
    assert [word.text for word in again] == ["4711"]
