"""Schemas of others, such as a public collection: does what is written at random inside their grammars fit?

A folder of JSON files, each one schema. An answer that was completed is checked by `jsonschema`, which this
package does not use, after the check that every answer gets.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema

from qwen_agentkit.engine.checkpoint.loading import load
from qwen_agentkit.engine.grammar.answer_check import AnswerCheck
from qwen_agentkit.engine.grammar.holding import hold_schema
from qwen_agentkit.engine.grammar.turn_grammar import Turn
from qwen_agentkit.errors import InputError, ModelError
from tests.benchmarks.machine import say
from tests.walks import walk

_DRAFTS = {"draft-03": jsonschema.Draft3Validator, "draft-04": jsonschema.Draft4Validator}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("folder", type=Path, help="folder of JSON files, each one schema")
    parser.add_argument("--files", type=int, default=400, help="files to take, at random, at most")
    parser.add_argument("--seed", type=int, default=0, help="which files are taken")
    parser.add_argument("--walks", type=int, default=3, help="answers to each schema")
    parser.add_argument("--minutes", type=float, default=2, help="after which no schema begins")


def measure(folder: Path, files: int, seed: int, walks: int, minutes: float) -> dict[str, Any]:
    """Count schemas and answers by what became of them, and name every answer that does not fit."""
    paths = sorted(folder.rglob("*.json"))
    random.Random(seed).shuffle(paths)
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    wrong: list[str] = []
    end = time.monotonic() + 60 * minutes
    for path in paths[:files]:
        if time.monotonic() > end:
            break
        counts["schemas"] += 1
        try:
            schema = json.loads(path.read_text())
            held = hold_schema("the answer", schema)
        except InputError as error:
            counts["schemas refused"] += 1
            refused[str(error).partition(": ")[2][:60]] += 1
            continue
        counts["schemas held wholly" if not held.left else "schemas checked afterwards"] += 1
        for outcome, text in _walk(schema, walks):
            counts[f"answers {outcome}"] += 1
            if outcome == "that do not fit":
                wrong.append(f"{path.name}: {text[:300]}")
            if outcome == "found at fault" and not held.left:
                wrong.append(f"{path.name}: held, and at fault: {text[:300]}")
    say(f"  {dict(counts)}")
    return {"counts": dict(counts), "refused": dict(refused.most_common(20)), "wrong": wrong}


def _walk(schema: dict[str, Any], walks: int) -> list[tuple[str, str]]:
    """Write answers, and say what became of each."""
    loaded = load("nano-chat", chat=True)
    turn = Turn(schema=schema)
    check = AnswerCheck(turn, "json")
    valid = _validator(schema)
    found = []
    for seed in range(walks):
        try:
            text = walk(loaded, turn, seed)
        except (InputError, ModelError) as error:  # beyond the limits of a grammar
            found.append((f"without a grammar ({type(error).__name__})", str(error)))
            break
        if text is None:
            found.append(("not completed", ""))
        elif fault := check.find_answer_fault(text):
            found.append(("found at fault", f"{text} ({fault})"))
        else:
            try:
                error = next(valid.iter_errors(json.loads(text)), None)
            except Exception as broken:  # a reference or a pattern that jsonschema cannot read
                found.append((f"that jsonschema cannot judge ({type(broken).__name__})", str(broken)))
                continue
            found.append(
                ("that fit", text) if error is None else ("that do not fit", f"{text} ({error.message})")
            )
    return found


def _validator(schema: dict[str, Any]) -> Any:
    """The validator of the draft that a schema names; the newest for none."""
    kind = next((kind for name, kind in _DRAFTS.items() if name in str(schema.get("$schema"))), None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (kind or jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator))(schema)
