"""Markers resolve to sentences of the passages, in every script."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.graphs.shared.passages import format_passages
from qwen_agentkit.text.citations import find_markers, marker_numbers, resolve_citations, without_markers

DOCUMENTS = [
    Document("The library opens at nine. It closes at five on Fridays.", metadata={"source": "en/hours.md"}),
    Document("يغادر القارب في السابعة والنصف. التذكرة بعشر كرونات.", metadata={"source": "ar/boat.md"}),
    Document("窑炉最高温度为1230度。每次使用收费十四克朗。", metadata={"source": "zh/kiln.md"}),
]


@pytest.mark.parametrize(
    ("answer", "clean", "expected"),
    [
        (
            "The library closes at five on Fridays [1].",
            "The library closes at five on Fridays [1].",
            [(1, "en/hours.md", "It closes at five on Fridays.")],
        ),
        (
            "يغادر القارب في السابعة والنصف [2].",
            "يغادر القارب في السابعة والنصف [2].",
            [(2, "ar/boat.md", "يغادر القارب في السابعة والنصف.")],
        ),
        ("最高温度为1230度【3】。", "最高温度为1230度 [3]。", [(3, "zh/kiln.md", "窑炉最高温度为1230度。")]),
        (
            "It opens at nine [1, 2].",
            "It opens at nine [1] [2].",
            [(1, "en/hours.md", "The library opens at nine."), (2, "ar/boat.md", None)],
        ),
        ("The sun is hot [4] [0].", "The sun is hot.", []),
        ("No marker at all.", "No marker at all.", []),
        (
            "Opens at nine [1]. It opens at nine [1].",
            None,
            [(1, "en/hours.md", "The library opens at nine.")],
        ),
        ("", "", []),
        ("[1]", "[1]", [(1, "en/hours.md", None)]),
    ],
)
def test_markers_resolve(answer: str, clean: str | None, expected: list) -> None:
    text, citations = resolve_citations(answer, DOCUMENTS)
    assert clean is None or text == clean
    assert [(c["marker"], c["source"]) for c in citations] == [(m, s) for m, s, _ in expected]
    for citation, (marker, _, quote) in zip(citations, expected, strict=True):
        assert quote is None or citation["quote"] == quote
        assert citation["quote"] in DOCUMENTS[marker - 1].page_content


@pytest.mark.parametrize(
    ("marker", "numbers"),
    [
        ("[1-3]", [1, 2, 3]),
        ("[1–3, 5]", [1, 2, 3, 5]),
        ("[1; 2]", [1, 2]),
        ("[ 1 ]", [1]),
        ("[^1]", [1]),
        ("〔1〕", [1]),
        ("[\u200f1\u200f]", [1]),
        ("[١،٢]", [1, 2]),
        ("[1-999]", [1, 999]),
    ],
)
def test_markers_as_models_write_them(marker: str, numbers: list[int]) -> None:
    (match,) = find_markers(f"It opens at nine {marker}.")
    assert marker_numbers(match) == numbers
    text, citations = resolve_citations(f"It opens at nine {marker}.", DOCUMENTS)
    known = [number for number in numbers if number <= len(DOCUMENTS)]
    assert text == "It opens at nine" + "".join(f" [{number}]" for number in known) + "."
    assert [citation["marker"] for citation in citations] == known


@pytest.mark.parametrize(
    "code",
    ["Use `x[0]`", "Use ``a`b[2]``", "```python\nrows[2] = x[0]\n```\nSo", "~~~\nx[1]\n~~~\nSo", "```\nx[1]"],
)
def test_code_cites_nothing(code: str) -> None:
    assert list(find_markers(code)) == []
    text, citations = resolve_citations(f"The library opens at nine [1].\n{code}", DOCUMENTS)
    assert text == f"The library opens at nine [1].\n{code}"
    assert [citation["marker"] for citation in citations] == [1]


def test_markers_are_taken_out_or_blanked() -> None:
    text = "Nine [1].\n[2] Use `x[0]`."
    assert without_markers(text) == "Nine. Use `x[0]`."
    blank = without_markers(text, blank=True)
    assert blank == "Nine    .\n    Use `x[0]`."
    assert len(blank) == len(text)


def test_footnotes_of_a_passage_are_not_read_as_markers() -> None:
    """A model that copies "Born in 1950.[2]" would cite passage 2."""
    page = Document("Born in 1950.[2] Died in 2000 [3]. Call `x[0]`.", metadata={"source": "life.md"})
    assert format_passages([page]) == "[1] life.md\nBorn in 1950. Died in 2000. Call `x[0]`."
    assert page.page_content.startswith("Born in 1950.[2]")


def test_array_indices_in_code_stay_when_they_are_no_markers() -> None:
    text, citations = resolve_citations("Use the value of row 12.", DOCUMENTS)
    assert (text, citations) == ("Use the value of row 12.", [])
