"""README and docs are true: blocks run, commands exist, links lead somewhere, generated parts are fresh."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.metadata import metadata, requires
from pathlib import Path

import generate  # type: ignore[import-not-found]  # docs/generate.py
import pytest
import typer.main
from generators import graphs  # type: ignore[import-not-found]

from qwen_agentkit.cli.entry import app
from tests.pages import PAGES, ROOT, blocks, read_page
from tests.run_page import commands

TRANSLATIONS = ("docs/README.ar.md", "docs/README.zh.md")


def runs(page: str) -> bool:
    """Translations repeat the README, and the reference has signatures: neither is run."""
    found = blocks(page, "python", "bash")
    return page not in (*TRANSLATIONS, "docs/api.md") and any(
        block.language == "python" or (commands(block.code) and not block.rule) for block in found
    )


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)])
def test_the_blocks_of_a_page_run(page: str) -> None:
    command = [sys.executable, "-m", "tests.run_page", page]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    result = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]


@pytest.mark.ray
def test_the_blocks_for_ray_run() -> None:
    command = [sys.executable, "-m", "tests.run_page", "docs/bulk.md", "--ray"]
    subprocess.run(command, check=True, cwd=ROOT)


@pytest.mark.parametrize("page", PAGES)
def test_rules_are_known_and_python_always_runs(page: str) -> None:
    allowed = {"python": ("", "run with: nano", "run with: server", "run with: ray")}
    for block in blocks(page):
        known = block.rule in allowed.get(block.language, ("",))
        assert known or (block.language == "bash" and block.rule.startswith("not run: ")), block.line


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(page: str) -> None:
    group = typer.main.get_command(app)
    for block in blocks(page, "bash"):
        for words in commands(block.code):
            group.commands[words[0]].make_context(words[0], words[1:])  # raises for what there is not
        for module in re.findall(r"python -m (tests\.[\w.]+)", block.code):
            assert importlib.util.find_spec(module), module
        for script, rest in re.findall(r"python ((?:examples|docs)/\w+\.py)(.*)", block.code):
            source = read_page(script)
            assert all(option in source for option in re.findall(r"--[a-z-]+", rest)), script


@pytest.mark.parametrize("page", PAGES)
def test_every_extra_exists(page: str) -> None:
    extras = metadata("qwen-agentkit").get_all("Provides-Extra") or []
    for names in re.findall(r"(?:qwen-agentkit|'\.)\[([\w,]+)\]", read_page(page)):
        assert set(names.split(",")) <= set(extras), names


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", read_page(page), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:href|src)="([^"]+)"', text)]:
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {target}"


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    for name in re.findall(r"`((?:qwen_agentkit|graphs|tests|examples|docs)/[\w./]+\.\w+)`", read_page(page)):
        assert (ROOT / name).is_file(), name


def test_the_readme_is_one_page() -> None:
    assert len(read_page("README.md").splitlines()) <= 150


def test_the_first_example_is_short_and_stands_in_the_examples_folder() -> None:
    code = blocks("README.md", "python")[0].code
    assert len(code.strip().splitlines()) <= 13
    assert code in (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", TRANSLATIONS)
def test_a_translation_has_the_blocks_of_the_readme(page: str) -> None:
    originals, translated = blocks("README.md"), blocks(page)
    assert [block.code for block in translated] == [block.code for block in originals]
    assert [block.rule for block in translated] == [block.rule for block in originals]


@pytest.mark.parametrize("page", TRANSLATIONS)
def test_a_translation_has_the_figures_of_the_readme(page: str) -> None:
    figures = re.compile(r"\d+(?:[.,]\d+)*")
    tables = [re.findall(r"^\|.*\|$", read_page(one), flags=re.MULTILINE) for one in ("README.md", page)]
    assert figures.findall("".join(tables[0])) == figures.findall("".join(tables[1]))


def test_generated_parts_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_the_check_notices_a_difference_and_the_command_mends_it(tmp_path: Path, monkeypatch, capsys) -> None:
    page = tmp_path / "models.md"
    page.write_text(
        read_page("docs/models.md").replace("`Qwen/Qwen3-4B`", "`Qwen/Qwen3-5B`"), encoding="utf-8"
    )
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(generate, "PARTS", {"checkpoints": generate.PARTS["checkpoints"]})
    assert generate.main(["--check"]) == 1
    assert "stale: docs/models.md: checkpoints" in capsys.readouterr().out
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    with pytest.raises(ValueError, match="was found 0 times"):
        generate.replace_part("no comments", "checkpoints", "")


def test_a_picture_is_drawn_from_its_graph(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(graphs, "FOLDER", tmp_path)
    assert "research" in graphs.stale_pictures()
    graphs.draw_picture("research")
    assert "research" not in graphs.stale_pictures()


def test_the_picture_of_the_demo_shows_its_questions_and_loads_nothing() -> None:
    picture = read_page("docs/pictures/demo.svg")
    assert not re.search(r"@font-face|url\([\"']?http|href=", picture)
    shown = re.sub(r"<[^>]*>", "", picture).replace("&#160;", " ")
    questions = json.loads(read_page("qwen_agentkit/data/demo_questions.json"))
    assert {one["language"] for one in questions if one["question"] in shown} == {"en", "ar", "zh"}
    for text in re.findall(r"<text[^>]*>[^<]*[\u0600-\u06ff][^<]*</text>", picture):
        assert "textLength" not in text, "a fixed width tears joined letters apart"


def test_the_constraints_pin_what_the_project_needs() -> None:
    pins = (ROOT / "tests" / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in requires("qwen-agentkit") or []:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        assert name is not None
        optional = "extra ==" in requirement and '"test"' not in requirement.replace("'", '"')
        assert optional or f"\n{name[0].lower()}==" in pins, f"{name[0]} has no pin"
