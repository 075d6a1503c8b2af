"""Evaluation: questions and public formats, measures with intervals, runs that go on, and comparison."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from qwen_agentkit.errors import InputError
from qwen_agentkit.evaluation.bootstrap import estimate_difference, estimate_mean
from qwen_agentkit.evaluation.compare import compare_runs
from qwen_agentkit.evaluation.finders import Found, RetrieverFinder
from qwen_agentkit.evaluation.formats import read_benchmark
from qwen_agentkit.evaluation.gold import ask_across
from qwen_agentkit.evaluation.make import propose_questions
from qwen_agentkit.evaluation.measures import coverage_at_error, measure_abstention, measure_ranks
from qwen_agentkit.evaluation.questions import Question, read_questions, write_questions
from qwen_agentkit.evaluation.report import render_html, to_json
from qwen_agentkit.evaluation.run import matching_gold, read_run, run_questions
from qwen_agentkit.evaluation.summary import summarize

TEXTS = {
    "en#1": "The library opens at nine.",
    "en#2": "The boat leaves at half past seven.",
    "ar#1": "تفتح المكتبة في التاسعة.",
}


class Finds(BaseRetriever):
    """Finds the passages whose names a question says, in that order; fails where it says so."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        if "fail" in query:
            raise RuntimeError("no model")
        return [
            Document(TEXTS[name], id=name, metadata={"language": name[:2], "relevance_score": 0.9 - 0.3 * n})
            for n, name in enumerate(query.split())
        ]


def ask(id: str, found: str, gold: str, **rest: Any) -> Question:
    return Question(id, found, "en", (gold,) if gold else (), unanswerable=not gold, **rest)


RIGHT = [ask("1", "en#1 en#2", "en#1"), ask("2", "en#2 ar#1", "ar#1"), ask("3", "en#2", "")]


def run(questions: list[Question], folder: Path, finder: Any = None, **settings: Any) -> int:
    finder = finder or RetrieverFinder(Finds())
    return run_questions(questions, finder, folder, settings=settings, total=len(questions))


