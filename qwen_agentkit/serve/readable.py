"""Citations for readers of plain text and for OpenAI's clients. Knows answers as JSON and words, no route."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from qwen_agentkit.text.citations import without_markers

__all__ = ["LANGUAGES", "annotate", "list_sources", "read_words", "write_correction"]

LANGUAGES = ("en", "ar", "zh")
"""Languages of the page and of the notes in answers."""

_UNSUPPORTED = ("unsupported", "uncited")


@cache
def read_words(language: str) -> dict[str, str]:
    """The words of the page in a language; English for a language that it does not speak."""
    code = language.split("-")[0]
    name = f"{code if code in LANGUAGES else 'en'}.json"
    text = (files("qwen_agentkit.serve") / "page" / "words" / name).read_text(encoding="utf-8")
    words: dict[str, str] = json.loads(text)
    return words


def list_sources(answer: Mapping[str, Any]) -> str:
    """The cited passages as a list under an answer; "" if there are none."""
    lines = []
    for number in sorted({one["marker"] for sentence in answer["sentences"] for one in sentence["sources"]}):
        passage = answer["passages"][number - 1]
        place = f", {passage['page']}" if passage["page"] is not None else ""
        lines.append(f"[{number}] {_one_line(passage['source'])}{place}")
    return "".join(["\n", *(f"\n{line}" for line in lines)]) if lines else ""


def annotate(answer: Mapping[str, Any], address: str) -> list[dict[str, Any]]:
    """The citations as annotations of OpenAI's API, with links that open the passage in the page."""
    notes = []
    for sentence in answer["sentences"]:
        for source in sentence["sources"]:
            passage = answer["passages"][source["marker"] - 1]
            citation = {
                "start_index": sentence["start"],
                "end_index": sentence["end"],
                "title": passage["title"] or passage["source"],
                "url": f"{address}#passage={passage['id']}",
            }
            more = {"marker": source["marker"], "source": passage["source"], "page": passage["page"]}
            notes.append(
                {
                    "type": "url_citation",
                    "url_citation": {
                        **citation,
                        **more,
                        "quote": source["quote"],
                        "verdict": sentence["verdict"],
                    },
                }
            )
    return notes


def write_correction(answer: Mapping[str, Any], draft: str) -> str:
    """What has to be said after a draft that was streamed before it was checked; "" if nothing."""
    words = read_words(answer["language"])
    text = answer["answer"]
    if _bare(draft) != _bare(text):
        return f"\n\n{words['api.corrected']}\n\n{text}"
    found = [text[one["start"] : one["end"]] for one in answer["sentences"] if one["verdict"] in _UNSUPPORTED]
    listed = "".join(f"\n- {_one_line(sentence)}" for sentence in found)
    return f"\n\n{words['api.unsupported']}{listed}" if found else ""


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", without_markers(text).replace("[?]", ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())
