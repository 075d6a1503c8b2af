"""Where glyphs stand decides what is read, whatever order a producer paints them in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest

from qwen_agentkit.ingest.pdf.bidi import logical_order
from qwen_agentkit.ingest.pdf.characters import illegible
from qwen_agentkit.ingest.pdf.content import _GlyphDevice
from qwen_agentkit.ingest.pdf.glyphs import Glyph
from qwen_agentkit.ingest.pdf.layout import write_rows
from qwen_agentkit.ingest.pdf.lines import find_rows

SIZE = 10.0


def painted(*pieces: tuple[str, float, float] | tuple[str, float, float, float]) -> list[Glyph]:
    """Glyphs of half a letter size, a piece after the other: its text, left end, height and size."""
    glyphs = []
    for text, x, y, *rest in pieces:
        size = rest[0] if rest else SIZE
        for number, char in enumerate(text):
            left = x + number * size / 2
            glyphs.append(Glyph(char, left, left + size / 2, y, size))
    return glyphs


def lines(*pieces: tuple[str, float, float] | tuple[str, float, float, float]) -> list[str]:
    return [" | ".join(segment.text for segment in row) for row in find_rows(painted(*pieces))]


def test_a_sign_of_another_font_that_is_painted_first_stands_in_its_place() -> None:
    assert lines(("€", 24, 0), ("Rent", 0, 0), ("1,2", 29, 0), ("  ", 57, 0), ("50", 44, 0)) == [
        "Rent €1,250"
    ]


def test_words_that_are_painted_inside_others_stand_in_their_place() -> None:
    assert lines(("one", 0, 0), ("four", 65, 0), ("two", 19, 0), ("three", 37, 0)) == ["one two three four"]


@pytest.mark.parametrize("shift", [3.5, 5.0, 6.0])
@pytest.mark.parametrize("size", [7.0, 9.9])
def test_raised_figures_belong_to_the_line_beside_them(shift: float, size: float) -> None:
    line = lines(("10", 0, 0), ("6", 10, shift, size), (" l and 5", 10 + size / 2, 0))
    assert line == ["10⁶ l and 5"]


def test_two_lines_stay_two() -> None:
    assert lines(("10 l", 0, 0), ("6 m", 20, 9)) == ["6 m", "10 l"]


def test_a_large_first_figure_belongs_to_the_first_of_its_lines() -> None:
    text = lines(
        ("1", 0, 0, 30), ("250 books are here", 17, 13.5), ("and 300 there.", 17, 1.5), ("May.", 0, -11)
    )
    assert text == ["1250 books are here", "and 300 there.", "May."]


@pytest.mark.parametrize(
    ("visual", "logical"),
    [
        ("+966 11 234 5678 :فتاه", "هاتف: +966 11 234 5678"),
        ("5678 :فتاه", "هاتف: 5678"),
        ("عيب QX-200 (v2.5) زارطلا", "الطراز QX-200 (v2.5) بيع"),
        ("رالود (USD) رعس", "سعر (USD) دولار"),
        ("word ١٢ باتك means", "word كتاب ١٢ means"),
        ("[12] و )أ(", "(أ) و [12]"),
        ("رتم ١٢²", "١٢² متر"),
        ("رتم ²12 ةحاسم", "مساحة 12² متر"),
    ],
)
def test_numbers_and_brackets_of_right_to_left_lines(visual: str, logical: str) -> None:
    assert logical_order(list(visual)) == logical


def test_raised_figures_of_a_right_to_left_line_are_no_digits() -> None:
    [line] = lines(("رتم 10", 0, 0), ("6", 30, 3.5, 7), (" ةحاسم", 33.5, 0))
    assert line == "مساحة 10⁶ متر"


LEFT = [
    "The tower of the old light is",
    "42 metres high and was built",
    "in the year 1887 by Anna for",
    "the harbor of the town, and",
    "it is open on Sundays at 9.",
]
RIGHT = [
    "The spending of the last year",
    "was 3,500 euros and rose by 15",
    "percent, says the report that",
    "was read aloud in May by the",
    "clerk of the council there.",
]


@pytest.mark.parametrize("gap", [9.0, 13.0, 30.0])
@pytest.mark.parametrize("lower", [0.0, 0.7, 6.0])
def test_columns_are_read_one_after_the_other_however_near_and_level(gap: float, lower: float) -> None:
    edge = max(map(len, LEFT)) * SIZE / 2
    pieces: list[tuple[str, float, float]] = [(text, 0, -12.0 * at) for at, text in enumerate(LEFT)]
    pieces += [(text, edge + gap, -12.0 * at - lower) for at, text in enumerate(RIGHT)]
    assert " ".join(" ".join(write_rows(find_rows(painted(*pieces)))).split()) == " ".join(LEFT + RIGHT)


def test_a_row_that_is_no_wrapped_cell_stays_a_row() -> None:
    rows = [
        *(("City", 60, 0), ("Name", 220, 0), ("Sum", 380, 0)),
        *(("Anna", 160, -20), ("5", 330, -20)),
        *(("Cairo", 0, -40), ("Boris", 160, -40), ("7", 330, -40)),
    ]
    assert "City | Anna" not in "\n".join(write_rows(find_rows(painted(*rows))))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        # The vowel is painted first, without a text, and its consonant states both.
        ([("", ""), ("ति", "त")], "ति"),
        ([("द्य", ""), ("ति", "त")], "द्यत"),
        ([("", "ெ"), ("க", ""), ("ொ", "ா")], "கொ"),
        ([("வ", ""), ("ொ", "ா")], "வா"),
    ],
)
def test_a_vowel_that_is_not_painted_is_not_read(given: Sequence[tuple[str, str]], read: str) -> None:
    device = _GlyphDevice.__new__(_GlyphDevice)
    device.glyphs = [Glyph(text, 5.0 * at, 5.0 * at + 5, 0, SIZE) for at, (text, _) in enumerate(given)]
    device._named = {
        id(one): own for one, (text, own) in zip(device.glyphs, given, strict=True) if not text and own
    }
    device._own = {
        id(one): own for one, (text, own) in zip(device.glyphs, given, strict=True) if text and own
    }
    device.recover()
    assert unicodedata.normalize("NFC", "".join(glyph.text for glyph in device.glyphs)) == read


def test_letters_that_are_torn_apart_are_no_text() -> None:
    assert "torn apart" in illegible("ص ب ک ئ ب ی ج ھ لت ہ می ک ب ی", 0)
    assert not illegible("قال زيد و عمرو و بكر في المدينة إن الكتاب مفتوح لكل قارئ", 0)
