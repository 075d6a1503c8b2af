"""BM25 vectors: what a word matches in each script, and numbers that stay the same for ever."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from qwen_agentkit.text.sparse import sparse_document, sparse_query


def match(query: str, query_language: str, document: str, language: str) -> float:
    """The score before inverse document frequency."""
    weights = dict(zip(*sparse_query(query, query_language), strict=True))
    return sum(weights.get(i, 0) * v for i, v in zip(*sparse_document(document, language), strict=True))


@pytest.mark.parametrize(
    ("query", "document", "language"),
    [
        ("renewing loans", "A loan is renewed at the desk", "en"),
        ("البطارية", "شحن بطاريات الأجهزة", "ar"),
        ("مكتبة", "الْمَكْتَبَةُ مفتوحة", "ar"),
        ("احمد", "أحمد في المكتبـــة", "ar"),
        ("библиотеки", "в библиотеке открыто", "ru"),
        ("电池", "手机电池寿命", "zh"),
        ("電池", "新しい電池を使う", "ja"),
        ("배터리", "배터리는 오래갑니다", "ko"),
        ("ห้องสมุด", "เวลาเปิดห้องสมุดวันนี้", "th"),
        ("батарея", "заміна батареї", "uk"),
        ("पुस्तकें", "पुस्तक यहाँ है", "hi"),
        ("کتابخانه", "كتابخانه باز است", "fa"),
        ("ＡＢＣ 12", "abc ۱۲", "fa"),
        ("resume", "Résumé", "fr"),
    ],
)
def test_forms_of_one_word_meet(query: str, document: str, language: str) -> None:
    assert match(query, language, document, language) > 0
    assert match("xylophone", language, document, language) == 0


def test_a_name_is_found_whatever_language_the_query_was_taken_for() -> None:
    for guessed in ("de", "ar", "xx"):
        assert match("Milvus 2.4", guessed, "Milvus est une base de données", "fr") > 0


def test_the_exact_form_beats_another_form() -> None:
    exact = match("running", "en", "running", "en")
    assert exact > match("running", "en", "runs", "en") > 0


def test_values_are_bm25s() -> None:
    _, values = sparse_document("漢", "zh")
    tf, length, k1, b = 1, 1, 1.2, 0.75
    assert values == pytest.approx([tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / 200))])
    repeated = sparse_document("word " * 50, "en")[1]
    assert all(1 < value < k1 + 1 for value in repeated)


def test_vectors_are_what_qdrant_takes() -> None:
    for text in ("", "...", "the same word, the same word", "漢字かな交じり " * 30):
        indices, values = sparse_document(text, "ja")
        assert indices == sorted(set(indices))
        assert len(indices) == len(values)
        assert all(0 <= index < 2**32 for index in indices)
        assert all(math.isfinite(value) and value > 0 for value in values)


def test_a_word_of_a_query_weighs_two_and_a_little_for_its_other_spelling() -> None:
    for language in ("en", "uk"):
        assert sum(sparse_query("батареями", language)[1]) == pytest.approx(2.05)


def test_numbers_are_the_same_in_every_process() -> None:
    program = (
        "from qwen_agentkit.text.sparse import sparse_query; print(sparse_query('Library كتاب', 'en')[0])"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == str(sparse_query("Library كتاب", "en")[0])
    assert sparse_query("library", "xx")[0][0] == min(sparse_query("library", "xx")[0])


def test_stemming_is_safe_in_threads() -> None:
    words = [f"running{i} libraries{i} {'loading' * (i % 5)}" for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: sparse_document(text, "en"), words * 3))
    assert together == [sparse_document(text, "en") for text in words] * 3
