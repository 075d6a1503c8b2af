"""What is relevant, and in which order: fusion by measured weights, thresholds, and fitting them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qwen_agentkit.calibration import SearchOrder, catalog_calibration, load_calibration, save_calibration
from qwen_agentkit.catalog import FUSIONS, THRESHOLDS, Fusion
from qwen_agentkit.cli import commands, evaluating
from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.calibrate import FEWEST
from qwen_agentkit.evaluation.questions import Question, write_questions
from qwen_agentkit.evaluation.run import read_run
from qwen_agentkit.graphs.shared.retrieval import relevance_threshold
from qwen_agentkit.rerankers import QwenReranker
from qwen_agentkit.stack import Stack
from qwen_agentkit.text.sparse import query_mass, sparse_query
from qwen_agentkit.vectorstores.points import Hit
from qwen_agentkit.vectorstores.search import Legs
from qwen_agentkit.vectorstores.store import QwenVectorStore
from tests.fakes.command_line import Run, run
from tests.fakes.embedders import BagOfWords

__all__ = ["run"]

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
THINGS = ["boat", "kiln", "lamp", "oven", "tower", "bridge", "garden", "museum", "harbour", "school"]


def hit(id: str, score: float, vector: list[float], language: str | None = None) -> Hit:
    return Hit(id, {"metadata": {"language": language} if language else {}}, score, vector)


def test_words_and_vectors_add_up_by_language() -> None:
    own, foreign = hit("own", 0.6, [], "en"), hit("foreign", 1.0, [], "ar")
    legs = Legs([1.0, 0.0], "en", 10.0, [foreign, own], [hit("own", 5.0, [0.6, 0.8], "en")])
    fused = legs.fuse(Fusion(same=0.5, other=0.4, threshold=0.2))
    assert [(one.id, round(one.score, 6)) for one in fused] == [("own", 0.8), ("foreign", 0.4)]
    fused = legs.fuse(Fusion(same=0.1, other=1.0, threshold=0.2, floor=0.2))
    assert [(one.id, round(one.score, 6)) for one in fused] == [("foreign", 0.8), ("own", 0.54)]
    by_rank = legs.fuse(None)
    assert [one.id for one in by_rank] == ["own", "foreign"]
    assert by_rank[0].score == pytest.approx(1 / 62 + 1 / 61)


def test_a_hit_by_words_alone_has_the_cosine_of_its_vector() -> None:
    words = [hit("near", 5.0, [0.6, 0.8]), hit("none", 5.0, []), hit("zero", 5.0, [0.0, 0.0])]
    fused = Legs([1.0, 0.0], "en", 10.0, [], words).fuse(Fusion(same=0.5, other=0.4, threshold=0.2))
    assert {one.id: round(one.score, 6) for one in fused} == {"near": 0.8, "none": 0.5, "zero": 0.5}
    same = Legs([1.0, 0.0], "en", 10.0, [], words[::2]).fuse(Fusion(same=0.5, other=0.4, threshold=0.2))
    assert {one.id: round(one.score, 6) for one in same} == {"near": 0.8, "zero": 0.5}


def test_a_passage_of_no_language_counts_as_the_questions() -> None:
    legs = Legs([1.0, 0.0], "zh-hant", 1.0, [hit("a", 1.0, []), hit("b", 1.0, [], "zh")], [])
    assert {one.score for one in legs.fuse(Fusion(0.3, 0.9, 0.2))} == {0.3}


def test_a_store_fuses_with_the_weights_it_is_given(tmp_path: Path) -> None:
    texts = ["The boat leaves at seven.", "The kiln cools at five.", "Nothing else is said."]
    with QwenVectorStore(BagOfWords(), path=tmp_path / "store", fusion=Fusion(0.1, 0.4, 0.2)) as store:
        store.add_texts(texts)
        found = store.similarity_search_with_score("When does the boat leave?", k=3)
        legs = store.search_legs("When does the boat leave?")
    assert found[0][0].page_content == texts[0]
    assert 0.3 < found[0][1] <= 1
    assert found[-1][1] < 0.3
    assert 0 < max(legs.shares().values()) <= 1
    assert QwenVectorStore(BagOfWords(), path=":memory:").fusion is None
    assert (
        QwenVectorStore(BagOfWords(model="nano-embedding"), path=":memory:").fusion
        is FUSIONS["nano-embedding"]
    )


@pytest.mark.parametrize(
    ("query", "language", "word"),
    [
        ("How much is the rent?", "en", "rent"),
        ("¿Cuánto cuesta el alquiler?", "es", "alquiler"),
        ("كم الراتب؟", "ar", "الراتب"),
        ("किराया कितना है", "hi", "किराया"),
        ("Сколько стоит билет", "ru", "билет"),
        ("灯塔，多少钱？", "zh", "灯塔"),
        ("ประภาคารอยู่ที่ไหน", "th", "ประภาคาร"),
    ],
)
def test_words_that_say_little_weigh_little(query: str, language: str, word: str) -> None:
    whole, said = dict(zip(*sparse_query(query, language), strict=True)), sparse_query(word, language)[0]
    kept = sum(whole.get(index, 0) for index in said)
    assert kept > 0.4 * sum(whole.values())
    assert query_mass("how", "en") == pytest.approx(0.2)
    assert query_mass("rent", "en") == 2
    assert query_mass("灯塔", "zh") == 1
    assert query_mass("ประภาคาร", "th") == pytest.approx(0.4 * 7)


def test_thresholds_come_from_the_setting_the_reranker_or_the_catalog() -> None:
    nano = QwenReranker(model="nano")
    assert relevance_threshold(nano, 0.7) == 0.7
    assert relevance_threshold(nano, None) == THRESHOLDS["nano-reranker"].score
    assert relevance_threshold(nano.model_copy(update={"threshold": 0.45}), None) == 0.45
    assert relevance_threshold(SearchOrder(reranker=nano, threshold=0.12), None) == 0.12
    assert relevance_threshold(QwenReranker(), None) == 0.3
    assert relevance_threshold(None, None) == 0.3


def test_a_calibration_is_kept_beside_its_store(tmp_path: Path) -> None:
    catalog = load_calibration(tmp_path, "nano-embedding", "nano-reranker")
    assert catalog == catalog_calibration("nano-embedding", "nano-reranker")
    assert 0 < catalog.share < 1
    assert "by the search's score and 0.2 of nano-reranker's" in catalog.describe()
    true = catalog_calibration("Qwen/Qwen3-Embedding-0.6B", "Qwen/Qwen3-Reranker-0.6B")
    assert (true.fusion, true.share, true.threshold) == (None, 1, 0.3)
    assert "not measured" in true.describe()
    file = save_calibration(tmp_path, catalog)
    assert load_calibration(tmp_path, "nano-embedding", "nano-reranker") == catalog
    with pytest.warns(UserWarning, match="does not count for other"):
        assert load_calibration(tmp_path, "other", "nano-reranker").fusion is None
    for broken in (
        "{",
        "{}",
        json.dumps({**json.loads(file.read_text()), "threshold": 7}),
        json.dumps({**json.loads(file.read_text()), "share": 2}),
    ):
        file.write_text(broken)
        with pytest.raises(InputError, match=r"calibration\.json.*Run it again, or delete"):
            load_calibration(tmp_path, "nano-embedding", "nano-reranker")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a hundred little files, and questions about forty of them."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "docs").mkdir()
    questions = []
    for row, thing in enumerate(THINGS):
        for column, number in enumerate(NUMBERS):
            name, hour = f"{thing}-{number}.md", f"{column + 8}:{row}5"
            text = f"The {thing} of street {number} opens at {hour} for everyone who comes."
            (folder / "docs" / name).write_text(text, encoding="utf-8")
            if column % 5 < 2:
                asked = f"When does the {thing} of street {number} open?"
                questions.append(Question(name, asked, "en", (name,), answers=(hour,)))
    questions.append(Question("none", "Who won the football cup in Mongolia?", "en", unanswerable=True))
    write_questions(folder / "questions.jsonl", questions)
    commands.ingest(Stack("nano", folder / "store"), [folder / "docs"])
    return folder


def test_calibrate_fits_a_store_and_the_commands_use_it(run: Run, town: Path) -> None:
    arguments = (town / "questions.jsonl", "--preset", "nano", "--store", town / "store")
    found = run("calibrate", *arguments, "--json").json
    assert found["questions"] == 40
    assert found["calibration"]["embedder"] == "nano-embedding"
    assert found["calibration"]["date"]
    kept = load_calibration(town / "store", "nano-embedding", "nano-reranker")
    assert kept.threshold == found["calibration"]["threshold"]
    assert str(kept.date) in run("doctor", "--store", town / "store", "--json").json["search"]
    asked = "Who won the football cup in Mongolia?"
    told = run("ask", asked, "--preset", "nano", "--store", town / "store")
    assert "nearest: " in told.out
    assert f"A passage needs a score of {kept.threshold:.2f} to answer." in told.out
    assert "Nothing is relevant." in run("search", asked, "--preset", "nano", "--store", town / "store").out
    forced = run(
        "ask", asked, "--preset", "nano", "--store", town / "store", "--min-score", "0", "--json"
    ).json
    assert not forced["abstained"]
    assert forced["threshold"] == 0


def test_eval_measures_a_store(run: Run, town: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    arguments = [town / "questions.jsonl", "--store", town / "store", "--out"]
    found = run("eval", *arguments, tmp_path / "one", "--html", page, "--json").json
    ranks = found["ranks"]["en→en"]
    assert set(ranks) >= {"dense", "words", "fused"}
    assert ranks["fused"]["R@10"]["value"] > 0.9
    assert ranks["fused"]["R@10"]["size"] == 40
    assert {"precision", "recall", "f1", "coverage"} == set(found["abstention"]["en"])
    assert "en→en" in page.read_text(encoding="utf-8")
    shown = run("eval", "run", *arguments, tmp_path / "two", "--limit", "6", "--answers")
    assert "MRR@10" in shown.out
    rows, _ = read_run(tmp_path / "two")
    for row in rows:
        assert row["answer"]["language_right"] == 1
        if row["answer"]["answered"] and row["gold"]:
            assert 0 <= row["answer"]["citation_precision"] <= 1
    compared = run("eval", "--compare", tmp_path / "one", tmp_path / "two")
    assert "setting answers: False -> True" in compared.out
    assert "No measure differs beyond its interval." in compared.out


def test_what_eval_cannot_do_is_said(run: Run, town: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    write_questions(
        few, [Question("1", "When?", "en", ("boat-one.md",)), Question("2", "Who?", "en", ("no.md",))]
    )
    ran = run("eval", few, "--store", town / "store", "--out", tmp_path / "run")
    assert ran.code == 2
    assert "The store holds no passage 'no.md', which question '2' names" in ran.err
    write_questions(few, [Question("1", "When?", "en", ("boat-one.md",))])
    ran = run("calibrate", few, "--store", town / "store")
    assert ran.code == 2
    assert "There are 1 answerable questions" in ran.err
    assert f"expected {FEWEST} or more" in ran.err
    assert "Expected either questions to run or two folders" in run("eval", "run").err


def test_eval_make_proposes_for_a_person(run: Run, town: Path, tmp_path: Path) -> None:
    file = tmp_path / "proposed.jsonl"
    ran = run("eval", "make", file, "--store", town / "store", "--limit", "7")
    assert "7 questions proposed" in ran.out
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert all(
        row["proposed"] and not any(answer in row["question"] for answer in row["answers"]) for row in rows
    )
    assert "exists; expected a new file" in run("eval", "make", file, "--store", town / "store").err


def test_a_parallel_set_is_measured_for_crowding(tmp_path: Path) -> None:
    def article(language: str, texts: list[str]) -> dict[str, Any]:
        paragraphs = []
        for n, text in enumerate(texts):
            answers = [{"text": text[:3], "answer_start": 0}]
            qas = [{"id": f"q{n}", "question": f"{text}?", "answers": answers}]
            paragraphs.append({"context": text, "qas": qas})
        return {"data": [{"paragraphs": paragraphs}]}

    folder = tmp_path / "set"
    folder.mkdir()
    for language, texts in (
        ("en", ["Milvus 2.4 opens", "Zorva 40 cools"]),
        ("de", ["Milvus 2.4 geht", "Zorva 40 kühlt"]),
    ):
        (folder / f"x.{language}.json").write_text(json.dumps(article(language, texts)), encoding="utf-8")
    benchmark = evaluating.read_questions_of(folder)
    found = evaluating.crowding(Stack("nano", tmp_path / "s"), benchmark, tmp_path / "out", limit=None)
    assert set(found) == {"de", "en"}
    assert found["en"]["words"].value == 1
    assert np.isfinite(found["de"]["fused"].value)
    with pytest.raises(InputError, match="is not parallel"):
        evaluating.crowding(
            Stack("nano", tmp_path / "s"),
            evaluating.read_questions_of(folder / "x.en.json"),
            tmp_path / "out2",
            limit=None,
        )
