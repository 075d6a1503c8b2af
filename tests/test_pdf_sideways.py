"""Figures on their side in vertical text, and letters that are torn apart, in PDF."""

from __future__ import annotations

import pytest

from qwen_agentkit.ingest.pdf.characters import count_torn
from qwen_agentkit.ingest.pdf.glyphs import Glyph
from qwen_agentkit.ingest.pdf.lines import find_rows
from qwen_agentkit.ingest.pdf.vertical import turn_vertical

_SIZE = 10.0


def _upright(text: str, down: float, column: float = 100.0) -> Glyph:
    return Glyph(text, column, column + _SIZE, 500 - down, _SIZE)


def _sideways(text: str, down: float, column: float = 100.0) -> Glyph:
    start = -(500 + 0.88 * _SIZE - down)
    return Glyph(text, start, start + 0.5 * _SIZE, column + 1.2, _SIZE, 270)


def _read(glyphs: list[Glyph]) -> str:
    [[segment]] = find_rows(turn_vertical(glyphs))
    return segment.text


def test_figures_on_their_side_stand_in_their_line() -> None:
    glyphs = [_upright(char, 10.0 * at) for at, char in enumerate("料金は")]
    glyphs += [_sideways(char, 30.0 + 5.0 * at) for at, char in enumerate("1250")]
    glyphs += [_upright(char, 50.0 + 10.0 * at) for at, char in enumerate("円です")]
    assert _read(glyphs) == "料金は1250円です"


def test_two_figures_in_one_square_are_one_number() -> None:
    glyphs = [_upright(char, 10.0 * at) for at, char in enumerate("開館は")]
    pair = [Glyph("1", 100.0, 105.0, 470.0, _SIZE), Glyph("1", 105.0, 110.0, 470.0, _SIZE)]
    glyphs += [*pair, *(_upright(char, 40.0 + 10.0 * at) for at, char in enumerate("月です"))]
    assert _read(glyphs) == "開館は11月です"


def test_text_that_runs_to_the_right_stays() -> None:
    glyphs = [Glyph(char, 10.0 * at, 10.0 * at + 10, 500.0, _SIZE) for at, char in enumerate("料金は円")]
    assert turn_vertical(glyphs) is glyphs


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("صب ب ک لائبریری ح جے ھلتی ہے اور اس میں کتابیں ہیں", 3),
        ("كتب الطالب أ ب ت ث في الدفتر", 3),
        ("عقد سنة 2024 م و 1446 هـ بين الطرفين", 0),
        ("ب) ثمن التذكرة (ج) وقت العمل س: متى ص: 5", 0),
        ("خانه و مدرسه و کتاب و قلم", 0),
    ],
)
def test_letters_that_stand_alone_are_counted(text: str, torn: int) -> None:
    assert count_torn(text) == torn
