"""What is said in words about times, years and amounts, rewritten in digits: "half past seven" is 7:30.

Knows how languages say half and quarter hours, decades, and the first years of eras.
"""

from __future__ import annotations

import re
from functools import lru_cache

from qwen_agentkit.text.folding import normalize_text
from qwen_agentkit.text.numerals import hour_words

__all__ = ["knows_half_hours", "rewrite_amounts", "rewrite_years", "spoken_times"]

# The hour is {h}; the minutes are added to it. A half may be counted back from the hour that comes.
_SAYINGS: dict[str, dict[str, int]] = {
    "en": {
        "half[- ]past {h}": 30, "half {h}": 30, "(?:a )?quarter past {h}": 15, "(?:a )?quarter to {h}": -15,
        "{h} thirty": 30, "{h} fifteen": 15, "{h} forty-five": 45,
    },
    "de": {
        "halb {h}": -30, "viertel nach {h}": 15, "viertel vor {h}": -15, "dreiviertel {h}": -15,
        "viertel {h}": -45, "{h} uhr dreißig": 30, "{h} uhr fünfzehn": 15, "{h} uhr fünfundvierzig": 45,
    },
    "nl": {"half {h}": -30, "kwart over {h}": 15, "kwart voor {h}": -15},
    "sv": {"halv {h}": -30, "kvart över {h}": 15, "kvart i {h}": -15},
    "da": {"halv {h}": -30, "kvart over {h}": 15, "kvart i {h}": -15},
    "no": {"halv {h}": -30, "kvart over {h}": 15, "kvart på {h}": -15},
    "fr": {
        "{h} ?(?:heures?|h) et demie?": 30, "{h} ?(?:heures?|h) et quart": 15,
        "{h} ?(?:heures?|h) moins (?:le )?quart": -15, "{h} heures trente": 30, "{h} heures quinze": 15,
    },
    "es": {"{h} y media": 30, "{h} y cuarto": 15, "{h} menos cuarto": -15, "{h} y treinta": 30},
    "pt": {"{h} e meia": 30, "{h} e (?:um )?quarto": 15, "{h} e trinta": 30, "{h} e quinze": 15},
    "it": {"{h} e mezz[ao]": 30, "{h} e trenta": 30, "{h} e un quarto": 15, "{h} meno un quarto": -15},
    "ru": {"(?:половин[аеуы] |пол){o}": -30, "четверть {o}": -45, "{h} (?:часов |часа )?тридцать": 30},
    "uk": {"пів на {o}": -30, "пів {o}": -30},
    "pl": {"wpół do {o}": -30},
    "cs": {"půl {o}": -30},
    "ar": {
        "{h} و ?(?:ال)?نصف": 30, "{h} و ?(?:ال)?ربع": 15, "{h} الا (?:ال)?ربعا?": -15,
        "{h} و ?(?:ال)?ثلث": 20, "{h} الا (?:ال)?ثلثا?": -20,
    },
    "fa": {"{h} و نیم": 30, "{h} و ربع": 15, "یک ?ربع به {h}": -15},
    "he": {"{h} וחצי": 30, "{h} ורבע": 15, "רבע ל{h}": -15},
    "tr": {"{h} buçu[kğ]\\w{0,4}": 30, "{h}'?y[iıuü] çeyrek geç\\w*": 15,
    "{h}'?[yae]+ çeyrek (?:kala|var)": -15},
    "hu": {"fél {h}": -30, "negyed {h}": -45, "háromnegyed {h}": -15},
    "fi": {"puoli {h}": -30, "vartt[ia]a? yli {h}": 15, "vartt[ia]a? vaille {h}": -15},
    "et": {"pool {h}": -30, "veerand {h}": -45, "kolmveerand {h}": -15},
    "ro": {"{h} și jumătate": 30, "{h} și un sfert": 15, "{h} fără un sfert": -15},
    "el": {"{h} και μισή": 30, "{h} και τέταρτο": 15, "{h} παρά τέταρτο": -15},
    "ca": {"dos quarts de {h}": -30, "un quart de {h}": -45, "tres quarts de {h}": -15},
    "bg": {"{h} и половина": 30, "{h} и четвърт": 15},
    "sk": {"pol {o}": -30},
    "sw": {"saa {h}(?= (?:asubuhi|mchana|jioni|usiku|alfajiri))": 360, "saa {h} na nusu": 390},
    "hi": {"साढ़े {h}": 30, "सवा {h}": 15, "पौने {h}": -15},
    "ur": {"ساڑھے {h}": 30, "سوا {h}": 15, "پونے {h}": -15},
    "bn": {"সাড়ে {h}": 30, "সওয়া {h}": 15, "পৌনে {h}": -15},
    "id": {"setengah {h}": -30, "{h} (?:lewat )?seperempat": 15, "{h} kurang seperempat": -15},
    "vi": {"{h} (?:giờ )?rưỡi": 30},
    "th": {
        "{h} ?ทุ่ม ?ครึ่ง": 1110, "{h} ?ทุ่ม": 1080, "บ่าย ?{h} ?โมง ?ครึ่ง": 750,
        "{h} ?โมง ?เย็น ?ครึ่ง": 750,
        "บ่าย ?{h} ?โมง": 720, "{h} ?โมง ?เย็น": 720, "{h} ?(?:โมง(?:เช้า)?|นาฬิกา) ?ครึ่ง": 30,
        "{h} ?โมง ?เช้า": 0,
    },
    "ko": {"{h} ?시 ?반": 30},
    "zh": {"{h}[点點]半": 30, "{h}[点點]一刻": 15, "{h}[点點]三刻": 45},
    "ja": {"{h}時半": 30},
}  # fmt: skip
# The hour that comes, as an ordinal number: половина восьмого.
_COMING = {
    "ru": "первого второго третьего четвертого пятого шестого седьмого восьмого девятого десятого "
    "одиннадцатого двенадцатого",
    "uk": "першу другу третю четверту п'яту шосту сьому восьму дев'яту десяту одинадцяту дванадцяту",
    "pl": "pierwszej drugiej trzeciej czwartej piątej szóstej siódmej ósmej dziewiątej dziesiątej jedenastej "
    "dwunastej",
    "cs": "jedné druhé třetí čtvrté páté šesté sedmé osmé deváté desáté jedenácté dvanácté",
    "sk": "jednej druhej tretej štvrtej piatej šiestej siedmej ôsmej deviatej desiatej jedenástej dvanástej",
}
# Minutes before and behind an hour or half an hour: {m} is five, ten, twenty or twenty-five.
_MINUTES: dict[str, dict[str, int]] = {
    "en": {"{m}(?: minutes)? past {h}": 1, "{m} to {h}": -1},
    "de": {"{m}(?: minuten)? nach {h}": 1, "{m}(?: minuten)? vor {h}": -1},
    "nl": {"{m}(?: minuten)? over {h}": 1, "{m}(?: minuten)? voor {h}": -1},
    "sv": {"{m}(?: minuter)? över {h}": 1, "{m}(?: minuter)? i {h}": -1},
    "da": {"{m}(?: minutter)? over {h}": 1, "{m}(?: minutter)? i {h}": -1},
    "no": {"{m}(?: minutter)? over {h}": 1, "{m}(?: minutter)? på {h}": -1},
    "fr": {"{h} heures? {m}": 1, "{h} heures? moins {m}": -1},
    "es": {"las {h} y {m}": 1, "las {h} menos {m}": -1}, "pt": {"às {h} e {m}": 1},
    "it": {"alle {h} e {m}": 1},
}  # fmt: skip
_HALF = {"de": ("halb", -30), "nl": ("half", -30)}
_LETTER = r"[^\W\u0e00-\u9fff\uac00-\ud7a3]"
"""A letter of a script with spaces between words."""
_NOON = re.compile(
    rf"(?<!{_LETTER})(?:(?:12 |twelve )?noon|midday|(?<!apr[eè]s-)(?<!a )midi|mediodía|mezzogiorno|meio-dia"
    r"|полдень|полудня|полуднем?|polední?|keskipäiv\w*|正午|정오|منتصف النهار|เที่ยงวัน)"
    rf"(?!{_LETTER})"
)
_MIDNIGHT = re.compile(
    rf"(?<!{_LETTER})(?:(?:12 |twelve )?midnight|mitternacht|minuit|medianoche|mezzanotte|meia-noite"
    r"|middernacht|полноч[ьи]|опівночі|o północy|půlnoc[ie]?|midnatt?|keskiyö\w*|éjfél\w*|μεσάνυχτα"
    r"|miezul nopții|gece yarısı\w*|午夜|真夜中|자정|منتصف الليل|نيمه ?شب|חצות|आधी रात|เที่ยงคืน|nửa đêm"
    rf"|tengah malam)(?!{_LETTER})"
)
_NO_HOURS = ("a", "an", "once", "twice")
# Half an hour as a time that something takes.
_HALF_HOURS = re.compile(
    "half an hour|halbe[n]? stunde|demi-heure|media hora|mezz'ora|meia hora|half uur|полчаса|півгодини"
    "|pół godziny|půl hodiny|halvtimme|نصف ساعه|نيم ساعت|חצי שעה|yarım saat"
    "|आधा घंटा|आधे घंटे|半小时|半小時|半个小时|半個小時|半時間"
    "|반 ?시간|ครึ่งชั่วโมง|nửa giờ|setengah jam|نصف ساعة|μισή ώρα|félóra|fél óra|puoli tuntia"
    "|jumătate de oră"
)
_QUARTER_HOURS = re.compile(
    "(?P<three>three quarters of an hour|dreiviertelstunde|trois quarts d'heure"
    "|tres cuartos de hora|三刻钟|三刻鐘)"
    "|(?:an? )?quarter of an hour|(?:eine )?viertelstunde|(?:un )?quart d'heure|(?:un )?cuarto de hora"
    "|(?:un )?quarto d'ora|(?:um )?quarto de hora|(?:een )?kwartier|четверть часа|kwadrans|ربع ساعة"
    "|一刻钟|一刻鐘"
)
_HAN_HOUR = {
    **{sign: n for n, sign in enumerate("一二三四五六七八九十", 1)},
    "两": 2,
    "兩": 2,
    "十一": 11,
    "十二": 12,
}


