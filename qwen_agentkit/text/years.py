"""Years of eras and decades in words, rewritten in digits of the common era in a normalized text."""

from __future__ import annotations

import re

__all__ = ["rewrite_years"]

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
