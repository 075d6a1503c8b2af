"""The pages of the documentation: which there are, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(
    r"(?:^<!-- (?P<rule>(?:run with|not run): .*?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes:
        rule: what the comment right before it says: "run with: NAME" or "not run: REASON".
        line: of its first line of code, from 1.
        output: the block of text right below it, if there is one.
    """

    language: str
    code: str
    rule: str
    line: int
    output: str | None


def read_page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, *languages: str) -> list[Block]:
    """Return the blocks of a page in these languages; by default all."""
    text = read_page(name)
    found = list(_BLOCK.finditer(text))
    result = []
    for one, after in zip_longest(found, found[1:]):
        below = after and after["language"] == "text" and not text[one.end() : after.start()].strip()
        output = after["code"] if after and below else None
        line = text.count("\n", 0, one.start("code")) + 1
        result.append(Block(one["language"], one["code"], one["rule"] or "", line, output))
    return [block for block in result if block.language in languages or not languages]
