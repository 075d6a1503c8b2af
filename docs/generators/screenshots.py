"""Pictures of the page that `qwen-agentkit serve` shows, one for each language: a question and its citation.

Needs the extra `browser` and a chromium. The handbook of the demo is served; nothing else is read.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from qwen_agentkit.cli.commands import handbook_folder, ingest
from qwen_agentkit.stack import Stack

QUESTIONS = {
    "en": ("How many days may a borrowed book be kept?", "light"),
    "ar": ("كم يومًا يمكن الاحتفاظ بالكتاب المستعار؟", "light"),
    "zh": ("水族箱的水温保持在多少度？", "dark"),
}
SIZE = {"width": 1180, "height": 640}


def write_pictures(folder: Path) -> None:
    """Serve the handbook, ask a question in each language, and write what the page shows."""
    with tempfile.TemporaryDirectory() as work:
        store = Path(work, "store")
        ingest(Stack("nano", store), [handbook_folder()])
        command = [sys.executable, "-m", "qwen_agentkit.cli", "serve", "--preset", "nano", "--port", "0"]
        with subprocess.Popen([*command, "--store", str(store)], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                _take_pictures(server.stdout.readline().split()[-1], folder)
            finally:
                server.send_signal(signal.SIGTERM)


def _take_pictures(address: str, folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        for language, (question, theme) in QUESTIONS.items():
            page = browser.new_page(locale=language, viewport=SIZE)
            page.goto(address)
            page.select_option("#theme", theme)
            page.fill("#question", question)
            page.keyboard.press("Enter")
            page.locator(".cite").first.click(timeout=60_000)
            page.locator("#panel mark").wait_for()
            page.screenshot(path=folder / f"page-{language}.png")
            page.close()
        browser.close()
