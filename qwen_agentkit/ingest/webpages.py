"""Web pages into text: what a reader of the page sees, without what surrounds it on every page of a site.

Headings, list items and code become Markdown, which splitting understands, and tables become rows that name
their columns.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from operator import itemgetter

from qwen_agentkit.ingest.encodings import decode_text
from qwen_agentkit.ingest.markup import Tag, read_markup
from qwen_agentkit.ingest.parts import Part
from qwen_agentkit.ingest.struck import join_struck, mark_struck
from qwen_agentkit.ingest.visibility import (
    HIDDEN,
    Visibility,
    asks_for_consent,
    is_note,
    page_language,
    position_of,
)
from qwen_agentkit.ingest.webforms import field_text
from qwen_agentkit.ingest.webtables import Table
from qwen_agentkit.text.superscripts import mark_raised

__all__ = ["html_as_text", "read_html"]

_CHARSET = re.compile(
    rb"<(?:meta\b[^<>]*?\bcharset|\?xml\b[^<>]*?\bencoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.I
)

_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr", "image", "keygen", "frame", "basefont", "bgsound",
})  # fmt: skip
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "details", "dialog", "dd", "div", "dl",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "main", "menu", "nav",
    "ol", "p", "pre", "search", "section", "table", "tbody", "td", "tfoot", "th", "thead", "ul",
})  # fmt: skip
_LINES = frozenset({"br", "tr", "dt", "dd", "option", "summary", "caption", "legend"})
_SCOPES = frozenset({"td", "th", "caption"})
"""Elements that no end tag of something around the table ends."""
_ENDS = {
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "option": frozenset({"option"}),
    "tr": frozenset({"td", "th", "tr", "caption"}),
    "td": frozenset({"td", "th", "caption"}),
    "th": frozenset({"td", "th", "caption"}),
    **dict.fromkeys(("tbody", "thead", "tfoot"), frozenset({"td", "th", "tr", "tbody", "thead", "caption"})),
}
"""Elements that a start tag ends, since their end tags may be left out."""
_MAY_STAY_OPEN = frozenset({"p", *_ENDS, "body", "html"})
_BOUNDS = frozenset({"ul", "ol", "menu", "dl", "table", "select", "body"})
_FIELDS = frozenset({"meter", "output", "progress", "select"})
"""Fields of forms with a text of their own, which is no part of the text beside them."""
_SHORT = 100
"""Pieces of text in a bar that asks for consent, or in a heading."""
_NEAR = 24
"""Open elements among which one to end is looked for."""
_APART = frozenset({"block", "flex", "grid", "list-item", "table", "table-row", "flow-root"})
"""How styles show what stands on lines of its own."""
_STRUCK = frozenset({"s", "strike"})
_FILE_NAME = re.compile(r"\S+\.(?:jpe?g|png|gif|svg|webp|bmp)", re.I)
_SCRIPTED = {
    "msup": {2: "sup"},
    "msub": {2: "sub"},
    "msubsup": {2: "sub", 3: "sup"},
    "mover": {2: "sup"},
    "munder": {2: "sub"},
    "munderover": {2: "sub", 3: "sup"},
    "mmultiscripts": {2: "sub", 3: "sup", 5: "sub", 6: "sup"},  # 4 tells the scripts in front apart.
    "mroot": {2: "sup"},
}
"""The children of formulas that are raised or lowered."""


_MATH_BORDERS = {"mfrac": " ", "msqrt": "√", "mtd": " ", "mtr": " ", "mroot": " "}
"""What begins a part of a formula; figures of two parts are no number."""


def read_html(data: bytes, css: str = "") -> list[Part]:
    """Read a page: in UTF-8, in the encoding that it declares, or in the one that it looks like.

    Args:
        data: The bytes of the page.
        css: Its style sheets that are files of their own.
    """
    found = _CHARSET.search(data)
    decoded = decode_text(data, found[1].decode() if found else "")
    text, metadata, scripted = html_as_text(decoded.text, css)
    warnings = decoded.warnings
    if scripted and not any(map(str.isalnum, text)):
        warnings += (
            "The page holds no text of its own: a script writes it when a browser shows it. Save it from a "
            "browser, and ingest that.",
        )
    return [Part(text, metadata, warnings)]


def html_as_text(html: str, css: str = "") -> tuple[str, dict[str, str], bool]:
    """Return the text of a page, its title and language, and whether it has scripts."""
    page = _Page(html, css, whole=False)
    text = page.text()
    if not any(map(str.isalnum, text)):  # A page of nothing but, say, a footer.
        page = _Page(html, css, whole=True)
        text = page.text()
    title = " ".join("".join(page.title).split())
    language = page_language(page.language, text)
    metadata = {**({"title": title} if title else {}), **({"language": language} if language else {})}
    return text, metadata, page.has_scripts


class _Open:
    """An open element: where its text starts, and what becomes of it."""

    __slots__ = (
        *("border", "children", "divides", "fate", "first", "inner", "kept", "name", "raised", "start"),
        "struck",
    )

    def __init__(self, name: str, start: int, fate: str, raised: str) -> None:
        self.name = name
        self.start = start
        self.fate = fate
        self.raised = raised  # what text behind the element is
        self.children = 0
        self.first: int | None = None  # the number of the first item of a numbered list
        self.kept: list[tuple[bool, str]] = []
        self.inner = start  # where the text of its last child starts
        self.border = ""  # what ends an element that a style shows apart
        self.divides = False  # whether a style shows its children apart
        self.struck = name in _STRUCK


class _Page:
    """Collects the text of a page. Unclosed elements hide nothing, except scripts and styles."""

    def __init__(self, html: str, css: str, *, whole: bool) -> None:
        self.title: list[str] = []
        self.language = ""
        self.has_scripts = False
        self._pieces = [(False, "")]  # Whether it is code, and the text.
        self._open: list[_Open] = []
        self._counts = [Counter[str]()]  # Names of the open elements, a counter for each scope.
        self._all = Counter[str]()
        self._tables: list[Table] = []
        self._raised = ""  # "sup" or "sub"
        self._struck = 0  # how many open elements strike their text through
        self._in_title = False
        self._label = ""  # the text of the label that ended last, and how many pieces there were then
        self._behind_label = 0
        self._visibility = Visibility(whole=whole)
        self._visibility.add_style(css)
        for token in read_markup(html):
            if isinstance(token, str):
                self._add_text(token)
            elif token.ends:
                self._end(token.name)
            else:
                self._start(token)
        while self._open:
            self._pop(closed=self._open[-1].name in _MAY_STAY_OPEN)

    def text(self) -> str:
        """Return the collected text: tidied, and code in fences."""
        groups = groupby(self._pieces, key=itemgetter(0))
        texts = ((code, "".join(piece for _, piece in pieces)) for code, pieces in groups)
        return "\n\n".join(filter(None, (_fenced(text) if code else _tidy(text) for code, text in texts)))

    def _start(self, tag: Tag) -> None:
        name = tag.name
        if name == "style":
            self._visibility.add_style(tag.attributes.get("", ""))
            return
        self.has_scripts = self.has_scripts or name == "script"
        self._end_implied(name)
        if self._open:
            self._start_child(self._open[-1], name)
        if name in ("html", "body"):
            self.language = tag.attributes.get("lang") or tag.attributes.get("xml:lang") or self.language
        if name == "title":
            self._in_title = not any(self._all[hidden] for hidden in HIDDEN)
            return
        self._in_title = self._in_title and name not in _BLOCKS and name not in _HEADINGS
        if name in _VOID or (tag.alone and name not in _BLOCKS):
            self._add_void(tag)
            return
        fate = self._visibility.fate(tag, self._all)
        border = self._item_border(tag) if name == "li" else self._border(name)
        self._open.append(_Open(name, len(self._pieces), fate, self._raised))
        if name == "ol" and "reversed" not in tag.attributes:
            self._open[-1].first = _read_number(tag.attributes.get("start"), 1)
        self._put(_MATH_BORDERS.get(name, border))
        self._counts[-1][name] += 1
        self._all[name] += 1
        self._set_style(tag)
        if name in _SCOPES:
            self._counts.append(Counter())
        self._start_table_part(tag)

    def _start_child(self, parent: _Open, name: str) -> None:
        """Set the position of a part of a formula: the second of "msup" is raised."""
        parent.children += 1
        parent.inner = len(self._pieces)
        if parent.name == "mfrac" and parent.children == 2:  # 1/2 is not 12
            self._pieces.append((False, "/"))
        elif parent.name in _SCRIPTED:
            self._raised = _SCRIPTED[parent.name].get(parent.children, "")

    def _set_style(self, tag: Tag) -> None:
        """Note where an element stands, and whether it is struck through or on lines of its own."""
        name, style = tag.name, self._visibility.style(tag)
        if name in ("sup", "sub") or (name == "a" and is_note(tag, "noteref")):
            self._raised = "sub" if name == "sub" else "sup"
        elif name in _BLOCKS or name in _HEADINGS:
            self._raised = ""
        self._raised = position_of(style) or self._raised
        lines = f"{style.get('text-decoration', '')} {style.get('text-decoration-line', '')}"
        self._open[-1].struck |= "line-through" in lines.split()
        self._struck += self._open[-1].struck
        divided = any(parent.divides for parent in self._open[-2:-1])
        self._open[-1].divides = style.get("display", "").endswith(("flex", "grid"))
        if style.get("display") in _APART and not self._border(name):
            self._open[-1].border = "\n"
        elif style.get("display") == "table-cell" or name in _FIELDS or divided:
            self._open[-1].border = " "
        self._put(self._open[-1].border)

    def _start_table_part(self, tag: Tag) -> None:
        if tag.name == "table":
            for table in self._tables[-1:]:
                table.is_layout = True
            self._tables.append(Table(tag.attributes.get("role", "")))
        elif self._tables:
            table = self._tables[-1]
            if tag.name in ("td", "th"):
                table.start_cell(tag.attributes, is_head=tag.name == "th")
            elif tag.name == "tr":
                table.start_row(in_head=self._all["thead"] > 0)
            elif tag.name == "pre" or tag.name in _HEADINGS:
                table.is_layout = True

    def _add_void(self, tag: Tag) -> None:
        if tag.name in ("img", "area", "image") and not self._visibility.hides(tag):
            alternative = " ".join(tag.attributes.get("alt", "").split())
            if alternative and not _FILE_NAME.fullmatch(alternative):
                self._pieces.append((False, alternative))
        elif tag.name == "input" and not self._visibility.hides(tag):
            if text := field_text(tag):
                self._add_value(text, " ")
        elif tag.name == "br" and self._all["pre"]:
            self._pieces.append((True, "\n"))
        elif tag.name in ("br", "hr"):
            self._put(self._border(tag.name))
        elif tag.name == "mspace":
            self._put(" ")

    def _add_value(self, value: str, border: str) -> None:
        """Add what a field holds: with a colon behind its label, else behind a border."""
        around = next((one for one in reversed(self._open[-_NEAR:]) if one.name == "label"), None)
        label = self._text_since(around.start).strip() if around else self._label
        between = "" if around else self._text_since(self._behind_label)
        self._label = ""
        if label and not between.strip() and not value.endswith("] "):  # A tick has its label behind it.
            colon = "" if label.endswith((":", "：", "?", "？", "؟")) else ":"
            if "\n" not in between:
                border = f"{colon} "
                self._remove_spaces()
            elif not self._tables:  # The field lies in a block of its own.
                value = f"{label}{colon} {value}"
        self._pieces.append((False, f"{border}{value} "))

    def _remove_spaces(self) -> None:
        """Remove the spaces at the end of the text. Pieces stay, since open elements count them."""
        for place in reversed(range(len(self._pieces))):
            code, text = self._pieces[place]
            self._pieces[place] = (code, text.rstrip(" "))
            if self._pieces[place][1]:
                return

    def _end_implied(self, name: str) -> None:
        """End the elements that cannot hold a new one: items, cells, and paragraphs."""
        if name in _HEADINGS and self._all["pre"]:
            self._pop_to("pre")
        if (name in _BLOCKS or name in _HEADINGS) and self._counts[-1]["p"]:
            self._end_near(frozenset({"p"}), _BLOCKS - {"p"})
        if ends := _ENDS.get(name):
            self._end_near(ends, _BOUNDS)

    def _end_near(self, names: frozenset[str], bounds: frozenset[str]) -> None:
        """End the outermost of some elements above the nearest bound."""
        place = 0
        for number, element in enumerate(reversed(self._open[-_NEAR:]), start=1):
            if element.name in names:
                place = number
            elif element.name in bounds:
                break
        for _ in range(place):
            self._pop(closed=self._open[-1].name in _MAY_STAY_OPEN)

    def _end(self, name: str) -> None:
        if name in ("title", "head"):
            self._in_title = False
        elif name in ("script", "style"):
            return
        elif name == "br":
            self._put("\n")
        elif self._counts[-1][name] or (
            self._all[name] and name in ("td", "th", "tr", "table", "body", "html")
        ):
            self._pop_to(name)
        elif name == "p":
            self._put("\n\n")

    def _pop_to(self, name: str) -> None:
        while self._open:
            found = self._open[-1].name == name
            self._pop(closed=found or self._open[-1].name in _MAY_STAY_OPEN)
            if found:
                return

    def _pop(self, *, closed: bool) -> None:
        """End the innermost element, and do with its text what it asks for."""
        element = self._open.pop()
        name = element.name
        if name in _SCOPES:
            self._counts.pop()
        self._counts[-1][name] -= 1
        self._all[name] -= 1
        self._raised = element.raised
        self._struck -= element.struck
        if name == "mroot" and len(self._pieces) - element.start < _SHORT:
            self._write_root(element)
        elif closed and element.struck and not self._struck and not self._all["pre"]:
            text = mark_struck(self._text_since(element.start))
            self._pieces[element.start :] = [(False, text)]
        if self._tables:
            self._end_table_part(element)
        if closed and element.fate and self._is_left_out(element):
            del self._pieces[element.start :]
            self._pieces += element.kept
        elif name == "textarea" or (name == "option" and self._all["select"]):
            value = self._text_since(element.start).strip()
            del self._pieces[element.start :]
            if value:
                self._add_value(value, "\n")
        elif name == "label":
            self._label, self._behind_label = self._text_since(element.start).strip(), len(self._pieces)
        if name in _HEADINGS and self._all["header"]:
            self._keep_heading(element)
        self._put(element.border)
        if name not in _LINES and name != "li":
            self._put("\n\n" if name in _BLOCKS or name in _HEADINGS else "", after_code=name == "pre")

    def _write_root(self, element: _Open) -> None:
        """Put the degree of a root, which is its second child, in front of it: the third root of 8 is ³√8."""
        degree, base = self._text_since(element.inner), self._text_since(element.start)
        base = base.removesuffix(degree).strip()
        self._pieces[element.start :] = [(False, f" {degree.strip()}√{base}")]

    def _is_left_out(self, element: _Open) -> bool:
        """Tell whether the text of an element that ends is left out; what may ask for consent is short."""
        if element.fate != "consent":
            return True
        is_short = len(self._pieces) - element.start < _SHORT
        return is_short and asks_for_consent(self._text_since(element.start))

    def _keep_heading(self, heading: _Open) -> None:
        """Keep the headings of the page's header when the rest of it goes."""
        header = next((one for one in reversed(self._open[-_NEAR:]) if one.name == "header"), None)
        if header is not None and len(self._pieces) - heading.start < _SHORT:
            header.kept += [*self._pieces[heading.start :], (False, "\n\n")]

    def _end_table_part(self, element: _Open) -> None:
        table = self._tables[-1]
        if table.is_layout and element.name != "table":
            return
        if element.name in ("td", "th"):
            table.end_cell("" if element.fate == "hidden" else self._text_since(element.start))
        elif element.name == "tr" and element.fate == "hidden":
            table.drop_row()
        elif element.name == "caption":
            table.caption = self._text_since(element.start)
        elif element.name == "table":
            self._tables.pop()
            text = table.text()
            if text is not None:
                self._pieces[element.start :] = [(False, f"\n\n{text}\n\n")]

    def _text_since(self, start: int) -> str:
        return "".join(piece for _, piece in self._pieces[start:])

    def _add_text(self, text: str) -> None:
        if self._in_title:
            self.title.append(text)
            return
        in_code = self._all["pre"] > 0
        if not in_code:
            text = re.sub(r"\s+", " ", text)
        if self._raised:
            text = mark_raised(text, self._last_text(), lowered=self._raised == "sub")
        if text:
            self._pieces.append((in_code, text))

    def _last_text(self) -> str:
        return next((piece for _, piece in reversed(self._pieces[-_NEAR:]) if piece), "")

    def _put(self, border: str, *, after_code: bool = False) -> None:
        """Add a border between blocks. In code it is a line end, unless a line just ended."""
        if not border:
            return
        if not self._all["pre"] or after_code:
            self._pieces.append((False, border))
        elif not self._pieces[-1][1].endswith("\n"):
            self._pieces.append((True, "\n"))

    def _border(self, tag: str) -> str:
        if tag in _HEADINGS:
            return f"\n\n{'#' * int(tag[1])} "
        if tag in _LINES or tag == "li":
            return "\n"
        return "\n\n" if tag in _BLOCKS else ""

    def _item_border(self, tag: Tag) -> str:
        """Return what begins an item: its number in a numbered list, for texts that speak of point 3."""
        parent = self._open[-1] if self._open else None
        if parent is None or parent.first is None:
            return "\n- "
        before = parent.children - 1
        parent.first = _read_number(tag.attributes.get("value"), parent.first + before) - before
        return f"\n{parent.first + before}. "


def _read_number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"\s*-?[0-9]{1,9}\s*", text) else default


def _tidy(text: str) -> str:
    lines = (line.strip(" \t") for line in join_struck(text).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _fenced(text: str) -> str:
    return f"```\n{text.strip(chr(10)).rstrip()}\n```" if text.strip() else ""
