"""Formats of strings as regular expressions: those of JSON Schema and of pydantic. Knows no grammars."""

from __future__ import annotations

__all__ = ["ANY_STRING", "CALENDAR", "PATTERNS"]

_DATE = (
    "(?:(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(?:"
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)
_CLOCK_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_TIME = f"{_CLOCK_TIME}(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"

_MINUTES = "[0-9]{1,4}M(?:[0-9]{1,4}S)?"
_CLOCK = f"T(?:[0-9]{{1,4}}H(?:{_MINUTES})?|{_MINUTES}|[0-9]{{1,4}}S)"
_MONTHS = "[0-9]{1,3}M(?:[0-9]{1,4}D)?"
_DURATION = (
    f"P(?:[0-9]{{1,3}}W|(?:[0-9]{{1,3}}Y(?:{_MONTHS})?|{_MONTHS}|[0-9]{{1,4}}D)(?:{_CLOCK})?|{_CLOCK})"
)

CALENDAR = {"date": _DATE, "time": _TIME, "date-time": f"{_DATE}T{_TIME}", "duration": _DURATION}
"""Patterns of valid dates and times: 29 February only in leap years, no year 0, no leap seconds; durations of
numbers that can be computed with."""

ANY_STRING = ("binary", "password", "path")
"""Formats that every string satisfies."""

_HEX = "[0-9a-fA-F]"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_IPV6 = f"{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{7}}"
# A network has zeros behind its prefix; those that end with a byte are written as people do.
_NETWORK4 = (
    rf"(?:{_BYTE}\.0\.0\.0/8|{_BYTE}\.{_BYTE}\.0\.0/16|{_BYTE}\.{_BYTE}\.{_BYTE}\.0/24|{_IPV4}(?:/32)?)"
)
_INTERFACE4, _INTERFACE6 = rf"{_IPV4}(?:/(?:3[0-2]|[12]?[0-9]))?", f"{_IPV6}(?:/128)?"
_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
_EMAIL = rf"[a-zA-Z0-9_+-]+(?:\.[a-zA-Z0-9_+-]+)*@{_HOST}"


def _uuid(version: str) -> str:
    """A UUID of a version, whose variant is then that of RFC 9562."""
    return f"{_HEX}{{8}}-{_HEX}{{4}}-{version}{_HEX}{{3}}-[89abAB]{_HEX}{{3}}-{_HEX}{{12}}"


PYDANTIC = {
    **{f"uuid{version}": _uuid(version) for version in "12345678"},
    "ipv4network": _NETWORK4,
    "ipv6network": _INTERFACE6,
    "ipv4interface": _INTERFACE4,
    "ipv6interface": _INTERFACE6,
    "ipvanyaddress": f"(?:{_IPV4}|{_IPV6})",
    "ipvanynetwork": f"(?:{_NETWORK4}|{_INTERFACE6})",
    "ipvanyinterface": f"(?:{_INTERFACE4}|{_INTERFACE6})",
    "base64": "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
    "base64url": "(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?",
    "name-email": _EMAIL,
    "naive-date-time": f"{_DATE}T{_CLOCK_TIME}",
}
"""Formats of pydantic's types, which JSON Schema does not have; the last one is ours."""

PATTERNS = {
    **CALENDAR,
    **PYDANTIC,
    "uuid": f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "hostname": _HOST,
    "email": _EMAIL,
    "uri": rf"[a-z][a-z0-9+-]*:\/\/{_HOST}(?:\/[a-zA-Z0-9._~%?#&=\/+-]*)?",
    **dict.fromkeys(ANY_STRING, "(?s:.*)"),
}
"""All formats that can be written as regular expressions, some of them narrower than the format."""
