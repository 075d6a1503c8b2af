"""Which elements of a web page are left out: what no reader sees, and what surrounds the content."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

from qwen_agentkit.ingest.markup import Tag
from qwen_agentkit.ingest.webforms import is_chosen
from qwen_agentkit.text.languages import detect_language

__all__ = ["HIDDEN", "Visibility", "asks_for_consent", "is_note", "page_language", "position_of"]

HIDDEN = frozenset(
    {"annotation", "annotation-xml", "del", "iframe", "noscript", "object", "rp", "rt", "svg", "template"}
)
"""Elements whose text is not shown, is deleted, or says the same again."""
_CONTROLS = frozenset({"button", "datalist"})
_AROUND = frozenset({"nav", "dialog"})
_AROUND_PAGE = frozenset({"aside", "footer", "header"})
"""Elements that surround the content, unless they are a part of an article."""
_ROLES = frozenset({
    "alertdialog", "banner", "complementary", "contentinfo", "dialog", "menu", "menubar", "navigation",
    "search", "toolbar",
})  # fmt: skip
_PARTS = ("main", "article", "blockquote", "figure")

_DECLARATION = re.compile(
    r"(?:^|[;{\s])(display|visibility|opacity|font-size|vertical-align|position|top|bottom|text-decoration(?:-line)?)\s*:\s*"
    r"([^;{}!]{1,100})",
    re.I,
)
"""What a style says of how text is seen."""
_LENGTH = re.compile(r"([-+]?\d*\.?\d+)(em|rem|ex|px|pt|%)")
_HAIRS = {"em": 0.15, "rem": 0.15, "ex": 0.3, "px": 3.0, "pt": 2.0, "%": 15.0}
"""Lengths below which text is only set straight."""
_NOTHING = re.compile(r"0*\.?0+(?:px|pt|em|rem|%)?")
_SELECTOR = re.compile(r"(?:[a-z][\w-]*)?[.#][\w-]+")
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_CONSENT = re.compile(
    r"(?:cookies?|consent|gdpr|ccpa|privacy)[-_]?"
    r"(?:banner|bar|box|consent|dialog|disclaimer|info|law|layer|message|modal|notice|notification|overlay|panel|"
    r"policy-?bar|popup|prompt|settings|toast|wall|warning|wrapper)|onetrust|cookiebot|cookieyes|didomi|"
    r"usercentrics|cky-consent|cc-window|truste|iubenda",
    re.I,
)
_MAYBE_CONSENT = re.compile(r"(?:^|\s)(?:cookies?|consent|gdpr)(?:$|\s)", re.I)
_SAYS_COOKIE = re.compile(
    r"cookie|consent|クッキー|쿠키|куки|الارتباط|كوكيز|کوکی|แคชคุกกี้|คุกกี้|कुकी|עוגיות", re.I
)
_NAVIGATION = re.compile(r"(?:^|\s)(?:nav(?:bar|igation)?|breadcrumbs?)(?=$|[\s_-])", re.I)
"""Classes of lists of links, as page templates name them."""
_SHORT = 1500
"""Characters of a bar that asks for consent; anything longer is content."""


class Visibility:
    """Decides about the elements of one page.

    Args:
        whole: Whether to keep what surrounds the content.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._styles: dict[str, dict[str, str]] = {}  # by selector, such as ".secret"

    def add_style(self, css: str) -> None:
        """Note what a style sheet says of simple selectors. Rules for print and such are not followed."""
        if "/*" in css:
            css = _CSS_COMMENT.sub("", css) if "*/" in css else css
        depth, start, selector, open_at = 0, 0, "", 0
        for match in re.finditer("[{}]", css):
            if match[0] == "{":
                if depth == 0:
                    selector, open_at = css[start : match.start()].strip(), match.end()
                depth += 1
            else:
                depth = max(0, depth - 1)
                start = match.end()
                if depth == 0 and not selector.startswith("@"):
                    self._note(selector, _read_style(css[open_at : match.start()]))

    def _note(self, selectors: str, style: Mapping[str, str]) -> None:
        for selector in map(str.strip, selectors.split(",")):
            if style and _SELECTOR.fullmatch(selector):
                self._styles.setdefault(selector, {}).update(style)

    def style(self, tag: Tag) -> Mapping[str, str]:
        """Return what styles say of how an element is seen: "display", "vertical-align" and such."""
        attributes = tag.attributes
        style: dict[str, str] = {}
        if self._styles:
            for selector in (
                *(f".{name}" for name in attributes.get("class", "").split()),
                f"#{attributes.get('id', '')}",
            ):
                style |= self._styles.get(selector, {})
                style |= self._styles.get(f"{tag.name}{selector}", {})
        return style | _read_style(attributes["style"]) if "style" in attributes else style

    def hides(self, tag: Tag) -> bool:
        """Tell whether nobody sees an element."""
        attributes = tag.attributes
        if "hidden" in attributes and attributes["hidden"].lower() != "until-found":
            return True
        if attributes.get("aria-hidden", "").strip().lower() == "true":
            return True
        style = self.style(tag)
        return (
            style.get("display") == "none"
            or style.get("visibility") in ("hidden", "collapse")
            or any(_NOTHING.fullmatch(style.get(name, "")) for name in ("opacity", "font-size"))
        )

    def fate(self, tag: Tag, around: Mapping[str, int]) -> str:
        """Return what becomes of the text of an element when it ends.

        Args:
            tag: Its start tag.
            around: How many elements of each name are open around it.

        Returns:
            "hidden", "around", "consent" (left out if it asks for consent), or an empty string.
        """
        name = tag.name
        if name in HIDDEN or (name not in ("html", "body") and self.hides(tag)):
            return "hidden"
        if name == "dialog" and "open" not in tag.attributes:
            return "hidden"
        if self._whole or name in ("html", "body", "main", "article"):
            return ""
        in_part = any(around[part] for part in _PARTS)
        roles = tag.attributes.get("role", "").lower().split()
        if name in _AROUND_PAGE and is_note(tag):
            return ""
        if name in _AROUND or _ROLES.intersection(roles) or (name in _AROUND_PAGE and not in_part):
            return "around"
        if name == "option" and around["select"] and not is_chosen(tag):
            return "around"
        if name in _CONTROLS and not any(around[heading] for heading in ("h2", "h3", "h4", "dt", "summary")):
            return "around"
        if name in ("ul", "ol") and not in_part and _NAVIGATION.search(tag.attributes.get("class", "")):
            return "around"
        label = " ".join(tag.attributes.get(key, "") for key in ("class", "id", "aria-label"))
        if _CONSENT.search(label) or (not in_part and _MAYBE_CONSENT.search(label)):
            return "consent"
        return ""


