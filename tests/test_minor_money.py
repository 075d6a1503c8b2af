"""Cents, копейки and فلس: parts of money in answers and questions."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.question_kinds import states_kind
from qwen_agentkit.text.verification import verify_citations

# A passage, an answer that cites it, and what the answer states beyond the passage.
CASES: list[tuple[str, str, str, list[str]]] = [
    ("en", "Printing costs 15 cents for each gram.", "A gram costs 15 cents [1].", []),
    ("en", "Printing costs 15 cents for each gram.", "A gram costs 15 dollars [1].", ["15"]),
    ("en", "Printing costs 15 cents for each gram.", "A gram costs €0.15 [1].", []),
    ("en", "Printing costs 15 cents for each gram.", "A gram costs €0.20 [1].", ["0.20"]),
    ("en", "The locker costs 50p.", "The locker costs £0.50 [1].", []),
    ("en", "The locker costs 50p.", "The locker costs 50 pounds [1].", ["50"]),
    ("en", "A call costs 40 pence.", "A call costs $0.40 [1].", ["0.40"]),
    ("de", "Eine Kopie kostet 5 Cent.", "Eine Kopie kostet 0,05 € [1].", []),
    ("de", "Eine Kopie kostet 5 Cent.", "Eine Kopie kostet 5 Euro [1].", ["5"]),
    ("de", "Die Karte kostet 80 Rappen.", "Die Karte kostet 80 Cent [1].", ["80"]),
    ("es", "La copia cuesta 20 céntimos.", "La copia cuesta 0,20 euros [1].", []),
    ("pl", "Kopia kosztuje 30 groszy.", "Kopia kosztuje 30 złotych [1].", ["30"]),
    ("pl", "Kopia kosztuje 30 groszy.", "Kopia kosztuje 0,30 zł [1].", []),
    ("ru", "Копия стоит 50 копеек.", "Копия стоит 50 рублей [1].", ["50"]),
    ("ru", "Копия стоит 50 копеек.", "Копия стоит 0,5 рубля [1].", []),
    ("tr", "Fotokopi 75 kuruş.", "Fotokopi 0,75 TL [1].", []),
    ("ar", "سعر النسخة 250 فلسا.", "سعر النسخة 250 دينارا [1].", ["250"]),
    ("ar", "سعر النسخة 50 قرشا.", "سعر النسخة 50 قرشا [1].", []),
    ("zh", "复印一页5角。", "复印一页5元[1]。", ["5"]),
    ("zh", "复印一页5角。", "复印一页0.5元[1]。", []),
    ("ja", "コピーは10セントです。", "コピーは10ドルです[1]。", ["10"]),
    ("hi", "एक पन्ने के 50 पैसे लगते हैं।", "एक पन्ने के 50 रुपये लगते हैं [1]।", ["रुपये"]),
    ("he", "צילום עולה 50 אגורות.", "צילום עולה 50 שקלים [1].", ["50"]),
    ("fr", "La copie coûte 10 centimes.", "La copie coûte 0,10 € [1].", []),
    ("fr", "Il y a cent places.", "Il y a 100 places [1].", []),
]  # fmt: skip


@pytest.mark.parametrize(("language", "passage", "answer", "missing"), CASES)
def test_parts_of_money_are_held_against_the_passage(
    language: str, passage: str, answer: str, missing: list[str]
) -> None:
    checked = verify_citations(
        answer, [Document(passage, metadata={"language": language})], language=language
    )
    assert [item["text"] for sentence in checked["sentences"] for item in sentence["missing"]] == missing


def test_a_sentence_with_cents_states_a_price() -> None:
    assert states_kind("price", "Printing costs 15 cents for each gram of plastic.", "en")
    assert states_kind("price", "复印一页5角。", "zh")
    assert not states_kind("price", "Each printer makes objects of 220 millimetres.", "en")
