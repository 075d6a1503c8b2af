"""Markdown: front matter is what YAML reads as a mapping; a rule at the head of a text loses nothing."""

from __future__ import annotations

import pytest

from qwen_agentkit.ingest import Part, read_document


def read(text: str) -> Part:
    [part] = read_document(text.encode(), ".md")
    return part


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nIntro text.\n\n---\n\nRest.\n",
        "---\nIntro text.\n---\n\nRest.\n",
        "---\n\ntitle: Not front matter\n\n---\nRest.\n",
        "---\n# Heading\n\nIntro: text.\nMore text.\n---\nRest.\n",
        "---\n- a list\n- of things\n---\nRest.\n",
        "---\nتفتح المكتبة في التاسعة.\n---\nتغلق في السادسة.\n",
        "---\nkey: [1, 2\n---\nRest.\n",
        "---\nkey: a: b\n---\nRest.\n",
        "---\ntitle: never closed\n\nText.\n",
        "----\ntitle: x\n----\nText.\n",
    ],
)
def test_what_is_no_front_matter_is_kept_whole(text: str) -> None:
    assert read(text).text == text


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("title: The FAQ", "The FAQ"),
        ("id: 7\ntitle: 'When: and where?'", "When: and where?"),
        ("title: >-\n  Opening\n  hours", "Opening hours"),
        ("title: |\n  开放时间", "开放时间"),
        ("title: # none\nlayout: page", "Heading"),
        ("title: [a, b]", "Heading"),
        ("draft: true\nweight: 3", "Heading"),
    ],
)
def test_front_matter_gives_the_title_and_is_left_out(head: str, title: str) -> None:
    assert read(f"---\n{head}\n---\n# Heading\n\nText.\n") == Part("# Heading\n\nText.\n", {"title": title})


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        ("---\ntags: [lease, عقد]\nlayout: page\n---", "tags: lease, عقد"),
        (
            "---\nauthor: Ines Blum\ndate: 2024-01-05\nkeywords:\n  - 租约\n---",
            "author: Ines Blum\ndate: 2024-01-05\nkeywords: 租约",
        ),
        ("+++\ntitle = 'Rent'\nauthors = ['A', 'B']\n+++", "authors: A, B"),
    ],
)
def test_what_front_matter_says_of_the_text_can_be_searched(head: str, kept: str) -> None:
    assert read(f"{head}\n# Heading\n").text == f"{kept}\n\n# Heading\n"


def test_a_heading_in_what_is_kept_is_the_title() -> None:
    assert read("---\n\n# First\n\n---\n\n# Second\n").metadata == {"title": "First"}


@pytest.mark.parametrize(
    "head", ["a: " + "[" * 5000, "a: &x [*x]", "? [a]\n: b", "a: 9999-99-99", "a: b" * 9000]
)
def test_front_matter_that_yaml_cannot_read_is_text(head: str) -> None:
    assert "Text." in read(f"---\n{head}\n---\nText.\n").text


@pytest.mark.parametrize(
    "text", ["Please note: bring a key", "Note: the ferry does not sail on Sundays.", "注意: 周日 不开船。"]
)
def test_a_remark_between_two_rules_is_not_lost(text: str) -> None:
    assert text in read(f"---\n{text}\n---\nRest.\n").text


def test_a_date_or_a_number_may_be_the_title() -> None:
    assert read("---\ntitle: 2024\n---\nText.\n").metadata == {"title": "2024"}
