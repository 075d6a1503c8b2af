"""Importing a module of the package changes nothing in the process that imports it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.source_tree import modules

ROOT = Path(__file__).parent.parent

# Other libraries have effects of their own. What our modules
# import of them is imported before the first look.
PROGRAM = """
import ast, importlib, logging, os, sys, threading, warnings
from pathlib import Path

import torch

def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)

def imports_of_others(nodes):
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if not ast.unparse(node).split()[1].startswith(("qwen_agentkit", "__future__")):
                yield ast.unparse(node)
        elif isinstance(node, (ast.Try, ast.If, ast.With)) and not is_for_types(node):
            yield from imports_of_others(node.body)

def state():
    loggers = {
        name: (logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters))
        for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]
        if isinstance(logger, logging.Logger)
    }
    untouched = (logging.NOTSET, True, False, [], [])
    return {
        "loggers": {name: settings for name, settings in loggers.items() if settings != untouched},
        "logging.disable": logging.root.manager.disable,
        "warnings filters": list(warnings.filters),
        "environment": dict(os.environ),
        "threads": threading.enumerate(),
        "folder": os.getcwd(),
        "threads of torch": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "number type of torch": torch.get_default_dtype(),
        "gradients of torch": torch.is_grad_enabled(),
        "precision of torch": torch.get_float32_matmul_precision(),
        "flags of torch": torch.are_deterministic_algorithms_enabled(),
        "random numbers of torch": torch.random.get_rng_state().tolist(),
        "standard streams": (sys.stdout, sys.stderr, sys.excepthook),
    }

written = []
WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
def note(event, arguments):
    if event == "open" and arguments[2] and arguments[2] & WRITE:
        written.append(arguments[0])
    elif event in ("os.mkdir", "os.remove", "os.rename", "subprocess.Popen", "socket.connect"):
        written.append((event, *arguments[:1]))

names, files = sys.argv[1].split(), sys.argv[2].split(os.pathsep)
for file in files:
    for statement in imports_of_others(ast.parse(Path(file).read_text(encoding="utf-8")).body):
        exec(statement, {})
before = state()
sys.addaudithook(note)
EXTRA
for name in names:
    importlib.import_module(name)
    after = state()
    for what in before:
        assert before[what] == after[what], (name, what, before[what], after[what])
    assert not written, (name, written)
print(len(names))
"""


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    found = modules()
    names = " ".join(f"qwen_agentkit.{name}" for name, _ in found)
    files = os.pathsep.join(str(file) for _, file in found)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", program, names, files]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_importing_every_module_has_no_effect(tmp_path: Path) -> None:
    result = run(PROGRAM.replace("EXTRA", ""), tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == str(len(modules()))


def test_an_effect_would_be_seen(tmp_path: Path) -> None:
    effect = """
    class Silencer:
        def find_spec(self, name, path=None, target=None):
            if name == "qwen_agentkit.errors":
                logging.getLogger("pdfminer").setLevel(logging.CRITICAL)
    sys.meta_path.insert(0, Silencer())
    """
    result = run(PROGRAM.replace("EXTRA", textwrap.dedent(effect)), tmp_path)
    assert result.returncode != 0
    assert "pdfminer" in result.stderr.splitlines()[-1]


def test_the_module_for_studio_builds_nothing_when_imported() -> None:
    program = """
import sys
from qwen_agentkit import studio
heavy = {"torch", "transformers", "langchain_core", "langgraph", "qwen_agentkit.stack"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_module_for_ray_loads_no_graphs() -> None:
    program = """
import sys
import qwen_agentkit.ray
loaded = {"ray", "langgraph", "langchain", "qwen_agentkit.graphs"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True)