def knows_half_hours(language: str) -> bool:
    """Tell whether it is known how a language says half an hour."""
    return language.split("-")[0] in _SAYINGS


def spoken_times(text: str, language: str) -> tuple[str, dict[str, str]]:
    """Rewrite the times that are said in words in a normalized text.

    Returns:
        The text with times such as 7:30, and the words that each of them replaces.
    """
    said: dict[str, str] = {}
    code = language.split("-")[0]
    text = _HALF_HOURS.sub(" 30 minutes ", text)
    text = _QUARTER_HOURS.sub(lambda found: f" {45 if found['three'] else 15} minutes ", text)
    for pattern, time in ((_MIDNIGHT, "00:00"), (_NOON, "12:00")):
        for found in pattern.finditer(text):
            said[time] = found[0]
        text = pattern.sub(f" {time}{' pm' if pattern is _NOON else ''} ", text)
    for pattern, minutes, hours in _compile_sayings(code):

        def write(match: re.Match[str], minutes: int = minutes, hours: dict[str, int] = hours) -> str:
            hour = hours.get(match["hour"]) or int(match["hour"])
            if hour > 24:
                return match[0]
            total = (hour * 60 + minutes + _said_minutes(match, code)) % 1440
            if hour <= 12 and abs(minutes) < 60:
                total += 720 if total < 60 else -720 if total >= 1380 else 0  # before one it is 12:30
            time = f"{total // 60}:{total % 60:02}"
            said[time] = match[0].strip()
            return f" {time} "

        text = pattern.sub(write, text)
    return text, said


