"""The benchmark of embedded stores runs, and says of each store what it promises."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.__main__ import main


def test_stores_are_measured(tmp_path: Path) -> None:
    written = tmp_path / "results.json"
    main(
        [
            "stores",
            "--number",
            "200",
            "--queries",
            "20",
            "--only",
            "ours, scalar",
            "chroma",
            "--json",
            str(written),
        ]
    )
    results = json.loads(written.read_text("utf-8"))["stores"]
    [(name, found)] = results["stores"].items()  # no peers without a Python that has them
    assert (results["number"], name) == (200, "ours, scalar")
    assert found["recall@10 of nearest"] >= 0.95
    assert {"all, p50 ms", "filtered, p99 ms", "anonymous MB", "inserted a second"} <= found.keys()
    assert all(value >= 0 for value in found.values())
