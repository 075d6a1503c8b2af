"""Text in PDF files of many producers comes out as it was written, in every script."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from qwen_agentkit.ingest.pdf import read_pdf
from qwen_agentkit.ingest.pdf.bidi import logical_order
from qwen_agentkit.ingest.pdf.characters import clean, illegible
from tests.pdf_files import PRODUCERS, TEXTS, drawn, font_file

# What a file does not say, no reader can: WeasyPrint leaves out the text of some glyphs of these scripts, and
# reportlab cannot write scripts whose letters join.
UNABLE = {
    "WeasyPrint": {"bn", "hi", "km", "my", "th"},
    "reportlab": {"am", "ar", "ar-vowels", "bn", "fa", "he", "hi", "km", "my", "ta", "th", "ur"},
}


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize("producer", PRODUCERS)
def test_every_language_comes_out_as_it_went_in(producer: str, tmp_path: Path) -> None:
    languages = [one for one in TEXTS if one not in UNABLE.get(producer, set()) and font_file(one)]
    assert {"en", "ru", "tr", "vi"} <= set(languages)  # more where fonts for them are installed
    parts = read_pdf(PRODUCERS[producer](languages, tmp_path))[: len(languages)]
    read = {one: plain(part.text) for one, part in zip(languages, parts, strict=True)}
    assert read == {one: plain(TEXTS[one]) for one in languages}
    assert [part.metadata["page"] for part in parts] == list(range(1, len(languages) + 1))


@pytest.mark.parametrize(
    ("visual", "logical"),
    [
        ("ﻡﺎﻋ ٢٠٢٤", "٢٠٢٤ عام"),
        ("١٢٣٠ ماع", "عام ١٢٣٠"),
        ("باتك 345 و 2024 ماع", "عام 2024 و 345 كتاب"),
        ("15% ויה 2024 תנשב", "בשנת 2024 היו 15%"),
        ("QX-200 زاهج", "جهاز QX-200"),
        (".(ךרעב) 12:30", "12:30 (בערך)."),
        ("The word בוט means good.", "The word טוב means good."),
        ("See 12 )باتك( on page 3.", "See 12 (كتاب) on page 3."),
        ("2021-2020 يف", "في 2020-2021"),
        ("٢٠٢٤/٥/١ موي", "يوم ٢٠٢٤/٥/١"),
    ],
)
def test_lines_on_paper_are_read_in_logical_order(visual: str, logical: str) -> None:
    assert clean(logical_order(list(visual))) == logical


def test_letters_painted_one_by_one_from_the_right_are_in_order() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("DejaVu", str(font_file("he"))))
    x, letters = 500.0, []
    for char in "הספרייה נפתחת בשעה":
        x -= pdfmetrics.stringWidth(char, "DejaVu", 11)
        letters.append((x, 700.0, char))
    [part] = read_pdf(drawn(letters, fonts=["DejaVu"]))
    assert part.text == "הספרייה נפתחת בשעה"


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("ﻻ إله", "لا إله"),
        ("oﬃce", "office"),
        ("10⁶ and ½", "10⁶ and ½"),
        ("⼤⽣", "大生"),
        ("a\x02b\ue000c\u00ad\u200e", "abc"),
        ("می\u200cشود", "می\u200cشود"),
        ("এেত আেছ", "এতে আছে"),
        ("কেন এতে", "কেন এতে"),
    ],
)
def test_characters_have_one_form(given: str, cleaned: str) -> None:
    assert clean(given) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "/g18/g152 /G065 /g7/g33",
        "(cid:12)(cid:7) (cid:9)",
        "È« ÊÀ ½ç ÎÞ ²ú Õß",
        "\ue001\ue002 a\ue003",
        "ଋҨǥƹ ୡȥဎഁ ಱ̽ೌ ҨဌʾЖ ฏʤҨ̿ " * 8,
    ],
)
def test_what_is_no_language_is_known(text: str) -> None:
    assert illegible(text, 0)


@pytest.mark.parametrize("text", [*TEXTS.values(), "LILYS 40% SLTD ALMND CHOC 0085648100305 T0-C1 " * 3])
def test_text_of_any_language_is_legible(text: str) -> None:
    assert not illegible(f"{text} " * 12, 0)
