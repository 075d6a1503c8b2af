"""Names beside a title: another person is another statement, in every script."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.verification import verify_citations

OTHER = [
    ("de", "Frau Schulz leitet das Archiv.", "Frau Meyer leitet das Archiv [1]."),
    ("de", "Ansprechpartner ist Herr Dr. Schulz.", "Wenden Sie sich an Herrn Dr. Meyer [1]."),
    ("de", "Prof. Dr. med. Anna Schulz operiert.", "Prof. Dr. med. Anna Meyer operiert [1]."),
    ("de", "Die Leitung hat Schulz.", "Frau Meyer hat die Leitung [1]."),
    ("en", "Dr. Nasser opens the clinic.", "Dr. Haddad opens the clinic [1]."),
    ("en", "The clinic is run by Dr. Nasser.", "Dr. Haddad runs it [1]."),
    ("en", "Ask Mr Olsen for the key.", "Mrs Brandt has the key [1]."),
    ("en", "Frau Schulz leitet das Archiv.", "Frau Meyer runs the archive [1]."),
    ("fr", "Mme Durand tient la boutique.", "Mme Lefèvre tient la boutique [1]."),
    ("fr", "M. Durand tient la boutique.", "M. Petit la tient [1]."),
    ("es", "La señora Ruiz guarda la llave.", "La señora Vega guarda la llave [1]."),
    ("it", "La signora Conti apre alle nove.", "La signora Ferri apre alle nove [1]."),
    ("pt", "O senhor Pereira tem a chave.", "O senhor Barros tem a chave [1]."),
    ("nl", "Mevrouw Jansen heeft de sleutel.", "Mevrouw Visser heeft de sleutel [1]."),
    ("pl", "Pan Nowak ma klucz.", "Pan Lewandowski ma klucz [1]."),
    ("ru", "Ключ у господина Орлова.", "Ключ у господина Зайцева [1]."),
    ("ar", "السيد ناصر هو مدير المكتبة.", "السيد حداد هو مدير المكتبة [1]."),
    ("ar", "يدير العيادة الدكتور ناصر.", "الدكتور حداد يدير هذه العيادة [1]."),
    ("ar", "اتصل بالسيدة ليلى.", "الموعد مع السيدة هدى [1]."),
    ("fa", "مدیر کتابخانه آقای رضایی است.", "آقای کریمی مدیر است [1]."),
    ("ur", "ڈاکٹر احمد کلینک چلاتے ہیں۔", "ڈاکٹر سلیم کلینک چلاتے ہیں [1]۔"),
    ("he", 'ד"ר כהן מנהל את המרפאה.', 'ד"ר לוי מנהל את המרפאה [1].'),
    ("hi", "डॉ. शर्मा क्लिनिक चलाते हैं।", "डॉ. वर्मा क्लिनिक चलाते हैं [1]।"),
    ("zh", "请联系王先生。", "请联系李先生[1]。"),
    ("zh", "钥匙在张女士那里。", "请向陈女士要钥匙[1]。"),
    ("zh", "李小龙教授主持会议。", "会议由王大伟教授主持[1]。"),
    ("ja", "鍵は田中さんが持っています。", "鈴木さんに鍵を借りてください[1]。"),
    ("ja", "スミス先生が担当です。", "担当はブラウン先生です[1]。"),
    ("ko", "열쇠는 김민수 씨가 가지고 있다.", "박지훈 씨에게 열쇠를 받으세요 [1]."),
    ("th", "คุณสมชายถือกุญแจ", "คุณวิชัยถือกุญแจ [1]"),
]
SAME = [
    ("de", "Frau Schulz leitet das Archiv.", "Das Archiv leitet Frau Schulz [1]."),
    ("de", "Ansprechpartnerin: Anna Schulz", "Frau Schulz ist Ansprechpartnerin [1]."),
    ("de", "Frau Schulz gibt die Schlüssel aus.", "Bitte Frau Schulz Bescheid geben [1]."),
    ("de", "Ich mag Kaffee. Das Seil ist 5 m lang.", "Man mag Kaffee, und 5 m Länge reichen [1]."),
    ("de", "Der Herr des Hauses öffnet.", "Der Herr des Hauses öffnet [1]."),
    ("en", "Contact: Omar Nasser", "Dr. Nasser is the contact [1]."),
    ("ar", "السيد ناصر هو مدير المكتبة.", "مدير المكتبة هو السيد ناصر [1]."),
    ("ar", "الكتاب للسيد ناصر.", "صاحب الكتاب هو السيد ناصر [1]."),
    ("ru", "Ключ у господина Орлова.", "Господин Орлов хранит ключ [1]."),
    ("pl", "Klucz ma pan Nowak.", "Klucz jest u pana Nowaka [1]."),
    ("zh", "请联系王先生。", "联系人是王先生[1]。"),
    ("zh", "联系人：王大伟先生", "请联系王先生[1]。"),
    ("zh", "王大伟是经理。", "请联系王大伟先生[1]。"),
    ("ja", "担当：田中太郎", "田中さんが担当です[1]。"),
    ("ja", "仕様は担当者が決めます。", "お客様の仕様は担当者が決めます[1]。"),
    ("ko", "담당자는 김민수입니다.", "김민수 씨가 담당합니다 [1]."),
    ("hi", "संपर्क: राजेश शर्मा", "श्री शर्मा से संपर्क करें [1]।"),
]  # fmt: skip


def verdicts(language: str, passage: str, answer: str, own: str) -> set[str]:
    page = Document(passage, metadata={"source": "page.md", "language": language})
    return {sentence["verdict"] for sentence in verify_citations(answer, [page], language=own)["sentences"]}


@pytest.mark.parametrize(("language", "passage", "answer"), OTHER)
def test_another_person_is_found(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer, language) == {"unsupported"}


@pytest.mark.parametrize(("language", "passage", "answer"), SAME)
def test_the_same_person_is_supported(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer, language) == {"supported"}


def test_names_in_two_scripts_are_not_compared() -> None:
    assert verdicts("ar", "السيد ناصر هو المدير.", "Mr Nasser is the director [1].", "en") == {"supported"}
    assert verdicts("en", "Mr Nasser is the director.", "السيد ناصر هو المدير [1].", "ar") == {"supported"}


@pytest.mark.parametrize(
    ("language", "passage", "answer"),
    [
        ("de", "Frau Schulz leitet das Archiv.", "Frau Meyer runs the archive [1]."),
        ("fr", "Mme Durand tient la boutique.", "Frau Petit führt den Laden [1]."),
    ],
)
def test_names_in_one_script_are_compared_across_languages(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer, "en") == {"unsupported"}
