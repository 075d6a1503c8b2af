"""Characters of symbol fonts, which documents store under the numbers of other characters.

In the font Symbol, "m" is shown as μ: 5 mg and 5 μg differ in nothing else.
"""

from __future__ import annotations

__all__ = ["is_symbol_font", "read_symbol", "read_symbols"]

# The encoding of Adobe's Symbol, from 0x20 and from 0xA0 on.
_SYMBOL = dict(
    enumerate(
        " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",
        0x20,
    )
) | dict(enumerate("€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪", 0xA0))
_SYMBOL |= dict(enumerate("〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭", 0xF1))
_WINGDINGS = {
    **{0x28: "☎", 0x2A: "✉", 0x36: "⌛", 0x41: "✌", 0x43: "👍", 0x44: "👎", 0x46: "☞", 0x4A: "☺", 0x4C: "☹"},
    **{0x6C: "●", 0x6D: "❍", 0x6E: "■", 0x6F: "□", 0x70: "◻", 0x71: "❑", 0x72: "❒", 0x75: "◆", 0x76: "❖"},
    **{0x77: "⬥", 0x78: "⌧", 0x9F: "•", 0xA1: "○", 0xA7: "▪", 0xA8: "◻", 0xAB: "★", 0xD8: "➢", 0xDF: "←"},
    **{0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩"},
    **{0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"},
    **dict(enumerate("⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿", 0x80)),
}
_FONTS = {
    "symbol": _SYMBOL,
    "wingdings": _WINGDINGS,
    "wingdings 2": {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "□"},
    "webdings": {0x61: "✔", 0x63: "□", 0x72: "✗"},
}


def is_symbol_font(font: str) -> bool:
    """Tell whether a font shows other characters than those that are stored."""
    return font.lower() in _FONTS


def read_symbol(font: str, code: int) -> str:
    """Return the character that a font shows for a number; U+FFFD if that is not known."""
    place = code - 0xF000 if 0xF000 <= code <= 0xF0FF else code
    table = _FONTS.get(font.lower())
    if table is not None:
        return table.get(place, "\ufffd")
    return chr(place) if 0x20 <= place < 0xE000 else "\ufffd"


def read_symbols(font: str, text: str) -> str:
    """Return a text in a symbol font as it is shown. Spaces and what is beyond the font stay."""
    return "".join(
        read_symbol(font, ord(char)) if " " < char < "\u0100" or "\uf000" <= char <= "\uf0ff" else char
        for char in text
    )
