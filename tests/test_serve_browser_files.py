"""Documents in the page: a PDF file that is uploaded and cited, a watched folder, a plan after a restart.

    pytest -m browser -n 0

Needs the extra `browser` and a chromium, such as Debian's package of that name.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
from fpdf import FPDF

from tests.browser_site import Server, ask, browser, check_access, clean_page, handbook, page, server

pytest.importorskip("playwright", reason="needs the extra browser")
from playwright.sync_api import Browser, Page, expect

__all__ = ["browser", "handbook", "page", "server"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket]
QUESTION = "When does the Zorgon observatory open?"


def make_pdf(file: Path, *pages: str) -> Path:
    pdf = FPDF()
    pdf.add_font("DejaVu", fname=Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    pdf.set_text_shaping(True)
    for text in pages:
        pdf.add_page()
        pdf.set_font("DejaVu", size=14)
        pdf.multi_cell(0, text=text)
    pdf.output(str(file))
    return file


def test_a_pdf_file_is_uploaded_cited_by_its_page_and_removed(
    page: Page, server: Server, tmp_path: Path
) -> None:
    pages = ("The Zorgon observatory lies on the hill.", "The Zorgon observatory opens at 23:40.")
    name = "مرصد Zorgon.pdf"
    page.goto(server.address)
    page.click("#open-documents")
    page.set_input_files("#files", [make_pdf(tmp_path / name, *pages)])
    expect(page.locator("#uploads li").first).to_contain_text("Added.", timeout=60_000)
    row = page.locator("#document-table tr", has_text=name)
    expect(row).to_have_count(1)
    check_access(page)
    page.click("#documents-close")
    ask(page, QUESTION)
    expect(page.locator(".answer")).to_contain_text("23:40", timeout=30_000)
    page.locator(".cite").first.click()
    expect(page.locator("#panel")).to_contain_text("page 2")
    expect(page.locator("#panel mark")).to_contain_text("23:40")
    page.keyboard.press("Escape")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#open-documents")
    row.get_by_role("button").click()
    expect(row).to_have_count(0, timeout=30_000)


@pytest.mark.parametrize(("language", "state"), [("en", "up to date"), ("ar", "محدَّثة"), ("zh", "最新")])
def test_a_watched_folder_and_what_fails_in_it_are_shown(
    browser: Browser, tmp_path: Path, language: str, state: str
) -> None:
    folder = tmp_path / "zorgon"
    folder.mkdir()
    make_pdf(folder / "hours.pdf", "The Zorgon observatory opens at 23:40.")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    with (
        Server(tmp_path / "store", "--watch", str(folder)) as server,
        clean_page(browser, server, language) as page,
    ):
        page.goto(server.address)
        page.click("#open-documents")
        expect(page.locator("#watched")).to_contain_text("zorgon")
        expect(page.locator("#watched")).to_contain_text(state, timeout=60_000)
        expect(page.locator("#failing")).to_contain_text("zorgon/broken.pdf")
        expect(page.locator("#document-table")).to_contain_text("zorgon/hours.pdf")
        check_access(page)


def test_a_plan_waits_in_the_page_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "zorgon"
    folder.mkdir()
    (folder / "hours.md").write_text("The Zorgon observatory opens at 23:40.", "utf-8")
    with Server(tmp_path / "store", "--watch", str(folder)) as first, clean_page(browser, first) as page:
        page.goto(first.address)
        page.select_option("#graph", "research")
        page.check("#approve")
        ask(page, QUESTION)
        expect(page.locator(".plan textarea")).to_have_value(QUESTION, timeout=60_000)
        first.stop()
        with Server(tmp_path / "store", port=first.port):
            page.reload()
            expect(page.locator(".plan textarea")).to_have_value(QUESTION, timeout=30_000)
            page.get_by_role("button", name="Search for these").click()
            expect(page.locator(".answer")).to_contain_text("23:40", timeout=60_000)
            page.reload()
            expect(page.locator(".answer")).to_contain_text("23:40")
            expect(page.locator(".plan")).to_have_count(0)