@lru_cache(maxsize=32)
def _compile_sayings(code: str) -> list[tuple[re.Pattern[str], int, dict[str, int]]]:
    words = {word: n for word, n in hour_words(code).items() if n <= 12 and word not in _NO_HOURS}
    if code in ("zh", "ja"):
        words = dict(_HAN_HOUR)
    coming = {normalize_text(word): n for n, word in enumerate(_COMING.get(code, "").split(), 1)}
    article = "(?:ال)?" if code == "ar" else ""
    compiled = []
    for saying, minutes in [*_minute_sayings(code), *_SAYINGS.get(code, {}).items()]:
        hours = coming if "{o}" in saying else words
        either = "|".join([*sorted(map(re.escape, hours), key=len, reverse=True), r"\d{1,2}"])
        edge = "" if code in ("zh", "ja", "th", "ko") else r"(?<![\w:.,])"
        plain = saying.replace("{h}", "\0").replace("{o}", "\0")
        # Only letters are normalized: the pattern has its own signs.
        plain = re.sub(r"[^\x00-\x7f]+", lambda match: normalize_text(match[0]), plain)
        body = plain.replace("\0", f"{article}(?P<hour>{either})")
        tail = "" if code in ("bn", "ja", "ko", "ru", "th", "zh") else r"(?![\w:])"
        tail = "(?:-?(?:kor|r[ae]|ig|t[óő]l))?" + tail if code == "hu" else tail
        compiled.append((re.compile(edge + body + tail), minutes, hours))
    return compiled


