"""The modules of the package, by name and file."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def modules() -> list[tuple[str, Path]]:
    """Every module as (name inside the package, file)."""
    found = []
    for folder, prefix in ((ROOT / "qwen_agentkit", ""), (ROOT / "graphs", "graphs.")):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            found.append((prefix + ".".join(part for part in parts if part != "__init__"), file))
    return [(name.rstrip("."), file) for name, file in found if name]
