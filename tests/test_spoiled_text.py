"""Text that was spoiled before it was saved is named, and rare encodings are read or refused."""

from __future__ import annotations

import io
import zipfile

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.loaders import read_document

_TEXTS = {
    "ar": "تفتح المكتبة أبوابها في الساعة التاسعة صباحا وثمن التذكرة للأطفال خمسة دنانير.",
    "he": "הספרייה נפתחת בשעה תשע בבוקר ומחיר הכרטיס לילדים הוא חמישה שקלים.",
    "el": "Η βιβλιοθήκη ανοίγει στις εννέα το πρωί και το εισιτήριο για τα παιδιά κοστίζει πέντε ευρώ.",
    "tr": "Kütüphane sabah dokuzda açılır ve çocuklar için bilet ücreti beş liradır. Şubat ayında ışıklar",
    "ru": "Библиотека открывается в девять утра, а билет для детей стоит пять рублей.",
    "ja": "図書館は午前九時に開館し、子供の入場料は五百円です。職員は午後七時半まで働いています。",
    "ko": "도서관은 오전 아홉 시에 문을 열고 어린이 입장료는 오천 원입니다.",
    "zh": "图书馆每天上午九点开放，儿童票价为五十元。工作人员工作到晚上七点半。",
    "fr": "La bibliothèque ouvre à neuf heures et le billet coûte cinq euros à Noël, où ça ?",
}


@pytest.mark.parametrize("code", _TEXTS)
def test_text_as_it_should_be_has_no_warning(code: str) -> None:
    assert decode_text(_TEXTS[code].encode()) == (_TEXTS[code], ())


@pytest.mark.parametrize(
    ("code", "encoding"),
    [
        ("ar", "latin-1"),
        ("ar", "cp1256"),
        ("he", "cp437"),
        ("el", "cp1252"),
        ("ru", "cp1251"),
        ("ja", "latin-1"),
        ("ko", "mac-roman"),
        ("zh", "gb18030"),
        ("fr", "cp850"),
    ],
)
def test_utf8_that_was_taken_for_another_encoding_is_named(code: str, encoding: str) -> None:
    spoiled = _TEXTS[code].encode().decode(encoding, "replace")
    text, [warning] = decode_text(spoiled.encode())
    assert text == spoiled
    assert warning.startswith("The text seems to be UTF-8 that was taken for ")


@pytest.mark.parametrize(
    ("code", "encoding"),
    [
        ("ar", "cp720"),
        ("he", "cp862"),
        ("el", "cp737"),
        ("tr", "cp857"),
        ("ja", "utf-16-le"),
        ("ja", "iso2022_jp"),
        ("ko", "iso2022_kr"),
        ("zh", "hz"),
    ],
)
def test_encodings_of_dos_and_of_early_mail_are_read(code: str, encoding: str) -> None:
    assert decode_text(_TEXTS[code].encode(encoding)).text == _TEXTS[code]


@pytest.mark.parametrize("code", ["ar", "ru", "ja", "fr"])
def test_utf7_is_refused(code: str) -> None:
    with pytest.raises(LoadError, match="is UTF-7"):
        decode_text(_TEXTS[code].encode("utf-7"))


def test_text_with_plus_signs_is_no_utf7() -> None:
    text = "Call +49-30-1234567 or +1-212-555. Press +CTRL-, +ALT- and +abc-; C++ and a+b-c are kept."
    assert decode_text(text.encode()) == (text, ())


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp862", ["חוזה שכירות.txt"]),
        ("cp720", ["عقد الإيجار.txt"]),
        ("cp866", ["ДОГОВОР.txt"]),
        ("cp850", ["Größe.txt", "année.txt"]),
        ("cp932", ["契約書.txt"]),
        ("gb18030", ["图书馆开放时间.txt"]),
    ],
)
def test_names_in_an_archive_are_read_in_the_encoding_of_their_country(
    encoding: str, names: list[str]
) -> None:
    out = io.BytesIO()
    places = {
        name: f"{at}".rjust(len(name.encode(encoding)) - 4, "_") + ".txt" for at, name in enumerate(names)
    }
    with zipfile.ZipFile(out, "w") as archive:
        for place in places.values():
            archive.writestr(place, "Text.")
    data = out.getvalue()
    for name, place in places.items():  # zipfile itself writes names in UTF-8 only.
        data = data.replace(place.encode(), name.encode(encoding))
    assert [part.metadata["member"] for part in read_document(data, ".zip")] == names
