"""Markers resolve to sentences of the passages, in every script."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.citations import resolve_citations

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


def test_array_indices_in_code_stay_when_they_are_no_markers() -> None:
    text, citations = resolve_citations("Use the value of row 12.", DOCUMENTS)
    assert (text, citations) == ("Use the value of row 12.", [])
