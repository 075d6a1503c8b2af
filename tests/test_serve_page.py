"""The files of the page: words in every language, nothing from elsewhere, no document's text that runs."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

from qwen_agentkit.serve.page_files import page_files
from qwen_agentkit.serve.readable import LANGUAGES, read_words
from qwen_agentkit.stack import Stack
from tests.serve_site import served

PAGE = files("qwen_agentkit.serve") / "page"
SCRIPTS = ["actions.js", "app.js", "answer.js", "documents.js", "net.js", "view.js"]
TEXTS = {name: (PAGE / name).read_text(encoding="utf-8") for name in [*SCRIPTS, "index.html", "style.css"]}


def used_words() -> set[str]:
    scripts = "\n".join(TEXTS[name] for name in SCRIPTS)
    used = set(re.findall(r'data-(?:word|label|placeholder)="([\w.]+)"', TEXTS["index.html"]))
    used |= set(re.findall(r'\bword\("([\w.]+)"', scripts)) | set(
        re.findall(r'small\("."\s*, "(\w+)"', scripts)
    )
    used |= set(re.findall(r'button\("(\w+)"', scripts))
    # Words whose key is a value: verdicts, and the two questions before something is removed.
    return used | {"unsupported", "uncited", "remove.sure", "remove.returns", "upload.done", "upload.same"}


def test_every_word_is_there_in_every_language() -> None:
    english = read_words("en")
    assert used_words() | {"direction", "api.corrected", "api.unsupported"} == set(english)
    assert set(LANGUAGES) == {entry.name.removesuffix(".json") for entry in (PAGE / "words").iterdir()}
    for language in LANGUAGES:
        words = json.loads((PAGE / "words" / f"{language}.json").read_text(encoding="utf-8"))
        assert list(words) == list(english), language
        for key, text in words.items():
            assert text.strip(), key
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), key
    assert [read_words(language)["direction"] for language in LANGUAGES] == ["ltr", "rtl", "ltr"]
    assert read_words("zh-hant") == read_words("zh")
    assert read_words("de") == english


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_comes_from_elsewhere_and_no_text_is_run(name: str) -> None:
    text = TEXTS[name]
    assert not re.search(r"(?:https?:)?//[a-z0-9]", re.sub(r"^\s*//.*$", "", text, flags=re.M))
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextual", text
    )
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)


def test_the_page_is_small() -> None:
    assert sum(len(file.compressed) for file in page_files().values()) < 150_000


def test_the_page_is_mirrored_by_its_direction_alone() -> None:
    sided = r"(?:margin|padding|border|inset)-(?:left|right)|\b(?:left|right):|text-align: (?:left|right)"
    assert not re.search(sided, TEXTS["style.css"])


async def test_files_are_compressed_and_not_sent_twice(nano_stack: Stack) -> None:
    async with served(nano_stack) as site, site.client() as client:
        page = await client.get("/")
        assert page.headers["content-encoding"] == "gzip"
        assert "<!doctype html>" in page.text
        again = await client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = await client.get("/page/words/zh.json", headers={"accept-encoding": "identity"})
        assert plain.json() == read_words("zh")
