"""Ordinal numbers of a claim against those of its passage: another floor is another statement."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document

from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.ordinals import find_ordinals
from qwen_agentkit.text.verification import verify_citations

# The language, "on the third floor" and the same with another number, in words.
FLOORS = [
    ("en", "The office is on the third floor.", "The office is on the second floor."),
    ("de", "Das Büro ist im dritten Stock.", "Das Büro ist im zweiten Stock."),
    ("fr", "Le bureau est au troisième étage.", "Le bureau est au deuxième étage."),
    ("es", "La oficina está en el tercer piso.", "La oficina está en el segundo piso."),
    ("it", "L'ufficio è al terzo piano.", "L'ufficio è al secondo piano."),
    ("pt", "O escritório fica no terceiro andar.", "O escritório fica no segundo andar."),
    ("ca", "L'oficina és al tercer pis.", "L'oficina és al segon pis."),
    ("ro", "Biroul este la al treilea etaj.", "Biroul este la al doilea etaj."),
    ("nl", "Het kantoor is op de derde verdieping.", "Het kantoor is op de tweede verdieping."),
    ("af", "Die kantoor is op die derde verdieping.", "Die kantoor is op die tweede verdieping."),
    ("sv", "Kontoret ligger på tredje våningen.", "Kontoret ligger på andra våningen."),
    ("da", "Kontoret ligger på tredje sal.", "Kontoret ligger på anden sal."),
    ("no", "Kontoret ligger i tredje etasje.", "Kontoret ligger i andre etasje."),
    ("is", "Skrifstofan er á þriðju hæð.", "Skrifstofan er á annarri hæð."),
    ("fi", "Toimisto on kolmannessa kerroksessa.", "Toimisto on toisessa kerroksessa."),
    ("et", "Kontor on kolmandal korrusel.", "Kontor on teisel korrusel."),
    ("hu", "Az iroda a harmadik emeleten van.", "Az iroda a második emeleten van."),
    ("lt", "Biuras yra trečiame aukšte.", "Biuras yra antrame aukšte."),
    ("lv", "Birojs ir trešajā stāvā.", "Birojs ir otrajā stāvā."),
    ("ru", "Офис находится на третьем этаже.", "Офис находится на втором этаже."),
    ("uk", "Офіс розташований на третьому поверсі.", "Офіс розташований на другому поверсі."),
    ("be", "Офіс знаходзіцца на трэцім паверсе.", "Офіс знаходзіцца на другім паверсе."),
    ("bg", "Офисът е на третия етаж.", "Офисът е на втория етаж."),
    ("mk", "Канцеларијата е на третиот кат.", "Канцеларијата е на вториот кат."),
    ("sr", "Канцеларија је на трећем спрату.", "Канцеларија је на другом спрату."),
    ("hr", "Ured je na trećem katu.", "Ured je na drugom katu."),
    ("sl", "Pisarna je v tretjem nadstropju.", "Pisarna je v drugem nadstropju."),
    ("pl", "Biuro jest na trzecim piętrze.", "Biuro jest na drugim piętrze."),
    ("cs", "Kancelář je ve třetím patře.", "Kancelář je ve druhém patře."),
    ("sk", "Kancelária je na treťom poschodí.", "Kancelária je na druhom poschodí."),
    ("sq", "Zyra është në katin e tretë.", "Zyra është në katin e dytë."),
    ("el", "Το γραφείο είναι στον τρίτο όροφο.", "Το γραφείο είναι στον δεύτερο όροφο."),
    ("tr", "Ofis üçüncü katta.", "Ofis ikinci katta."),
    ("ar", "يقع المكتب في الطابق الثالث.", "يقع المكتب في الطابق الثاني."),
    ("he", "המשרד נמצא בקומה השלישית.", "המשרד נמצא בקומה השנייה."),
    ("fa", "دفتر در طبقه سوم است.", "دفتر در طبقه دوم است."),
    ("ur", "دفتر تیسری منزل پر ہے۔", "دفتر دوسری منزل پر ہے۔"),
    ("hi", "कार्यालय तीसरी मंज़िल पर है।", "कार्यालय दूसरी मंज़िल पर है।"),
    ("mr", "कार्यालय तिसऱ्या मजल्यावर आहे.", "कार्यालय दुसऱ्या मजल्यावर आहे."),
    ("ne", "कार्यालय तेस्रो तलामा छ।", "कार्यालय दोस्रो तलामा छ।"),
    ("bn", "অফিসটি তৃতীয় তলায়।", "অফিসটি দ্বিতীয় তলায়।"),
    ("gu", "ઓફિસ ત્રીજા માળે છે.", "ઓફિસ બીજા માળે છે."),
    ("pa", "ਦਫ਼ਤਰ ਤੀਜੀ ਮੰਜ਼ਿਲ 'ਤੇ ਹੈ।", "ਦਫ਼ਤਰ ਦੂਜੀ ਮੰਜ਼ਿਲ 'ਤੇ ਹੈ।"),
    ("ta", "அலுவலகம் மூன்றாவது மாடியில் உள்ளது.", "அலுவலகம் இரண்டாவது மாடியில் உள்ளது."),
    ("te", "కార్యాలయం మూడవ అంతస్తులో ఉంది.", "కార్యాలయం రెండవ అంతస్తులో ఉంది."),
    ("kn", "ಕಚೇರಿ ಮೂರನೇ ಮಹಡಿಯಲ್ಲಿದೆ.", "ಕಚೇರಿ ಎರಡನೇ ಮಹಡಿಯಲ್ಲಿದೆ."),
    ("ml", "ഓഫീസ് മൂന്നാം നിലയിലാണ്.", "ഓഫീസ് രണ്ടാം നിലയിലാണ്."),
    ("si", "කාර්යාලය තුන්වන මහලේ ඇත.", "කාර්යාලය දෙවන මහලේ ඇත."),
    ("hy", "Գրասենյակը երրորդ հարկում է։", "Գրասենյակը երկրորդ հարկում է։"),
    ("ka", "ოფისი მესამე სართულზეა.", "ოფისი მეორე სართულზეა."),
    ("kk", "Кеңсе үшінші қабатта.", "Кеңсе екінші қабатта."),
    ("mn", "Оффис гуравдугаар давхарт байдаг.", "Оффис хоёрдугаар давхарт байдаг."),
    ("am", "ቢሮው ሦስተኛ ፎቅ ላይ ነው።", "ቢሮው ሁለተኛ ፎቅ ላይ ነው።"),
    ("sw", "Ofisi iko ghorofa ya tatu.", "Ofisi iko ghorofa ya pili."),
    ("id", "Kantor ada di lantai ketiga.", "Kantor ada di lantai kedua."),
    ("tl", "Nasa ikatlong palapag ang opisina.", "Nasa ikalawang palapag ang opisina."),
    ("vi", "Văn phòng ở tầng thứ ba.", "Văn phòng ở tầng thứ hai."),
    ("th", "สำนักงานอยู่ชั้นที่สาม", "สำนักงานอยู่ชั้นที่สอง"),
    ("lo", "ຫ້ອງການຢູ່ຊັ້ນທີສາມ", "ຫ້ອງການຢູ່ຊັ້ນທີສອງ"),
    ("km", "ការិយាល័យនៅជាន់ទីបី", "ការិយាល័យនៅជាន់ទីពីរ"),
    ("my", "ရုံးသည် တတိယထပ်တွင် ရှိသည်။", "ရုံးသည် ဒုတိယထပ်တွင် ရှိသည်။"),
    ("ko", "사무실은 세 번째 층에 있다.", "사무실은 두 번째 층에 있다."),
    ("ja", "事務所は第三棟にある。", "事務所は第二棟にある。"),
    ("ja", "事務所は三階にある。", "事務所は二階にある。"),
    ("zh", "办公室在第三层。", "办公室在第二层。"),
    ("zh", "办公室在三楼。", "办公室在二楼。"),
    ("zh-hant", "辦公室在第三層。", "辦公室在第二層。"),
]  # fmt: skip
SAME = [
    ("de", "Die Sitzung ist am fünften Tag.", "The meeting is on the 5th day [1]."),
    ("de", "Die Sitzung ist am fünften Tag.", "Die Sitzung ist am 5. Tag [1]."),
    ("ar", "يقع المكتب في الطابق الثالث.", "The office is on the third floor [1]."),
    ("ar", "يقع المكتب في الطابق الثالث.", "办公室在第三层[1]。"),
    ("zh", "办公室在第三层。", "Le bureau est au 3ème étage [1]."),
    ("zh", "办公室在三楼。", "The office is on the third floor [1]."),
    ("ru", "Офис на 3-м этаже.", "The office is on the 3rd floor [1]."),
    ("ru", "Это 3-й этаж.", "Это третий этаж [1]."),
    ("fr", "Le bureau est au 3ème étage.", "Die Büros sind im dritten Stock [1]."),
    ("sv", "Kontoret ligger på 3:e våningen.", "Kontoret ligger på tredje våningen [1]."),
    ("id", "Kantor ada di lantai ke-3.", "Kantor ada di lantai ketiga [1]."),
    ("es", "La oficina está en el 3.º piso.", "La oficina está en el tercer piso [1]."),
    ("fa", "دفتر در طبقه ۳ است.", "دفتر در طبقه سوم است [1]."),
    ("hi", "यह ५वीं मंज़िल पर है।", "यह पाँचवीं मंज़िल पर है [1]।"),
    ("en", "The office is on floor 3.", "The office is on the third floor [1]."),
    ("en", "Offices are on floors 2 to 4.", "There are offices on the third floor [1]."),
    ("en", "Offices are on the second to the fifth floor.", "There are offices on the third floor [1]."),
    ("en", "On the second floor, dial 9 first.", "First, dial 9 on the second floor [1]."),
    ("en", "Press the button within 5 days.", "The first thing to do is to press the button [1]."),
    ("en", "The second floor is closed.", "Take a second look: the second floor is closed [1]."),
    ("pt", "Aberto de segunda a sexta.", "Aberto na terça [1]."),
    ("pt", "Aberto de segunda a sexta.", "Aberto na quarta-feira [1]."),
    ("it", "Il secondo piano è chiuso.", "Secondo la guida, il secondo piano è chiuso [1]."),
    ("en", "Almost three quarters left, the second time.", "Casi tres cuartas partes se fueron [1]."),
    ("en", "Almost three quarters left, the second time.", "Почти три четверти ушли [1]."),
    ("en", "It is the twelfth city.", "هي المدينة الثانية عشر [1]."),
    ("en", "Louis was the fourteenth king of that name.", "Louis XIV was king [1]."),
]
OTHER = [
    ("en", "The office is on the second floor, room 3.", "The office is on the third floor [1]."),
    ("en", "The office is on floor 2.", "The office is on the third floor [1]."),
    ("en", "The office is on the 2nd floor.", "The office is on the third floor [1]."),
    ("en", "The office is on the second floor.", "The office is on the 3rd floor [1]."),
    ("en", "The office is on the second floor.", "The office is on the first floor [1]."),
    ("en", "The office is on the third floor.", "办公室在第二层[1]。"),
    ("ar", "يقع المكتب في الطابق الثاني.", "The office is on the third floor [1]."),
    ("de", "Das Büro ist im fünften Stock.", "The office is on the second floor [1]."),
    ("sv", "Kontoret ligger på andra våningen.", "Kontoret ligger på 3:e våningen [1]."),
    ("fr", "Le bureau est au 2ème étage.", "Le bureau est au 3ème étage [1]."),
    ("de", "Der Vertrag endet im zweiten Jahr.", "Der Vertrag endet im dritten Jahr [1]."),
]  # fmt: skip


def verdicts(language: str, passage: str, answer: str) -> set[str]:
    page = Document(passage, metadata={"source": "page.md", "language": language})
    return {sentence["verdict"] for sentence in verify_citations(answer, [page])["sentences"]}


def cited(sentence: str) -> str:
    """Put the marker in front of the last character, the full stop."""
    return f"{sentence} [1]"


@pytest.mark.parametrize(("language", "third", "second"), FLOORS)
def test_another_floor_is_another_statement(language: str, third: str, second: str) -> None:
    page = Document(second, metadata={"source": "page.md", "language": language})
    other = verify_citations(cited(third), [page], language=language)["sentences"]
    same = verify_citations(cited(second), [page], language=language)["sentences"]
    assert [one["verdict"] for one in other] == ["unsupported"]
    assert [one["verdict"] for one in same] == ["supported"]
    assert [one.number for one in find_ordinals(normalize_text(third), language)] == [3]
    assert [one.number for one in find_ordinals(normalize_text(second), language)] == [2]


@pytest.mark.parametrize(("language", "passage", "answer"), SAME)
def test_the_same_place_in_other_words_is_supported(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer) == {"supported"}


@pytest.mark.parametrize(("language", "passage", "answer"), OTHER)
def test_another_place_is_found(language: str, passage: str, answer: str) -> None:
    assert verdicts(language, passage, answer) == {"unsupported"}