def write(file: Path, *rows: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    if file.suffix == ".gz":
        with gzip.open(file, "wt", encoding="utf-8") as out:
            out.write(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"question": "a?"}', '{"question": '], "line 2: not JSON"),
        (['{"question": "a?", "gold": ["x"]}'], "line 1: unknown field 'gold'"),
        (
            ['{"id": "a", "question": "a?"}', "", '{"id": "a", "question": "b?"}'],
            "line 3: the id 'a' is that",
        ),
        (['{"question": " "}'], "'question' is missing or empty"),
        (['{"question": "a?", "passages": "x"}'], "'passages' is 'x'; expected a list"),
        (['{"question": "a?", "unanswerable": 1}'], "expected true or false"),
        (['{"question": "a?", "unanswerable": true, "answers": ["b"]}'], "Decide for one"),
        (['["a?"]'], "is no object"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_questions(write(tmp_path / "q.jsonl", *lines)))


def test_questions_are_read_as_they_were_written(tmp_path: Path) -> None:
    questions = [Question("a", "متى؟", "ar", ("h.md",), ("في التاسعة",), ("9",)), ask("b", "no?", "")]
    assert write_questions(tmp_path / "q.jsonl", questions) == 2
    assert list(read_questions(tmp_path / "q.jsonl")) == questions


def test_public_formats_become_questions(tmp_path: Path) -> None:
    context = "It opens at nine. It closes at six."
    qas = [
        {"id": "q1", "question": "When?", "answers": [{"text": "six", "answer_start": 31}]},
        {"id": "q2", "question": "Why?", "answers": [], "is_impossible": True},
    ]
    squad = {"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}
    found = read_benchmark(write(tmp_path / "s" / "x.en.json", squad))
    assert [(one.passages, one.answers, one.unanswerable) for one in found.questions] == [
        (("x.en#0",), ("six",), False),
        ((), (), True),
    ]
    squad["data"][0]["paragraphs"][0]["sentence_breaks"] = [[0, 17], [18, 35]]
    found = read_benchmark(write(tmp_path / "r" / "en.json", squad))
    assert found.questions[0].passages == ("en#0.1",)
    assert [one.page_content for one in found.documents] == ["It opens at nine.", "It closes at six."]

    beir = tmp_path / "beir"
    write(
        beir / "corpus.jsonl", {"_id": "d1", "title": "Hours", "text": "Nine."}, {"_id": "d2", "text": "No."}
    )
    write(beir / "queries.jsonl", {"_id": "q1", "text": "When?"}, {"_id": "q9", "text": "Not judged?"})
    write(beir / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t0")
    found = read_benchmark(beir)
    assert [(one.id, one.passages) for one in found.questions] == [("q1", ("d1",))]
    assert found.documents[0].page_content == "Hours Nine."

    miracl = tmp_path / "miracl"
    write(miracl / "miracl-v1.0-ar" / "topics" / "topics.ar.tsv", "1\tمتى تفتح؟", "2\tلماذا؟")
    write(miracl / "miracl-v1.0-ar" / "qrels" / "qrels.ar.tsv", "1 0 p#1 1", "1 0 p#2 0", "2 0 p#2 0")
    write(
        miracl / "miracl-corpus-ar" / "docs-0.jsonl.gz", {"docid": "p#1", "title": "", "text": "في التاسعة"}
    )
    found = read_benchmark(miracl)
    assert [(one.language, one.passages, one.unanswerable) for one in found.questions] == [
        ("ar", ("p#1",), False),
        ("ar", (), True),
    ]
    assert found.documents[0].metadata["language"] == "ar"

    rgb = {
        "id": 1,
        "query": "When?",
        "answer": [["nine", "9"]],
        "positive": ["At nine."],
        "negative": ["No."],
    }
    found = read_benchmark(write(tmp_path / "rgb" / "en.json", rgb, {**rgb, "id": 2, "positive": []}))
    assert [(one.answers, one.unanswerable) for one in found.questions] == [
        (("nine", "9"), False),
        ((), True),
    ]
    mkqa = {
        "example_id": 5,
        "queries": {"en": "when?", "zh_cn": "几点？"},
        "answers": {
            "en": [{"type": "date", "text": "9", "aliases": ["nine"]}],
            "zh_cn": [{"type": "unanswerable"}],
        },
    }
    found = read_benchmark(write(tmp_path / "mkqa.jsonl.gz", mkqa))
    assert [(one.id, one.language, one.answers) for one in found.questions] == [
        ("5:en", "en", ("9", "nine")),
        ("5:zh_cn", "zh", ()),
    ]
    mtrag = {
        "task_id": "t1",
        "input": [{"speaker": "user", "text": "Hi"}, {"speaker": "user", "text": "When does it open?"}],
        "contexts": [{"document_id": "d1", "text": "At nine."}],
        "Answerability": ["ANSWERABLE"],
    }
    found = read_benchmark(write(tmp_path / "mtrag.jsonl", mtrag))
    assert (found.questions[0].question, found.questions[0].passages) == ("When does it open?", ("d1",))


@pytest.mark.parametrize("name", ["none.jsonl", "empty", "broken.json"])
def test_what_is_no_data_set_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "broken.json", '{"data": [{"paragraphs": [{"qas": []}]}]}')
    with pytest.raises(InputError, match=name):
        read_benchmark(tmp_path / name)


def test_questions_are_asked_across_languages(tmp_path: Path) -> None:
    for code, text in (("en", "It opens at nine."), ("ar", "تفتح في التاسعة.")):
        qas = [
            {
                "id": "q",
                "question": f"{code}?",
                "answers": [{"text": text[-6:-1], "answer_start": len(text) - 6}],
            }
        ]
        write(tmp_path / f"x.{code}.json", {"data": [{"paragraphs": [{"context": text, "qas": qas}]}]})
    found = ask_across(read_benchmark(tmp_path), "ar")
    assert [(one.language, one.passages) for one in found.questions] == [
        ("ar", ("x.ar#0",)),
        ("en", ("x.ar#0",)),
    ]
    assert [one.id for one in found.documents] == ["x.ar#0"]
    with pytest.raises(InputError, match="no passages in 'th'"):
        ask_across(read_benchmark(tmp_path), "th")


def test_gold_is_a_name_or_a_quote() -> None:
    document = Document("# Hours\nThe library  opens at NINE.", id="7", metadata={"source": "docs/hours.md"})
    for names, quotes, gold in (
        (("docs/hours.md",), (), "docs/hours.md"),
        (("hours.md",), (), "hours.md"),
        (("ours.md",), (), None),
        (("7",), (), "7"),
        ((), ("opens at nine",), "opens at nine"),
        (("hours.md",), ("closes",), None),
        (("other.md",), ("opens at nine",), None),
    ):
        assert matching_gold(Question("1", "?", "en", names, quotes), document) == gold


def test_ranks_are_measured_by_question() -> None:
    found = measure_ranks({"1": ["a"], "2": ["b", "c"], "3": ["d"]}, {"1": ["x", "a"], "2": ["b", "y"]})
    assert found["RR@10"] == {"1": 0.5, "2": 1.0, "3": 0.0}
    assert found["R@10"] == {"1": 1.0, "2": 0.5, "3": 0.0}
    assert found["nDCG@10"]["1"] == pytest.approx(1 / np.log2(3))
    assert measure_ranks({}, {}) == {"R@10": {}, "RR@10": {}, "nDCG@10": {}}


def test_abstention_is_measured() -> None:
    found = measure_abstention([True, True, False, False], [True, False, False, True])
    assert found == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    scores, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 1.0, 0.0, 1.0])
    answerable = np.array([1.0, 1.0, 0.0, 1.0])
    assert coverage_at_error(scores, right, answerable, 0.05) == (pytest.approx(2 / 3), 0.8)
    assert coverage_at_error(scores, right, answerable, 0.3) == (1.0, 0.6)
    # Equal scores stand or fall together.
    assert coverage_at_error(np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.ones(2), 0.05) == (0.0, 1.0)


def test_intervals_hold_the_value_and_shrink() -> None:
    few, many = (estimate_mean([0.0, 1.0] * count) for count in (10, 1000))
    assert few.low < few.value == 0.5 == many.value < few.high
    assert many.high - many.low < few.high - few.low
    same = estimate_difference([0.2, 0.9, 0.4], [0.1, 0.8, 0.3])
    assert same.low == pytest.approx(same.high) == pytest.approx(0.1)
    assert estimate_mean([]) == (0.0, 0.0, 1.0, 0)
    assert few == estimate_mean([0.0, 1.0] * 10)


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    assert run(RIGHT[:2], tmp_path) == 2
    with (tmp_path / "rows.jsonl").open("a") as rows:
        rows.write('{"id": "3", "half')  # killed while it wrote
    assert run(RIGHT, tmp_path) == 1
    rows, settings = read_run(tmp_path)
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert settings["retriever"] == "Finds"
    with pytest.raises(InputError, match="holds a run with candidates=None, and this one has 9"):
        run(RIGHT, tmp_path, candidates=9)


def test_a_model_that_fails_spoils_its_question_alone(tmp_path: Path) -> None:
    run([*RIGHT, ask("4", "fail", "en#1")], tmp_path)
    summary = summarize(*read_run(tmp_path))
    assert summary.failed == 1
    assert "1 of 4 questions failed, the first (4) with RuntimeError: no model" in summary.notes[0]
    assert summary.ranks["en→ar"]["retrieved"]["RR@10"].value == 0.5


def test_a_store_that_changes_during_a_run_is_noticed(tmp_path: Path) -> None:
    class Grows(RetrieverFinder):
        def settings(self) -> dict[str, Any]:
            return {"passages": len(list(tmp_path.glob("*.jsonl")))}

    with pytest.raises(InputError, match="passages changed during the run, from 0 to 1"):
        run(RIGHT, tmp_path, Grows(Finds()))


def test_a_summary_names_what_is_worst_and_missing(tmp_path: Path) -> None:
    run([*RIGHT, Question("5", "en#1", "th", answers=("9",))], tmp_path)
    summary = summarize(*read_run(tmp_path))
    assert summary.worst == "en→ar"
    assert [one["id"] for one in summary.worst_questions] == ["2"]
    assert "th: no answerable question with known passages" in summary.notes[0]
    page = render_html(summary)
    assert "en→ar" in page
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert to_json(summary)["ranks"]["all"]["retrieved"]["RR@10"]["value"] == 0.75


def test_a_stage_that_does_harm_is_named(tmp_path: Path) -> None:
    class Harms(RetrieverFinder):
        def find(self, questions: Any) -> list[Found]:
            good, bad = (
                [Document(TEXTS[name], id=name) for name in names] for names in (("en#1",), ("en#2", "en#1"))
            )
            return [Found({"words": good, "dense": bad, "fused": bad}, [0.5], good) for _ in questions]

    run([ask(str(n), "x", "en#1", document_language="en") for n in range(20)], tmp_path, Harms(Finds()))
    [harm] = summarize(*read_run(tmp_path)).harm
    assert harm.startswith("en→en: fused lowers the order of words: MRR -0.500")


def test_a_comparison_names_the_stage_and_the_language(tmp_path: Path) -> None:
    asked = [ask(str(n), "en#1 en#2", "en#1", document_language="en") for n in range(9)]
    asked += [ask(f"a{n}", "ar#1 en#2", "ar#1", document_language="ar") for n in range(9)]
    worse = [Question(one.id, "en#2 ar#1" if one.id[0] == "a" else one.question, "en", one.passages,
                      document_language=one.document_language) for one in asked]  # fmt: skip
    run(asked, tmp_path / "a", reranker_prompt="right")
    run(worse, tmp_path / "b", reranker_prompt="wrong")
    found = compare_runs(tmp_path / "a", tmp_path / "b")
    assert found.settings == {"reranker_prompt": ("right", "wrong")}
    assert [line for line in found.first if line.startswith("en→ar: begins at retrieved, where 100%")]
    assert not any(line.startswith("en→en") for line in found.first)
    assert {one.pair for one in found.differences if one.real} == {"all", "en→ar"}
    assert not any(one.real for one in compare_runs(tmp_path / "a", tmp_path / "a").differences)
    with pytest.raises(InputError, match="holds no run"):
        compare_runs(tmp_path / "a", tmp_path)


def test_proposed_questions_do_not_tell_their_answer() -> None:
    texts = [
        "# Rooms\n\nPelican Hall costs 35 crowns an hour.",
        "塔高 31 米，登上塔顶要爬很多级台阶。",
        "No figure here.",
    ]
    documents = [Document(text, metadata={"source": f"{n}.md"}) for n, text in enumerate(texts)]
    found = list(propose_questions(documents))
    assert [(one.question, one.answers, one.proposed) for one in found] == [
        ("Pelican Hall costs crowns an hour?", ("35",), True),
        ("塔高 米，登上塔顶要爬很多级台阶？", ("31",), True),
    ]
    assert found[1].passages == ("1.md",)


def test_a_table_without_a_column_is_named(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", {"_id": "d1", "text": "Nine."})
    write(tmp_path / "queries.jsonl", {"_id": "q1", "text": "When?"})
    write(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id", "q1\td1")
    with pytest.raises(InputError, match=r"broken \(KeyError: 'score'\)"):
        read_benchmark(tmp_path)
