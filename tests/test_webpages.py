"""Web pages: what a reader sees, without what surrounds it, and hostile markup in linear time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from qwen_agentkit.errors import LoadError
from qwen_agentkit.ingest import Part, read_document
from qwen_agentkit.ingest.webpages import html_as_text


def read(page: str) -> Part:
    [part] = read_document(page.encode(), ".html")
    return part


def test_what_surrounds_the_content_is_left_out() -> None:
    page = (
        "<body><header><a href='/'>Home</a><h1>City library</h1><p>Call us!</p></header>"
        "<nav><ul><li>News</ul></nav><div role='navigation'>Menu</div><div id='cookie-banner'>We use cookies."
        "<button>Accept</button></div><div class='notice cookies'><p>نستخدم ملفات تعريف الارتباط</p></div>"
        "<main><article><header><h2>الأوقات</h2></header><p>تفتح المكتبة في التاسعة.</p>"
        "<aside>Closed on Fridays.</aside><footer>By Ines</footer></article></main>"
        "<select><option>English<option>العربية</select><aside>Advertisement</aside>"
        "<dialog>Subscribe</dialog><footer>Copyright</footer></body>"
    )
    assert read(page).text == (
        "# City library\n\n## الأوقات\n\nتفتح المكتبة في التاسعة.\n\nClosed on Fridays.\n\nBy Ines"
    )


def test_content_about_cookies_stays() -> None:
    page = (
        "<main><h1>Cookies</h1><div class='recipe-cookie'>Bake cookies at 180 degrees.</div>"
        f"<div class='cookie'>{'Cookies need flour and sugar. ' * 60}</div></main>"
    )
    assert "180 degrees" in read(page).text
    assert "flour" in read(page).text


@pytest.mark.parametrize("page", ["<footer>图书馆九点开门</footer>", "<nav><p>图书馆九点开门</p></nav>"])
def test_a_page_of_nothing_else_is_kept(page: str) -> None:
    assert read(page).text == "图书馆九点开门"


HIDDEN = [
    "<div hidden>{}</div>",
    "<p hidden>{}",
    "<ul><li hidden>{}</ul>",
    "<span style='color:red; display: none'>{}</span>",
    "<div style='DISPLAY:NONE!important'><div>{}</div></div>",
    "<div style='visibility:hidden'>{}</div>",
    "<i aria-hidden='true'>{}</i>",
    "<style>.x{{color:red}} .secret, #y {{ display : none }}</style><p class='big secret'>{}</p>",
    "<template>{}</template>",
    "<dialog>{}</dialog>",
    "<table><tr hidden><td>{}<tr><td>one<td>two</table>",
]


@pytest.mark.parametrize("page", HIDDEN)
def test_what_nobody_sees_is_left_out(page: str) -> None:
    assert "sesame" not in read(f"<p>Open</p>{page.format('sesame')}<p>After</p>").text
    assert read(f"<p>Open</p>{page.format('sesame')}<p>After</p>").text.endswith("After")


def test_what_is_hidden_only_in_print_is_seen() -> None:
    assert read("<style>@media print{.a{display:none}}</style><p class=a>Open").text == "Open"
    assert read("<p hidden=until-found>Open").text == "Open"


def test_cells_that_span_are_repeated() -> None:
    page = (
        "<table><caption>Prices</caption><tr><th>Plan<th>Period<th>Price<tr><td rowspan=2>Basic<td>monthly"
        "<td>5 EUR<tr><td>yearly<td>50 EUR<tr><td colspan=2>all<td>7 EUR</table>"
    )
    assert read(page).text == (
        "Prices\n\nPlan: Basic | Period: monthly | Price: 5 EUR\n\nPlan: Basic | Period: yearly | "
        "Price: 50 EUR"
        "\n\nPlan: all | Period: all | Price: 7 EUR"
    )


def test_heads_of_several_rows_and_of_rows_name_cells() -> None:
    heads = "<thead><tr><th rowspan=2>Region<th colspan=2>2022<tr><th>Q1<th>Q2</thead>"
    assert (
        read(f"<table>{heads}<tr><td>شمال<td>1<td>2</table>").text == "Region: شمال | 2022 Q1: 1 | 2022 Q2: 2"
    )
    assert (
        read("<table><tr><th>Name<td>Anna<tr><th>City:<td>Cairo</table>").text == "Name: Anna\n\nCity: Cairo"
    )


def test_a_table_that_places_things_is_no_table() -> None:
    page = "<table><tr><td><h2>Left</h2><p>one</p><td><table><tr><th>A<th>B<tr><td>1<td>2</table></table>"
    assert read(page).text == "## Left\n\none\n\nA: 1 | B: 2"


def test_pictures_say_what_they_show() -> None:
    page = "<p>Go in <img alt='through the north gate'> <img alt=''><img alt='IMG_1.jpg'>.</p>"
    assert read(page).text == "Go in through the north gate ."


def test_formulas_and_raised_text_touch_no_figure() -> None:
    page = (
        "10<span style='vertical-align: super'>6</span> and <math><msup><mn>10</mn><mn>6</mn></msup>"
        "<mfrac><mn>1</mn><mn>2</mn></mfrac><annotation>10^6</annotation></math>"
    )
    assert read(page).text == "10⁶ and 10⁶ 1/2"


@pytest.mark.parametrize(
    ("lang", "text", "language"),
    [
        ("ar", "الأوقات", "ar"),
        ("zh-TW", "開門", "zh-hant"),
        ("nb-NO", "Åpent", "no"),
        ("en", "图书馆九点开门", None),
        (
            "en",
            "Die Bücherei öffnet um neun Uhr und schließt um sechs, montags ist sie geschlossen. " * 4,
            None,
        ),
        ("x", "Open", None),
    ],
)
def test_the_language_of_a_page_is_believed_where_its_text_may_be_in_it(
    lang: str, text: str, language: str | None
) -> None:
    assert read(f"<html lang='{lang}'><p>{text}").metadata.get("language") == language


def test_a_page_that_a_script_writes_is_called_so() -> None:
    with pytest.raises(
        LoadError, match="holds no text of its own: a script writes it when a browser shows it"
    ):
        read("<html><body><div id='root'></div><script src='app.js'></script></body></html>")


def test_xhtml_is_read_as_a_page() -> None:
    page = (
        b"<?xml version='1.0' encoding='utf-8'?><html xmlns='http://www.w3.org/1999/xhtml'><p>Open</p></html>"
    )
    assert read_document(page, ".xhtml") == read_document(page, ".xml") == [Part("Open", {})]


HOSTILE: dict[str, Callable[[int], str]] = {
    "open": lambda n: "<div>" * n,
    "open and closed otherwise": lambda n: "<i>" * n + "</b>" * n,
    "hidden and closed otherwise": lambda n: "<template><object>" * n + "</object>" * n,
    "formatting": lambda n: "".join(f"<b id={i}><p>" for i in range(n)),
    "lists": lambda n: "<ul><li>" * n,
    "tables": lambda n: "<table><tr><td>" * n,
    "spans": lambda n: "<table>" + "<tr><td colspan=1000 rowspan=60000>a" * n + "</table>",
    "quotes": lambda n: "<a x=\"'" * n,
    "comments": lambda n: "<!--" * n + "<![CDATA[" * n + "<?" * n,
    "raw": lambda n: "<style>a{" * n,
    "braces": lambda n: "<style>" + "/*.a{" * n + "}" * n + "</style>",
    "consent": lambda n: "<div class=cookie>" * n + "x" + "</div>" * n,
    "headings": lambda n: "<header><h1>a" * n,
    "attributes": lambda n: "<a " + " ".join(f"a{i}" for i in range(n)),
    "struck": lambda n: "<s>x" * n + "</s>" * n,
    "roots": lambda n: "<mroot><mn>1</mn>" * n + "</mroot>" * n,
    "paragraphs": lambda n: "<p><b>" + "<b>" * n + "<div></div>" * n,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_markup_takes_time_in_proportion_to_its_length(name: str) -> None:
    short, long = (min(_seconds(HOSTILE[name](size)) for _ in range(3)) for size in (500, 8000))
    assert long < 64 * max(short, 0.01)  # 16 times the length; quadratic would be 256 times


def _seconds(page: str) -> float:
    started = time.process_time()
    html_as_text(page)
    return time.process_time() - started


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<ol><li>Rent<li>Notice</ol>", "1. Rent\n2. Notice"),
        (
            "<ol start=3><li>Rent</li><li value=9>Notice</li><li>Keys</li></ol>",
            "3. Rent\n9. Notice\n10. Keys",
        ),
        ("<ol><li>Rent<ul><li>Heating</ul><li>Notice</ol>", "1. Rent\n- Heating\n2. Notice"),
        ("<ol reversed><li>Rent</ol><ol start=x><li>إيجار</ol>", "- Rent\n\n1. إيجار"),
    ],
)
def test_items_keep_their_numbers(html: str, text: str) -> None:
    assert re.sub(r"\n+(?=- Heat|2. N)", "\n", html_as_text(html)[0]) == text
