"""What pyproject.toml declares, what tests/constraints.txt pins, and what .ci/versions tests agree."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "tests/constraints.txt").read_text(), re.M)
}
# Read from the file and not from the installed package, which may be older.
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {
    extra: [Requirement(text) for text in texts] for extra, texts in PROJECT["optional-dependencies"].items()
}


@pytest.fixture(scope="module")
def versions() -> ModuleType:
    """The script, which is no module of a package."""
    path = ROOT / ".ci" / "versions"
    spec = spec_from_loader("versions", SourceFileLoader("versions", str(path)))
    assert spec is not None
    module = module_from_spec(spec)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
    return module


@pytest.mark.parametrize("requirement", NEEDED + [one for extra in EXTRAS.values() for one in extra], ids=str)
def test_a_requirement_has_a_lower_bound_and_allows_its_pin(requirement: Requirement) -> None:
    assert any(one.operator == ">=" for one in requirement.specifier)
    pin = PINS.get(canonicalize_name(requirement.name))
    assert pin is None or requirement.specifier.contains(pin), pin


@pytest.mark.parametrize("extra", ["test", "bench", "browser"])
def test_what_the_tests_and_benchmarks_need_is_pinned(extra: str) -> None:
    for requirement in [*NEEDED, *EXTRAS[extra]]:
        assert canonicalize_name(requirement.name) in PINS, requirement


def test_the_tests_have_what_the_extras_have() -> None:
    for extra in ("agent", "eval", "formats", "lora", "mcp", "office", "serve", "studio", "torchao"):
        assert {str(one) for one in EXTRAS[extra]} <= {str(one) for one in EXTRAS["test"]}, extra


def test_the_lowest_versions_are_the_lower_bounds(versions: ModuleType) -> None:
    pins = dict(line.split("==") for line in versions.lowest_pins())
    assert "torch" not in pins
    assert versions.torch_pin() == f"torch=={PINS['torch']}"
    for requirement in NEEDED:
        if requirement.name != "torch":
            assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_the_script_names_tests_that_exist(versions: ModuleType) -> None:
    for name in versions.TESTS:
        assert (ROOT / "tests" / f"{name}.py").is_file(), name
