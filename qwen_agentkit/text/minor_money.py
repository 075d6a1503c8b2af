"""Words for parts of a currency: cents, pence, копейки, فلس. Knows a table; CLDR has no such words.

A part is written as its currency and how many make one: "EUR/100".
"""

from __future__ import annotations

from functools import lru_cache

from qwen_agentkit.text.folding import normalize_text

__all__ = ["minor_forms", "share_of"]

_CENT = "AUD/100 CAD/100 EUR/100 HKD/100 NZD/100 SGD/100 USD/100 ZAR/100"
_CENTAVO = "ARS/100 BRL/100 COP/100 CUP/100 MXN/100 PHP/100 USD/100"
_FILS = "AED/100 BHD/1000 IQD/1000 JOD/1000 KWD/1000"

# French "cent" is the number 100, and Chinese "分" a minute or a part of anything: they are left out.
_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "cent cents c ¢": _CENT, "penny pence pennies p": "GBP/100", "paisa paise": "INR/100 NPR/100 PKR/100",
        "centime centimes": "CHF/100 DZD/100 MAD/100", "fils": _FILS, "halala halalas": "SAR/100",
        "piastre piastres": "EGP/100 LBP/100", "kopek kopeks kopecks": "BYN/100 RUB/100 UAH/100",
    },
    "ar": {
        "سنت سنتا سنتات": _CENT, "فلس فلسا فلوس": _FILS, "قرش قرشا قروش": "EGP/100 LBP/100 SYP/100",
        "هللة هللات": "SAR/100", "بيسة بيسات": "OMR/1000", "مليم مليما مليمات": "EGP/1000 TND/1000",
        "سنتيم سنتيما سنتيمات": "DZD/100 MAD/100",
    },
    "bg": {"стотинка стотинки": "BGN/100"},
    "cs": {"haléř haléře haléřů": "CZK/100", "cent centy centů": _CENT},
    "da": {"øre": "DKK/100", "cent": _CENT},
    "de": {"cent cents": _CENT, "rappen": "CHF/100", "pence": "GBP/100"},
    "el": {"λεπτό λεπτά": "EUR/100"},
    "es": {"céntimo céntimos": "EUR/100", "centavo centavos": _CENTAVO},
    "fa": {"سنت": _CENT},
    "fi": {"sentti senttiä": _CENT},
    "fr": {"centime centimes": "CHF/100 DZD/100 EUR/100 MAD/100", "cents": _CENT},
    "he": {"סנט סנטים": _CENT, "אגורה אגורות": "ILS/100"},
    "hi": {"पैसा पैसे": "INR/100"},
    "hu": {"fillér": "HUF/100"},
    "id": {"sen": "IDR/100 USD/100"},
    "it": {"centesimo centesimi": "CHF/100 EUR/100 USD/100"},
    "ja": {"セント": _CENT, "ペンス": "GBP/100", "銭": "JPY/100"},
    "ko": {"센트": _CENT, "펜스": "GBP/100"},
    "nl": {"cent": _CENT},
    "no": {"øre": "NOK/100", "cent": _CENT},
    "pl": {"grosz grosze groszy gr": "PLN/100", "cent centy centów": _CENT},
    "pt": {"cêntimo cêntimos": "EUR/100", "centavo centavos": _CENTAVO},
    "ro": {"ban bani": "MDL/100 RON/100", "cent cenți": _CENT},
    "ru": {"копейка копейки копеек коп": "BYN/100 RUB/100 UAH/100", "цент цента центов": _CENT},
    "sk": {"cent centy centov": _CENT},
    "sv": {"öre": "SEK/100", "cent": _CENT},
    "th": {"สตางค์": "THB/100", "เซนต์": _CENT},
    "tr": {"kuruş": "TRY/100", "sent": _CENT},
    "uk": {"копійка копійки копійок коп": "UAH/100", "цент цента центів": _CENT},
    "ur": {"پیسہ پیسے": "PKR/100", "سینٹ": _CENT},
    "vi": {"xu": "USD/100"},
    "zh": {
        "角 毛 毛钱": "CNY/10", "分钱": "CNY/100", "美分": "USD/100", "欧分": "EUR/100", "便士": "GBP/100",
    },
    "zh-hant": {"角 毛": "CNY/10 TWD/10", "分錢": "CNY/100", "美分": "USD/100", "歐分": "EUR/100"},
}  # fmt: skip


@lru_cache(maxsize=64)
def minor_forms(language: str) -> dict[str, frozenset[str]]:
    """Return normalized words for parts of money and the parts that each may mean."""
    return {
        normalize_text(word): frozenset(parts.split())
        for words, parts in _WORDS.get(language, {}).items()
        for word in words.split()
    }


def share_of(meaning: str) -> tuple[str, int] | None:
    """Return the currency of a kind of money, and how many make one of it; None if it is no money."""
    code, _, count = meaning.partition("/")
    return (code, int(count or 1)) if len(code) == 3 and code.isupper() else None
