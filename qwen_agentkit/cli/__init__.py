"""The command line: `qwen-agentkit`."""

from __future__ import annotations

from qwen_agentkit.cli.entry import app, main

__all__ = ["app", "main"]
