"""Ten defects, planted one at a time, and what a comparison of two runs says of each: where it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from qwen_agentkit.cli import commands
from qwen_agentkit.evaluation.compare import Comparison, compare_runs
from qwen_agentkit.evaluation.finders import Found, StoreFinder
from qwen_agentkit.evaluation.questions import Question
from qwen_agentkit.evaluation.run import run_questions
from qwen_agentkit.stack import Stack
from qwen_agentkit.text import terms
from qwen_agentkit.vectorstores import search

Plant = Callable[[StoreFinder, pytest.MonkeyPatch], StoreFinder]


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreFinder]:
    """The nano preset over the handbook of the demo, which is in three languages."""
    stack = Stack("nano", tmp_path_factory.mktemp("handbook") / "store")
    commands.ingest(stack, [commands.handbook_folder()])
    with stack.store() as store:
        yield StoreFinder(stack, store)


def questions(each: int) -> list[Question]:
    asked = [one for one in commands.load_demo_questions() if one["kind"] == "same_language"]
    by_language = [[one for one in asked if one["language"] == code][:each] for code in ("en", "ar", "zh")]
    return [
        Question(f"{one['language']}{n}", one["question"], one["language"], (one["expected_source"],),
                 document_language=one["language"])
        for part in by_language for n, one in enumerate(part)
    ]  # fmt: skip


def run(finder: StoreFinder, folder: Path, each: int) -> Path:
    asked = questions(each)
    run_questions(asked, finder, folder, settings={}, total=len(asked))
    return folder


@pytest.fixture(scope="module")
def sound(finder: StoreFinder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(finder, tmp_path_factory.mktemp("sound"), 9)


@dataclass(frozen=True)
class Changed(StoreFinder):
    """A finder that changes what was found."""

    change: Callable[[Question, Found], Found] = lambda question, found: found

    def find(self, asked: Any) -> list[Found]:
        return [self.change(one, found) for one, found in zip(asked, super().find(asked), strict=True)]


def changed(finder: StoreFinder, change: Callable[[Question, Found], Found]) -> StoreFinder:
    return Changed(finder.stack, finder.store, finder.candidates, finder.all_stages, change)


def with_stack(finder: StoreFinder, **parts: Any) -> StoreFinder:
    """The same finder with other models or another calibration."""
    stack = Stack(finder.stack.preset, finder.stack.folder)
    for name, part in parts.items():
        stack.__dict__[name] = part
    return replace(finder, stack=stack)


def no_instruction(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    bare = finder.stack.embeddings.with_instruction("")
    return with_stack(finder, embeddings=bare)


def arabic_stemmer_off(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    find_stems = terms.find_stems
    patch.setattr(terms, "find_stems", lambda word, code: () if code == "ar" else find_stems(word, code))
    terms._word_terms.cache_clear()
    return finder


def fused_order_swapped(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    def swap(question: Question, found: Found) -> Found:
        return replace(found, stages={**found.stages, "fused": found.stages["fused"][::-1]})

    return changed(finder, swap)


def legs_exchanged(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    def exchange(question: Question, found: Found) -> Found:
        both = found.stages
        return replace(found, stages={**both, "dense": both["words"], "words": both["dense"]})

    return changed(finder, exchange)


def words_of_another_language(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    patch.setattr(search, "detect_language", lambda *args, **options: "th")
    return finder


def other_weights(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    patch.setattr(finder.store, "fusion", None)
    return finder


def few_candidates(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    return replace(finder, candidates=2)


def other_threshold(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    own = finder.stack.calibration
    return with_stack(finder, calibration=replace(own, threshold=own.threshold + 0.3))


def chinese_passages_lost(finder: StoreFinder, patch: pytest.MonkeyPatch) -> StoreFinder:
    def lose(question: Question, found: Found) -> Found:
        kept = {
            stage: [one for one in documents if {one.metadata["language"], question.language} != {"zh"}]
            for stage, documents in found.stages.items()
        }
        return replace(found, stages=kept)

    return changed(finder, lose)


DEFECTS: list[tuple[Plant, set[str], set[str]]] = [
    # What is planted, the settings that have to be named, and where it has to begin.
    (no_instruction, {"query_prompt"}, set()),  # nano-embedding hardly reads it: the setting alone tells
    (arabic_stemmer_off, set(), {"ar→ar: begins at words"}),
    (fused_order_swapped, set(), {"all: begins at fused"}),
    (legs_exchanged, set(), {"all: begins at dense", "all: begins at words"}),
    (words_of_another_language, set(), {"all: begins at words"}),
    (other_weights, {"fusion"}, {"all: begins at fused"}),
    (few_candidates, {"candidates"}, {"all: begins at fused"}),
    (other_threshold, {"threshold"}, set()),
    (chinese_passages_lost, set(), {"zh→zh: begins at dense", "zh→zh: begins at words"}),
]


def places(found: Comparison) -> set[str]:
    return {line.split(",")[0] for line in found.first}


@pytest.mark.parametrize(
    ("plant", "settings", "begins"), DEFECTS, ids=lambda one: getattr(one, "__name__", "")
)
def test_a_planted_defect_is_named(
    plant: Plant, settings: set[str], begins: set[str], finder: StoreFinder, sound: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    try:
        found = compare_runs(sound, run(plant(finder, monkeypatch), tmp_path, 9))
    finally:
        terms._word_terms.cache_clear()
    assert set(found.settings) == settings
    assert begins <= places(found)
    pairs = {place.split(":")[0] for place in begins} - {"all"}
    if pairs:
        # A defect of one language is not laid at the door of another.
        assert {place.split(":")[0] for place in places(found)} == {"all", *pairs}
    elif not begins:
        assert not any(one.real for one in found.differences)


def test_a_wrong_prompt_of_the_reranker_is_named(finder: StoreFinder, tmp_path: Path) -> None:
    every = replace(finder, all_stages=True, candidates=5)
    wrong = finder.stack.reranking_model.model_copy(update={"instruction": "Is it a poem?"})
    before = run(every, tmp_path / "sound", 2)
    found = compare_runs(before, run(with_stack(every, reranking_model=wrong), tmp_path / "wrong", 2))
    assert set(found.settings) == {"reranker_instruction"}
    assert all(line.partition("begins at ")[2].startswith("reranked") for line in found.first)


def test_a_sound_run_differs_from_itself_in_nothing(finder: StoreFinder, sound: Path, tmp_path: Path) -> None:
    found = compare_runs(sound, run(finder, tmp_path, 9))
    assert (found.settings, found.first, found.only, found.left_out) == ({}, [], [], 0)
    assert not any(one.real for one in found.differences)
