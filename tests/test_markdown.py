"""Markdown: fences, headings of both kinds, comments and tables."""

from __future__ import annotations

import pytest

from qwen_agentkit.ingest import read_document, split
from tests.fakes.embedders import count_words


def read(text: str) -> str:
    [part] = read_document(text.encode(), ".md")
    return part.text


def sections(text: str) -> list[str]:
    return [chunk.section for chunk in split(text, count_words)]


@pytest.mark.parametrize(
    "code",
    [
        "~~~\n```\n# no heading\n```\n# nor this\n~~~",
        "````\n```\n# no heading\n```\n# nor this\n````",
        "```python\n# no heading\n~~~\n# nor this\n```",
        "   ```\n# no heading\n   ```",
        "~~~ ``` not closed by\n```\n# no heading\n~~~~",
    ],
)
def test_what_is_fenced_is_no_heading(code: str) -> None:
    assert set(sections(f"# 时间\n\n{code}\n\nText.\n\n## After\n\nMore.\n")) == {"时间", "时间 > After"}


def test_code_in_a_line_opens_no_block() -> None:
    assert sections("```code``` here\n\n# One\n\nText.\n")[-1] == "One"


def test_underlined_headings_are_sections() -> None:
    text = "المكتبة\n=====\n\nOpen.\n\nHours\n---\n\nAt nine.\n\nOther\n=====\n\nText.\n"
    assert sections(text) == ["المكتبة", "المكتبة > Hours", "Other"]
    [part] = read_document(text.encode(), ".md")
    assert part.metadata == {"title": "المكتبة"}


@pytest.mark.parametrize(
    "text",
    [
        "- item\n---\n\ntext",
        "| a | b |\n---\n\ntext",
        "two\nlines\n---\n\ntext",
        "\n---\n\ntext",
        "> q\n---\n\ntext",
    ],
)
def test_a_rule_below_something_else_makes_no_heading(text: str) -> None:
    assert set(sections(text)) == {""}


def test_comments_are_left_out_and_code_keeps_them() -> None:
    text = (
        "One <!-- note --> two.\n\n<!--\nlong\n\nnote\n-->\n\n```html\n<!-- kept -->\n```\n\nThe "
        "mark `<!-- x -->`.\n"
    )
    assert read(text) == "One  two.\n\n\n\n```html\n<!-- kept -->\n```\n\nThe mark `<!-- x -->`.\n"
    assert read("One <!-- never closed\n\ntwo") == "One <!-- never closed\n\ntwo"


def test_a_table_in_code_stays_as_it_is() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert read(f"```\n{table}```\n") == f"```\n{table}```\n"
    assert read(f"Text\n\n{table}\nEnd\n") == "Text\n\n\na: 1 | b: 2\n\n\nEnd\n"
    assert "Plan: a|b | Price: 5" in read("Plan | Price\n--- | ---\na\\|b | 5\n")


def test_a_title_is_no_comment_in_code() -> None:
    [part] = read_document(b"```sh\n# install\n```\n\n# Guide\n\nText.\n", ".md")
    assert part.metadata == {"title": "Guide"}


def test_a_short_comment_after_a_long_one_is_quick() -> None:
    assert read("<!-- a -->" * 20_000 + "x") == "x"
