"""Arguments, options and help of every command of `qwen-agentkit`, as its parser has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from qwen_agentkit.cli.entry import app


def sections() -> str:
    """Return a section for each command, in the order of `qwen-agentkit --help`."""
    group: Any = typer.main.get_command(app)
    return "".join(_describe_all("", group))


def _describe_all(prefix: str, group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _describe_all(f"{prefix}{name} ", command)
        else:
            yield _describe(prefix + name, command)


def _describe(name: str, command: Any) -> str:
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join(["qwen-agentkit", name, "[OPTIONS]", *map(_placeholder, arguments)])
    rows = [f"| `{_placeholder(one)}` | {one.help} | {_default(one)} |" for one in arguments]
    rows += [f"| {_spelling(one)} | {one.help} | {_default(one)} |" for one in options]
    table = "".join(f"{row}\n" for row in ["| option | meaning | default |", "|---|---|---|", *rows])
    return f"\n## {name}\n\n```text\n{usage}\n```\n\n{command.help.strip()}\n\n{table}"


def _placeholder(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _spelling(option: Any) -> str:
    names = " / ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names[:-1]} {option.metavar or option.name.upper()}`"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return f"`{parameter.default}`" if parameter.default not in (None, False) else ""
