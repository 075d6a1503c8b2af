"""Run the command line as a module: `python -m qwen_agentkit.cli`."""

from __future__ import annotations

from qwen_agentkit.cli.entry import main

if __name__ == "__main__":
    main()
