"""Draws every graph of langgraph.json into the README: python -m tests.pictures

Mermaid, which Markdown viewers draw themselves: LangGraph makes PNGs of it only by a service or a browser.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PLACE = re.compile(r"(?<=<!-- graphs -->\n).*?(?=<!-- end of graphs -->)", re.DOTALL)


def pictures() -> str:
    """Every graph that the server serves, as a block that opens on a click."""
    served = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))["graphs"]
    return "".join(
        f"<details><summary><code>{name}</code>: {entry['description']}</summary>\n\n"
        f"```mermaid\n{_mermaid(entry['path'])}\n```\n\n</details>\n"
        for name, entry in served.items()
    )


def drawn(readme: str) -> str:
    """The README with today's pictures."""
    text, places = PLACE.subn(lambda _: pictures(), readme)
    assert places == 1, "the README has lost its <!-- graphs --> markers"
    return text


def _mermaid(path: str) -> str:
    module, _, variable = path.partition(":")
    drawing: str = getattr(import_module(module), variable).get_graph().draw_mermaid(with_styles=False)
    return drawing.strip().replace("\t", "  ")


if __name__ == "__main__":
    README.write_text(drawn(README.read_text(encoding="utf-8")), encoding="utf-8")