def _minute_sayings(code: str) -> list[tuple[str, int]]:
    """Return the sayings with minutes; "past" is 0 and "to" a group that tells that they are taken away."""
    names = {normalize_text(word) for word, n in hour_words(code, sure=True).items() if n in (5, 10, 20)}
    found = []
    for saying, sign in _MINUTES.get(code, {}).items():
        either = "|".join([*sorted(names, key=len, reverse=True), "25", "20", "10", "5"])
        said = f"(?P<{'more' if sign > 0 else 'less'}>{either})"
        if code == "en" and sign < 0:  # "Open ten to six" is a range.
            said = (
                f"(?P<less>(?:(?<=at )(?:{either})|(?:{either})(?= minutes)|twenty-five|twenty))(?: minutes)?"
            )
        if code in _HALF:
            half, minutes = _HALF[code]
            found.append((saying.replace("{m}", said).replace("{h}", f"{half} {{h}}"), minutes))
        found.append((saying.replace("{m}", said), 0))
    return found


def _said_minutes(match: re.Match[str], code: str) -> int:
    """Return the minutes that a saying adds to the hour or takes from it."""
    groups = match.groupdict()
    for name, sign in (("more", 1), ("less", -1)):
        if word := groups.get(name):
            named = 25 if word == "twenty-five" else hour_words(code).get(word)
            return sign * (named or int(word))
    return 0


# The year before the first of each era.
_ERAS = {"民国": 1911, "民國": 1911, "令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}
_ERA = re.compile(f"({'|'.join(_ERAS)}) ?(\\d{{1,3}}|元)(?=年)")
_BUDDHIST = re.compile(r"(?:พ\.?ศ\.?|ปี พ\.ศ\.|\bb\.?e\.?) ?(\d{4})")
_DECADES = {
    **{
        f"{word}ies": tens
        for word, tens in zip(
            ("twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet"),
            range(20, 100, 10),
            strict=True,
        )
    },
    **{
        f"{word}iger": tens
        for word, tens in zip(
            ("zwanz", "dreiß", "vierz", "fünfz", "sechz", "siebz", "achtz", "neunz"),
            range(20, 100, 10),
            strict=True,
        )
    },
    **{"девяност": 90, "восьмидесят": 80, "семидесят": 70, "шестидесят": 60, "пятидесят": 50},
}
_DECADE = re.compile(rf"(?<!\w)({'|'.join(_DECADES)})(?:n|jahre|ые|ых|ым|ыми)?(?!\w)")


_YEARS = re.compile(r"(?<![\d.-])((?:1\d|20)\d\d)-(\d{2})(?![\d-])")


def _write_years(match: re.Match[str]) -> str:
    """Write 2019-21 as 2019-2021; 2010-12 may be a month."""
    last = int(match[2])
    return f"{match[1]}-{match[1][:2]}{match[2]}" if last > max(12, int(match[1][2:])) else match[0]


def rewrite_years(text: str) -> str:
    """Rewrite the years of eras in a normalized text as those of the common era, and decades in digits."""
    text = _ERA.sub(lambda found: str(_ERAS[found[1]] + (1 if found[2] == "元" else int(found[2]))), text)
    text = _YEARS.sub(_write_years, text)
    text = _BUDDHIST.sub(lambda found: f" {int(found[1]) - 543} ", text)
    return _DECADE.sub(lambda found: f"{_DECADES[found[1]]}s", text)


_MILLIONS = re.compile(r"(?<=\d) ?(?:M(?![\w²³])|(?i:mn|mln)(?!\w))|(?<=\d)M(?=[€$£])")
_THOUSANDS = re.compile(r"(?<=\d)K(?!\w)")
_BILLIONS = re.compile(r"(?<=\d) ?(?:bn|Bn|BN)(?!\w)|(?<=\d)B(?!\w)")
_MONEY_MILLIONS = re.compile(r"([$€£¥₹]\s?\d[\d.,]*) ?m(?!\w)")
_QUARTER = re.compile(r"(?<!\w)[QH]([1-4])(?!\w)")
_CODE_AND_NUMBER = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?=\d)")


_VERSION = re.compile(r"(?<!\w)[vV](?=\d{1,4}\.\d)")
_FEET = re.compile(r"(?<!\w)(\d)['′’] ?(\d{1,2}) ?(?:[\"″”]|'')")


def rewrite_amounts(text: str) -> str:
    """Write the short signs of a text apart from their numbers: 2.5M, €3bn, EUR12, Q3, v2.1, 5'10"."""
    text = _FEET.sub(r"\1 feet \2 inches", _VERSION.sub("", text))
    text = _MONEY_MILLIONS.sub(r"\1 million", text)
    text = _MILLIONS.sub(" million", _BILLIONS.sub(" billion", _THOUSANDS.sub(" thousand", text)))
    return _CODE_AND_NUMBER.sub(_apart, _QUARTER.sub(r" \1 ", text))


def _apart(match: re.Match[str]) -> str:
    from qwen_agentkit.text.measures import is_currency_code

    return f"{match[1]} " if is_currency_code(match[1]) else match[1]
