"""Forms of one word share a term: number, case, article, possessive, in thirty languages."""

from __future__ import annotations

import pytest

from qwen_agentkit.text.sparse import sparse_document, sparse_query
from qwen_agentkit.text.terms import find_terms

FORMS = {
    "tr": (
        "kütüphane/kütüphanede kütüphane/kütüphanesinin kitap/kitabı kitap/kitaplarımız "
        "ev/evlerinden ağaç/ağacın çocuk/çocuklara öğrenci/öğrencilerin fiyat/fiyatları "
        "saat/saatleri üyelik/üyeliğimi hastane/hastaneye pazartesi/pazartesileri"
    ),
    "sr": (
        "ljubav/љубав knjiga/књига biblioteka/библиотека njegov/његов džep/џеп "
        "библиотека/библиотеци књига/књиге knjiga/књигама čas/час ђак/đak град/градови "
        "Београд/Beogradu чаша/čašama"
    ),
    "ru": (
        "библиотека/библиотеке книга/книг билет/билеты город/городах цена/ценам музей/музея "
        "стол/столами читатель/читателей"
    ),
    "de": (
        "Haus/Häuser Buch/Büchern Kind/Kinder Stadt/Städte öffnen/geöffnet "
        "Bibliothek/Bibliotheken Mutter/Müttern Fuß/Füße Gast/Gäste Vertrag/Verträge"
    ),
    "fr": (
        "cheval/chevaux journal/journaux bibliothèque/bibliothèques prix/prix l'école/écoles "
        "animal/animaux national/nationaux d'enfant/enfants"
    ),
    "es": (
        "libro/libros luz/luces biblioteca/bibliotecas horario/horarios niño/niñas "
        "canción/canciones pez/peces alquiler/alquileres examen/exámenes"
    ),
    "it": (
        "libro/libri città/città amico/amici l'orario/orari biblioteca/biblioteche uovo/uova "
        "prezzo/prezzi bambino/bambine banco/banchi dell'acqua/acqua"
    ),
    "pt": (
        "livro/livros animal/animais coração/corações horário/horários papel/papéis mês/meses "
        "pão/pães jovem/jovens azul/azuis biblioteca/bibliotecas"
    ),
    "pl": (
        "książka/książek biblioteka/bibliotece miasto/miastach godzina/godziny bilet/biletów "
        "czytelnik/czytelników"
    ),
    "cs": "kniha/knih knihovna/knihovně ruka/rukou město/městech cena/cen vstupenka/vstupenky",
    "uk": "книга/книжок бібліотека/бібліотеці квиток/квитки місто/містах ціна/цін",
    "hu": (
        "könyv/könyvek könyvtár/könyvtárban ház/házak nap/napok jegy/jegyeket alma/almát "
        "kutya/kutyák óra/órakor híd/hidak"
    ),
    "fi": "kirja/kirjassa kirjasto/kirjastossa talo/taloissa kauppa/kaupat lippu/liput päivä/päivien",
    "ar": "مكتبة/المكتبات ساعة/ساعات موظف/الموظفين",
    "he": "ספר/ספרים ספרייה/בספרייה מוזיאון/למוזיאון מחיר/מחירים כרטיס/כרטיסי תלמיד/תלמידות",
    "fa": (
        "کتاب/کتاب‌ها کتابخانه/کتابخانه‌های دانشجو/دانشجویان خانه/خانه‌مان روز/روزها "
        "قیمت/قیمتش بلیت/بلیت‌ها شهر/شهرهایشان ساعت/ساعات"
    ),
    "hi": (
        "किताब/किताबें लड़का/लड़के पुस्तकालय/पुस्तकालयों घर/घरों दिन/दिनों कीमत/कीमतें "
        "बच्चा/बच्चों टिकट/टिकटों नदी/नदियाँ लड़की/लड़कियों"
    ),
    "sv": (
        "bibliotek/biblioteket barn/barnen dag/dagarna stad/städer öppettid/öppettider "
        "biljett/biljetterna hus/husen hand/händer man/män"
    ),
    "nl": (
        "boek/boeken bibliotheek/bibliotheken huis/huizen kind/kinderen dag/dagen "
        "prijs/prijzen museum/musea brief/brieven"
    ),
    "el": (
        "βιβλίο/βιβλία βιβλιοθήκη/βιβλιοθήκες ημέρα/ημέρες πόλη/πόλεις τιμή/τιμές "
        "εισιτήριο/εισιτηρίων παιδί/παιδιών ώρα/ωρών μουσείο/μουσείου άνθρωπος/ανθρώπων"
    ),
    "ro": (
        "carte/cărți bibliotecă/biblioteci oraș/orașele copil/copiii preț/prețuri bilet/biletele muzeu/muzeul"
    ),
    "hr": (
        "knjiga/knjige knjižnica/knjižnici dan/dani cijena/cijene grad/gradovi "
        "ulaznica/ulaznice muzej/muzeja učenik/učenici"
    ),
    "bg": (
        "книга/книгите библиотека/библиотеката град/градове цена/цените билет/билети "
        "музей/музеят ученик/ученици час/часовете"
    ),
    "et": (
        "raamat/raamatud raamatukogu/raamatukogus maja/majad päev/päevad pilet/piletid "
        "linn/linnas laps/lapsed muuseum/muuseumi"
    ),
    "lt": (
        "knyga/knygos biblioteka/bibliotekoje diena/dienos kaina/kainos bilietas/bilietai "
        "miestas/mieste vaikas/vaikai muziejus/muziejuje mokinys/mokiniai laikas/laiku"
    ),
    "sk": (
        "kniha/kníh knižnica/knižnici cena/ceny lístok/lístky mesto/meste múzeum/múzeá žiak/žiaci ruka/ruky"
    ),
    "id": (
        "buku/bukunya perpustakaan/pustaka baca/membaca tiket/tiketnya buka/pembukaan "
        "jam/berjam-jam anak/anak-anak sewa/penyewaan daftar/pendaftaran"
    ),
    "ko": "책/책들 도서관/도서관에서 학생/학생들은 가격/가격이 시간/시간은 표/표를 열다/열어요",
    "sw": (
        "kitabu/vitabu maktaba/maktabani mtoto/watoto siku/siku bei/bei tiketi/tiketi saa/saa "
        "mwanafunzi/wanafunzi nyumba/nyumbani"
    ),
    "sl": (
        "knjiga/knjige knjižnica/knjižnici cena/cene mesto/mestih otrok/otroci "
        "vstopnica/vstopnice muzej/muzeja roka/roke"
    ),
}


