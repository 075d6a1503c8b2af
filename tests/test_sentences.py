"""Sentences in every script, with offsets that are exact on any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_agentkit.text.sentences import split_sentences
from tests.clock import processor_seconds

CASES = {
    "english": ["He left!", '"Really?" she asked.', "It works…", "Then it ends."],
    "abbreviations": [
        "Dr. Smith paid $3.50 on Jan. 5.",
        "J. R. Tolkien wrote it, e.g. in 1937.",
        "See No. 5 vs. 6.",
    ],
    "addresses": ["Open http://a.example/b.c?d=1 first.", "Version 2.0.1 is out."],
    "german": ["Am 3. Oktober war es so, z. B. hier.", "Das kostet 20 Euro."],
    "arabic": [
        "هل هذا صحيح؟",
        "نعم، في الساعة 9.30 صباحا.",
        "د. أحمد هنا.",
        "يتسع لأحد عشر راكبًا.",
        "يغادر صباحًا.",
    ],
    "urdu": ["یہ کتاب ہے۔", "وہ قلم ہے۔"],
    "hindi": ["यह एक किताब है।", "वह कलम है॥"],
    "greek": ["Τι είναι αυτό;", "Ένα βιβλίο."],
    "russian": ["Он родился в г. Москве.", "Это было в 1990 г. и т. д."],
    "armenian": ["Սա գիրք է։", "Դա գրիչ է։"],
    "khmer": ["ឡានក្រុងចេញម៉ោងប្រាំ។", "សំបុត្រថ្លៃប្រាំដុល្លារ។"],
    "mongolian": ["ᠪᠢ ᠰᠤᠷᠤᠭᠴᠢ᠃", "ᠲᠡᠷᠡ ᠪᠠᠭᠰᠢ᠃"],
    "ol chiki": ["ᱚᱞ ᱪᱤᱠᱤ᱾", "ᱟᱨ ᱢᱤᱫ᱾"],
    "syriac": ["ܐܢܐ ܐܙܠ܂", "ܐܢܬ ܐܬܐ܂"],
    "thai era": ["เปิดเมื่อ พ.ศ. 2566 ที่นี่"],
}
UNSPACED = {
    "chinese": ["这是第一句。", "这是第二句！", "“真的吗？”", "他问道。"],
    "japanese": ["これは本です。", "それは何ですか？", "「はい。」"],
    "quotation": [
        "案内には「図書館は九時に開きます。」とあります。",
        "手册写道：“九点开门。”因此要早到。",
        "然后。",
    ],
    "decimal": ["料金は３．５ユーロです．", "次です．"],
    "burmese": ["ဒါက စာအုပ်။", "ဟိုဟာက ခဲတံ။"],
    "amharic": ["ይህ መጽሐፍ ነው።", "ያ ብዕር ነው።"],
}


@pytest.mark.parametrize("name", CASES)
def test_spaced_scripts(name: str) -> None:
    assert [s.text for s in split_sentences(" ".join(CASES[name]))] == CASES[name]


@pytest.mark.parametrize("name", UNSPACED)
def test_unspaced_scripts(name: str) -> None:
    assert [s.text for s in split_sentences("".join(UNSPACED[name]))] == UNSPACED[name]


@pytest.mark.parametrize(
    "sentence",
    [
        "Die Hauptstr. 5 ist zu.",
        "Siehe § 5 Abs. 2 Satz 1.",
        "Kl. 9 öppnar vi.",
        "Тел. 5-55-55.",
        "St. Mary is open.",
    ],
)
def test_an_abbreviation_ends_no_sentence(sentence: str) -> None:
    assert [s.text for s in split_sentences(f"{sentence} Ok.")] == [sentence, "Ok."]


def test_every_mark_that_unicode_calls_an_end_is_one() -> None:
    marks = regex.findall(r"\p{Sentence_Terminal}", "".join(map(chr, range(0x20000))))
    assert len(marks) > 150
    for mark in marks:
        text = f"One two{mark} Three four{mark}"
        assert len(split_sentences(text)) == 2, hex(ord(mark))


def test_headings_items_and_rows_are_borders_and_lose_their_marks() -> None:
    text = "# Opening hours\nDaily\n- from nine\n- to five\n1. Knock\n2) Enter\n\n"
    text += "| a | b |\n|---|---|\n| 1 | 2 |"
    found = [s.text for s in split_sentences(text)]
    assert found == [
        "Opening hours",
        "Daily",
        "from nine",
        "to five",
        "Knock",
        "Enter",
        "| a | b |",
        "| 1 | 2 |",
    ]


def test_a_wrapped_line_goes_on() -> None:
    text = "This line was wrapped by an editor at some sixty characters\nand goes on here. Next."
    assert [s.text for s in split_sentences(text)] == [text[:-6], "Next."]


def test_long_thai_is_cut_at_spaces_and_short_thai_is_not() -> None:
    clause = "ห้องสมุดเปิดทุกวันตั้งแต่เวลาเก้าโมงเช้าถึงห้าโมงเย็น"
    assert len(split_sentences(f"{clause} {clause}")) == 1
    found = split_sentences(" ".join([clause] * 6))
    assert len(found) == 3
    assert all(s.text.startswith("ห้องสมุด") for s in found)


@settings(deadline=None)
@given(
    st.text(alphabet=st.sampled_from('aB1 .!?\n\r#-|…。؟۔।»")\u2028ก٣漢'), max_size=60) | st.text(max_size=60)
)
def test_offsets_are_exact_and_no_letter_is_lost(text: str) -> None:
    found = split_sentences(text)
    assert all(text[s.start : s.end] == s.text == s.text.strip() for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    kept = {place for s in found for place in range(s.start, s.end)}
    assert all(place in kept for place, char in enumerate(text) if char.isalpha())


def test_a_long_text_of_abbreviations_takes_no_time() -> None:
    with processor_seconds(8):
        assert len(split_sentences("a. " * 100_000)) == 1
