"""Answers that deny what their passage says, and those that only say it in other words."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.verification import verify_citations
from tests.test_statements import verdicts

# The language of the passage, the passage, and an answer that says something else.
WRONG: list[tuple[str, str, str]] = [
    ("en", "Dogs are not allowed in the garden.", "Dogs are allowed in the garden [1]."),
    ("en", "Dogs are allowed in the garden.", "Dogs are not allowed in the garden [1]."),
    ("en", "You must not use the lift.", "You must use the lift [1]."),
    ("en", "Smoking is permitted.", "Smoking isn't permitted [1]."),
    ("de", "Hunde sind im Garten nicht erlaubt.", "Hunde sind im Garten erlaubt [1]."),
    ("fr", "Les chiens ne sont pas admis.", "Les chiens sont admis [1]."),
    ("es", "No se admiten perros.", "Se admiten perros [1]."),
    ("ru", "Собаки не допускаются.", "Собаки допускаются [1]."),
    ("zh", "花园内不允许带狗。", "花园内允许带狗[1]。"),
    ("ja", "庭に犬を入れることはできません。", "庭に犬を入れることができます[1]。"),
    ("ar", "لا يسمح بدخول الكلاب.", "يسمح بدخول الكلاب [1]."),
    ("hi", "कुत्तों को अनुमति नहीं है।", "कुत्तों को अनुमति है [1]।"),
    ("tr", "Köpeklere izin verilmez.", "Köpeklere izin verilir [1]."),
    ("ko", "개를 데려올 수 없습니다.", "개를 데려올 수 있습니다 [1]."),
    ("fa", "ورود سگ مجاز نیست.", "ورود سگ مجاز است [1]."),
    ("th", "ไม่อนุญาตให้นำสุนัขเข้า", "อนุญาตให้นำสุนัขเข้า [1]"),
    ("vi", "Không được mang chó vào.", "Được mang chó vào [1]."),
    ("pt", "Não é permitido fumar.", "É permitido fumar [1]."),
    ("nl", "Fietsen zijn niet toegestaan.", "Fietsen zijn toegestaan [1]."),
    ("sv", "Cyklar är inte tillåtna.", "Cyklar är tillåtna [1]."),
    ("pl", "Rowery nie są dozwolone.", "Rowery są dozwolone [1]."),
    ("cs", "Kola nejsou povolena.", "Kola jsou povolena [1]."),
    ("hu", "Kerékpár nem hozható be.", "Kerékpár hozható be [1]."),
    ("fi", "Pyöriä ei saa tuoda sisään.", "Pyöriä saa tuoda sisään [1]."),
    ("el", "Τα ποδήλατα δεν επιτρέπονται.", "Τα ποδήλατα επιτρέπονται [1]."),
    ("he", "אופניים אינם מותרים.", "אופניים מותרים [1]."),
    ("uk", "Велосипеди не дозволені.", "Велосипеди дозволені [1]."),
    ("id", "Sepeda tidak diperbolehkan.", "Sepeda diperbolehkan [1]."),
    ("ro", "Bicicletele nu sunt permise.", "Bicicletele sunt permise [1]."),
    ("ur", "سائیکل کی اجازت نہیں ہے۔", "سائیکل کی اجازت ہے [1]۔"),
    ("en", "The warranty does not cover batteries.", "The warranty covers batteries [1]."),
    ("en", "Deposits are refundable.", "Deposits are never refundable [1]."),
    ("de", "Das Gerät ist wasserdicht.", "Das Gerät ist nicht wasserdicht [1]."),
    ("zh", "押金可以退还。", "押金不可以退还[1]。"),
    ("ja", "返金は可能です。", "返金は可能ではありません[1]。"),
    ("ko", "환불이 가능합니다.", "환불이 가능하지 않습니다 [1]."),
    ("ar", "الجهاز ليس مقاوما للماء.", "الجهاز مقاوم للماء [1]."),
    ("fr", "La garantie ne couvre pas la batterie.", "La garantie couvre la batterie [1]."),
]
# The same, and an answer that says the same.
RIGHT: list[tuple[str, str, str]] = [
    ("en", "Dogs are not allowed in the garden.", "You may not bring dogs into the garden [1]."),
    ("en", "Dogs are prohibited.", "Dogs are not allowed [1]."),
    ("en", "No dogs.", "Dogs are not allowed [1]."),
    ("en", "The gate never opens before nine.", "The gate does not open before nine [1]."),
    ("de", "Hunde sind verboten.", "Hunde sind nicht erlaubt [1]."),
    ("fr", "Il est interdit de fumer.", "On ne peut pas fumer [1]."),
    ("zh", "禁止吸烟。", "不允许吸烟[1]。"),
    ("en", "You can't park here.", "You cannot park here [1]."),
    ("en", "Not only members but also guests may enter.", "Members and guests may enter [1]."),
    ("es", "No se admiten perros.", "Los perros no están permitidos [1]."),
    ("ru", "Собаки не допускаются.", "С собаками нельзя [1]."),
    ("en", "The warranty does not cover batteries.", "Batteries aren't covered by the warranty [1]."),
    (
        "en",
        "Guests are not charged for parking, but members are charged for towels.",
        "Members are charged for towels [1].",
    ),
    ("en", "You do not need a ticket if you are under six.", "You need a ticket if you are over six [1]."),
    ("en", "Don't forget to lock the door.", "Lock the door [1]."),
    ("fr", "Il n'y a pas de parking.", "Le parking n'existe pas [1]."),
    ("en", "The lift isn't working.", "The lift is not working [1]."),
    ("tr", "Köpeklere izin verilmez.", "Köpeklere izin verilmiyor [1]."),
    ("hi", "कुत्तों को अनुमति नहीं है।", "कुत्तों को अनुमति नहीं है [1]।"),
    ("ja", "庭に犬を入れることはできません。", "庭に犬を入れることができません[1]。"),
]


@pytest.mark.parametrize(("language", "passage", "answer"), WRONG)
def test_another_statement_is_found(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer) == {"unsupported"}


@pytest.mark.parametrize(("language", "passage", "answer"), RIGHT)
def test_the_same_statement_is_supported(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer) == {"supported"}


@pytest.mark.parametrize(
    ("passage", "answer", "missing"),
    [
        ("Dogs are not allowed.", "Dogs are allowed [1].", "not"),
        ("Dogs are allowed.", "Dogs are never allowed [1].", "never"),
        ("The lift isn't working.", "The lift is working [1].", "isn't"),
    ],
)
def test_the_negation_is_named(passage: str, answer: str, missing: str) -> None:
    page = Document(passage, metadata={"source": "page.md", "language": "en"})
    (sentence,) = verify_citations(answer, [page])["sentences"]
    assert sentence["missing"] == [{"kind": "negation", "text": missing}]