def is_note(tag: Tag, name: str = "note") -> bool:
    """Tell whether an element is marked as a note of a book ("footnote"), or as "noteref" to one."""
    kinds = f"{tag.attributes.get('epub:type', '')} {tag.attributes.get('role', '')}".lower().split()
    return any(kind.removeprefix("doc-").endswith((name, f"{name}s")) for kind in kinds)


def position_of(style: Mapping[str, str]) -> str:
    """Return "sup" or "sub" where a style raises or lowers text; empty where it does not, or by a hair."""
    align = style.get("vertical-align", "")
    if align in ("super", "sub"):
        return align.replace("super", "sup")
    shift = _length(align)
    if style.get("position") == "relative":
        shift = shift or _length(style.get("bottom", "")) or -_length(style.get("top", ""))
    return "" if not shift else "sup" if shift > 0 else "sub"


def _length(text: str) -> float:
    """Return a length of a style if it moves text by more than a hair, else 0."""
    found = _LENGTH.fullmatch(text)
    return float(found[1]) if found and abs(float(found[1])) >= _HAIRS[found[2]] else 0.0


def _read_style(css: str) -> dict[str, str]:
    return {name.lower(): value.strip().lower() for name, value in _DECLARATION.findall(css)}


def asks_for_consent(text: str) -> bool:
    """Tell whether an element that is named for consent does ask for it, and is no more than a bar."""
    return len(text) < _SHORT and bool(_SAYS_COOKIE.search(text))


_SCRIPTS = {
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ckb", "ug", "sd"), "ARABIC"),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "sr", "kk", "ky", "mn", "tg"), "CYRILLIC"),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), "DEVANAGARI"),
    **dict.fromkeys(("zh", "zh-hant", "ja"), "CJK"),
    **{"he": "HEBREW", "el": "GREEK", "ko": "HANGUL", "th": "THAI", "ka": "GEORGIAN", "hy": "ARMENIAN"},
    **{"bn": "BENGALI", "ta": "TAMIL", "te": "TELUGU", "km": "KHMER", "lo": "LAO", "my": "MYANMAR"},
    **{"gu": "GUJARATI", "kn": "KANNADA", "ml": "MALAYALAM", "pa": "GURMUKHI", "si": "SINHALA"},
    **{"am": "ETHIOPIC"},
}
"""The script of each language, as Unicode's names of characters begin; that of others is LATIN."""
_SAME = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK"}
_CODES = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "ji": "yi"}
_ENOUGH = 200
"""Letters from which on a text tells its language itself; many pages have that of their template."""


def page_language(declared: str, text: str) -> str:
    """Return the language that a page declares, if its text may be in it; else an empty string."""
    tag = declared.strip().lower().replace("_", "-")
    code = tag.partition("-")[0]
    if tag.startswith("zh-") and re.search("hant|tw|hk|mo", tag):
        code = "zh-hant"
    code = _CODES.get(code, code)
    if not re.fullmatch("[a-z]{2,3}|zh-hant", code):
        return ""
    letters = [char for char in text[:4000] if char.isalpha()]
    scripts = Counter(unicodedata.name(char, "").partition(" ")[0] for char in letters)
    merged = Counter[str]()
    for script, count in scripts.items():
        merged[_SAME.get(script, script)] += count
    own = merged[_SCRIPTS.get(code, "LATIN")]
    if not letters or own < 0.9 * len(letters):
        return ""
    return code if len(letters) < _ENOUGH or detect_language(text) == code else ""