def shared(language: str, query: str, document: str) -> set[int]:
    return set(sparse_query(query, language)[0]) & set(sparse_document(document, language)[0])


@pytest.mark.parametrize("language", FORMS)
def test_forms_of_a_word_find_each_other(language: str) -> None:
    pairs = [pair.split("/") for pair in FORMS[language].split()]
    assert [(one, other) for one, other in pairs if not shared(language, one, other)] == []
    assert [(one, other) for one, other in pairs if not shared(language, other, one)] == []


def test_serbian_is_one_language_in_both_scripts() -> None:
    assert shared("hr", "knjiga", "x") == set()
    for latin, cyrillic in [("ljubav", "љубав"), ("knjige", "књига"), ("džepovi", "џеп"), ("đaka", "ђак")]:
        one = set(sparse_query(latin, "hr")[0])
        assert one & set(sparse_document(cyrillic, "sr")[0])
        assert shared("sr", cyrillic, latin)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("tr", "kütüphane", "hastane"),
        ("sr", "књига", "кућа"),
        ("pl", "bilet", "biblioteka"),
        ("es", "luces", "libros"),
    ],
)
def test_other_words_do_not_meet(language: str, one: str, other: str) -> None:
    words = [{*word.forms, word.plain} for text in (one, other) for word in find_terms(text, language)]
    assert not words[0] & words[1]
