"""A hyphen at the end of a line: part of the word, or only of the line."""

from __future__ import annotations

import pytest

from qwen_agentkit.ingest.pdf import read_pdf
from qwen_agentkit.ingest.pdf.hyphens import JOINT, join_words
from tests.pdf_files import drawn


def divided(first: str, second: str, elsewhere: str) -> str:
    return join_words([f"It is {first}{JOINT}{second} here.", elsewhere])[0][6:-6]


@pytest.mark.parametrize(
    ("first", "second", "elsewhere", "right"),
    [
        ("well", "known", "A well-known song, known well.", "well-known"),
        ("well", "known", "They are known and do well.", "well-known"),
        ("Long", "term", "In the long run, each term counts.", "Long-term"),
        ("state-of", "the-art", "", "state-of-the-art"),
        ("cross", "border", "The cross‐border trade.", "cross-border"),
        ("inter", "national", "A national park.", "international"),
        ("over", "time", "Over the time, overall.", "overtime"),
        ("über", "nehmen", "Sie nehmen es über Nacht, überall.", "übernehmen"),
        ("in", "come", "They come in.", "income"),
        ("data", "base", "The database has a base of data.", "database"),
        ("e", "mail", "An email. An e-mail. The e-mail.", "e-mail"),
        ("biblio", "thèque", "", "bibliothèque"),
        ("библио", "тека", "Тека и библио.", "библиотека"),
    ],
)
def test_a_hyphen_stays_where_it_belongs_to_the_word(
    first: str, second: str, elsewhere: str, right: str
) -> None:
    if right == "библиотека":
        elsewhere += " Библиотека."
    assert divided(first, second, elsewhere) == right


def test_no_joint_is_left() -> None:
    assert join_words([f"con{JOINT}sti{JOINT}tution", f"a\u0301{JOINT}b", f"{JOINT}"]) == [
        "constitution",
        "a\u0301b",
        "",
    ]


def test_the_whole_document_tells() -> None:
    pages = [
        [
            (50, 700, "The singer of this old song is well-"),
            (50, 686, "known in the harbour and was inter-"),
            (50, 672, "viewed by all papers."),
        ],
        [(50, 700, "A well-known singer gave an interview.")],
    ]
    first = read_pdf(drawn(*pages))[0].text
    assert first == (
        "The singer of this old song is well-known in the harbour and was interviewed by all papers."
    )
