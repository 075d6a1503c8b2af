"""Writes the generated parts of the documentation: `python docs/generate.py`.

Each part stands in a page between the comments `<!-- generated: NAME -->` and `<!-- end of generated -->`.

    python docs/generate.py            write every part, and the pictures of the graphs
    python docs/generate.py --check    write nothing; exit with 1 when anything would change
    python docs/generate.py pictures   run `qwen-agentkit demo`, and write docs/pictures/demo.svg
    python docs/generate.py screenshots  serve the handbook, and take pictures of the page in a chromium
    python docs/generate.py journeys   run four calls, and write the files that each passes

The last three run models; `--check` leaves their parts alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from generators import api, checkpoints, commands, demo, graphs, journeys, screenshots, servers, tree

DOCS = Path(__file__).parent

PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "checkpoints": ("models.md", checkpoints.table),
    "graphs": ("graphs.md", graphs.sections),
    "servers": ("servers.md", servers.sections),
    "tree": ("architecture.md", tree.tree),
    "commands": ("cli.md", commands.sections),
    "api": ("api.md", api.sections),
}


def replace_part(page: str, name: str, part: str) -> str:
    """Return the page with its generated part `name` replaced.

    Raises:
        ValueError: The page does not have the two comments exactly once.
    """
    pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end of generated -->)"
    text, count = re.subn(pattern, lambda found: found[1] + part + found[2], page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"The part {name!r} was found {count} times in its page; expected once.")
    return text


def main(arguments: list[str]) -> int:
    """Run the command; the exit code is 1 when `--check` found a difference."""
    if arguments == ["pictures"]:
        demo.write_picture(DOCS / "pictures" / "demo.svg")
        return 0
    if arguments == ["screenshots"]:
        screenshots.write_pictures(DOCS / "pictures")
        return 0
    if arguments == ["journeys"]:
        path = DOCS / "architecture.md"
        page = replace_part(path.read_text(encoding="utf-8"), "journeys", journeys.sections())
        path.write_text(page, encoding="utf-8")
        return 0
    if arguments not in ([], ["--check"]):
        raise SystemExit(__doc__)
    check, stale = bool(arguments), []
    for name, (file, write) in PARTS.items():
        path = DOCS / file
        page = path.read_text(encoding="utf-8")
        fresh = replace_part(page, name, write())
        if fresh != page:
            stale.append(f"docs/{file}: {name}")
            if not check:
                path.write_text(fresh, encoding="utf-8")
    for picture in graphs.stale_pictures():
        stale.append(f"docs/pictures/{picture}.png")
        if not check:
            graphs.draw_picture(picture)
    for what in stale:
        print(f"{'stale' if check else 'written'}: {what}")
    if check and stale:
        print("Type: python docs/generate.py")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
