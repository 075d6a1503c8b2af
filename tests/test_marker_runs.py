"""Small models repeat markers without end: citing them takes time in proportion to the answer."""

from __future__ import annotations

import time

from langchain_core.documents import Document

from qwen_agentkit.text.citations import resolve_citations

PASSAGE = [Document(page_content="It opens at nine. It closes at six.", metadata={"source": "hours.md"})]


def seconds(markers: int) -> float:
    runs = []
    for _ in range(3):
        started = time.process_time()
        resolve_citations("It opens at nine." + "[1]" * markers, PASSAGE)
        runs.append(time.process_time() - started)
    return min(runs)


def test_adjacent_markers_share_one_claim_and_one_citation() -> None:
    text, citations = resolve_citations("It opens at nine[1][1] [1]. It closes at six[1].", PASSAGE)
    assert text == "It opens at nine [1] [1] [1]. It closes at six [1]."
    assert [citation["quote"] for citation in citations] == ["It opens at nine.", "It closes at six."]


def test_a_run_of_markers_is_linear() -> None:
    assert seconds(8_000) < 24 * max(seconds(1_000), 0.005)
