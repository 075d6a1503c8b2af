"""Times in words, rewritten in digits: "half past seven" is 7:30.

The table of sayings has {h} for the hour, to which minutes are added: a half may be counted back from the
hour that comes. {o} is the hour that comes as an ordinal number (половина восьмого), and {m} five, ten,
twenty or twenty-five minutes, added (1) or taken away (-1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

from qwen_agentkit.text.data_files import load_table
from qwen_agentkit.text.folding import normalize_pattern, normalize_text
from qwen_agentkit.text.numerals import hour_words

__all__ = ["knows_half_hours", "spoken_times"]

_LETTER = r"[^\W\u0e00-\u9fff\uac00-\ud7a3]"
"""A letter of a script with spaces between words."""
_NO_HOURS = ("a", "an", "once", "twice")
_TimeOf = Callable[[re.Match[str]], str | None]


def knows_half_hours(language: str) -> bool:
    """Tell whether it is known how a language says half an hour."""
    return language.split("-")[0] in load_table("times")["sayings"]


def spoken_times(text: str, language: str) -> tuple[str, dict[str, str]]:
    """Rewrite the times that are said in words in a normalized text.

    Returns:
        The text with times such as 7:30, and the words that each of them replaces.
    """
    said: dict[str, str] = {}
    code = language.split("-")[0]
    for pattern, minutes in _compile_durations():
        text = pattern.sub(f" {minutes} minutes ", text)
    for pattern, time, half in _compile_named_hours():
        for found in pattern.finditer(text):
            said[time] = found[0]
        text = pattern.sub(f" {time}{half} ", text)
    for pattern, time_of in _compile_sayings(code):
        text = pattern.sub(partial(_write_time, time_of, said), text)
    return text, said


def _write_time(time_of: _TimeOf, said: dict[str, str], match: re.Match[str]) -> str:
    """Write a time in digits, and note its words."""
    time = time_of(match)
    if time is None:
        return match[0]
    said[time] = match[0].strip()
    return f" {time} "


def _read_time(minutes: int, hours: dict[str, int], code: str, match: re.Match[str]) -> str | None:
    """Return the time of a saying; None if it names no hour of a day."""
    hour = hours.get(match["hour"]) or int(match["hour"])
    if hour > 24:
        return None
    total = (hour * 60 + minutes + _said_minutes(match, code)) % 1440
    if hour <= 12 and abs(minutes) < 60:
        total += 720 if total < 60 else -720 if total >= 1380 else 0  # before one it is 12:30
    return f"{total // 60}:{total % 60:02}"


@lru_cache(maxsize=1)
def _compile_durations() -> list[tuple[re.Pattern[str], int]]:
    """Return the words for parts of an hour that something takes, and their minutes."""
    parts = (("half_hour", 30), ("three_quarters", 45), ("quarter", 15))
    return [(re.compile("|".join(load_table("times")[part])), minutes) for part, minutes in parts]


@lru_cache(maxsize=1)
def _compile_named_hours() -> list[tuple[re.Pattern[str], str, str]]:
    """Return the words for midnight and noon, their times, and the half of the day to write."""
    hours = (("midnight", "00:00", ""), ("noon", "12:00", " pm"))
    return [
        (re.compile(rf"(?<!{_LETTER})(?:{'|'.join(load_table('times')[name])})(?!{_LETTER})"), time, half)
        for name, time, half in hours
    ]


@lru_cache(maxsize=32)
def _compile_sayings(code: str) -> list[tuple[re.Pattern[str], _TimeOf]]:
    """Return the sayings of a language with what reads them."""
    times = load_table("times")
    words = {word: n for word, n in hour_words(code).items() if n <= 12 and word not in _NO_HOURS}
    coming = {normalize_text(word): n for n, word in enumerate(times["coming"].get(code, "").split(), 1)}
    article = "(?:ال)?" if code == "ar" else ""
    compiled: list[tuple[re.Pattern[str], _TimeOf]] = []
    for saying, minutes in [*_minute_sayings(code), *times["sayings"].get(code, {}).items()]:
        hours = coming if "{o}" in saying else words
        either = "|".join([*sorted(map(re.escape, hours), key=len, reverse=True), r"\d{1,2}"])
        edge = "" if code in ("zh", "ja", "th", "ko") else r"(?<![\w:.,])"
        plain = saying.replace("{h}", "\0").replace("{o}", "\0")
        body = normalize_pattern(plain).replace("\0", f"{article}(?P<hour>{either})")
        tail = "" if code in ("bn", "ja", "ko", "ru", "th", "zh") else r"(?![\w:])"
        tail = "(?:-?(?:kor|r[ae]|ig|t[óő]l))?" + tail if code == "hu" else tail
        compiled.append((re.compile(edge + body + tail), partial(_read_time, minutes, hours, code)))
    return compiled


def _minute_sayings(code: str) -> list[tuple[str, int]]:
    """Return the sayings with minutes; "past" is 0 and "to" a group that tells that they are taken away."""
    times = load_table("times")
    names = {normalize_text(word) for word, n in hour_words(code, sure=True).items() if n in (5, 10, 20)}
    found = []
    for saying, sign in times["minutes"].get(code, {}).items():
        either = "|".join([*sorted(names, key=len, reverse=True), "25", "20", "10", "5"])
        said = f"(?P<{'more' if sign > 0 else 'less'}>{either})"
        if code == "en" and sign < 0:  # "Open ten to six" is a range.
            said = (
                f"(?P<less>(?:(?<=at )(?:{either})|(?:{either})(?= minutes)|twenty-five|twenty))(?: minutes)?"
            )
        if half := times["halves"].get(code):  # "fünf vor halb acht"
            found.append((saying.replace("{m}", said).replace("{h}", f"{half} {{h}}"), -30))
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
