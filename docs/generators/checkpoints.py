"""The table of checkpoints, from the catalog."""

from __future__ import annotations

from qwen_agentkit.catalog import CHECKPOINTS


def table() -> str:
    """Return one row for each checkpoint of the catalog."""
    lines = [
        "| checkpoint | parameters | weights in bf16 | context | dimensions |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.name}` | {row.parameters / 1000:.1f} B | {row.bf16_gigabytes:.1f} GB "
        f"| {row.context:,} | {row.dimensions or ''} |"
        for row in CHECKPOINTS
    ]
    return "\n" + "\n".join(lines) + "\n\n"
