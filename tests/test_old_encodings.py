"""Text of DOS, older Macs and early web pages is found by what it says, and what was assumed is said."""

from __future__ import annotations

import pytest

from qwen_agentkit.ingest.encodings import decode_text

TEXTS = {
    "ru": "Городская библиотека открывается в девять часов утра и закрывается в шесть. Вход свободный.",
    "uk": "Міська бібліотека відчиняється о дев'ятій ранку і зачиняється о шостій. Вхід вільний.",
    "pl": "Wąski strumień płynie obok łąki, a gęś i żółw śpią już w trzcinie pod świerkiem.",
    "cs": "Příliš žluťoučký kůň úpěl ďábelské ódy, když šel kolem řeky do města.",
    "hu": "A könyvtár minden nap kilenckor nyílik és hatkor zár, a belépés ingyenes az őszi időszakban.",
    "de": "Die Stadtbücherei öffnet täglich um neun Uhr und schließt um sechs. Über Änderungen später.",
    "el": "Η δημοτική βιβλιοθήκη ανοίγει κάθε μέρα στις εννέα και κλείνει στις έξι. Ή και αργότερα.",
    "ar": "تفتح مكتبة المدينة أبوابها في التاسعة صباحا، وتغلق في السادسة مساء. الدخول مجاني للجميع.",
}
OLD = [
    *(("ru", "cp866"), ("ru", "iso8859-5"), ("ru", "koi8-r"), ("uk", "koi8-u"), ("pl", "iso8859-2")),
    *(("pl", "cp852"), ("cs", "iso8859-2"), ("hu", "iso8859-2"), ("de", "cp850"), ("el", "iso8859-7")),
    ("ar", "iso8859-6"),
]


@pytest.mark.parametrize(("language", "encoding"), OLD)
def test_a_sentence_is_read_and_its_encoding_is_said(language: str, encoding: str) -> None:
    decoded = decode_text(TEXTS[language].encode(encoding))
    assert decoded.text == TEXTS[language]
    assert "does not say its encoding; read as" in decoded.warnings[0]


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [("Приход", "cp866", "CP866"), ("Łódź", "iso8859-2", "ISO-8859-2"), ("Приход", "cp1251", "windows-1251")],
)
def test_a_word_is_read_with_doubt(text: str, encoding: str, name: str) -> None:
    decoded = decode_text(text.encode(encoding))
    assert decoded.text == text
    assert f"read as {name}, though it may be " in decoded.warnings[0]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(("café", "mac-roman"), ("Grüße", "cp850"), ("مكتبة", "iso8859-6"), ("Žofín", "cp852")),
        *(("Москва", "mac-cyrillic"), ("café", "cp437"), ("Çarşı", "cp857"), ("nærø", "cp865")),
    ],
)
def test_a_wrong_guess_is_never_sure(text: str, encoding: str) -> None:
    decoded = decode_text(text.encode(encoding))
    assert decoded.text == text or "may be" in decoded.warnings[0] or "not be read" in decoded.warnings[-1]
