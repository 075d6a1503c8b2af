"""`qwen-agentkit serve`, `mcp` and `token`: the commands and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qwen_agentkit.cli.options import DEFAULT_STORE, Preset, Store, open_stack

__all__ = ["mcp", "serve", "token"]

ServedModel = Annotated[
    str | None,
    typer.Option(
        help="Chat model that answers: hub id, folder or provider:model. Default: the preset's.",
        metavar="NAME",
    ),
]
ServedGraph = Annotated[str, typer.Option(help="Graph that answers: rag, corrective_rag, research or agent.")]
TokensFile = Annotated[Path, typer.Option("--tokens", help="File of tokens.", metavar="FILE")]


def serve(
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    model: ServedModel = None,
    graph: ServedGraph = "rag",
    host: Annotated[
        str, typer.Option(help="Address to listen at. Others than this machine's own need --tokens.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8100,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="File of tokens, see `qwen-agentkit token`. Default: none is needed.", metavar="FILE"
        ),
    ] = None,
    watch: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of documents to keep the store in step with; may be repeated.", metavar="DIR"
        ),
    ] = None,
) -> None:
    """Serve a store: a page to read and ask, the OpenAI API, and an MCP server at /mcp. Offline.

    The store is made if need be. While it is served, no other process can write to it.
    """
    from qwen_agentkit.cli import hosting  # loads torch: only when a command runs

    served = hosting.Hosting(model, graph, host, port, tokens, watch or ())
    hosting.serve(
        open_stack(preset, store), served, lambda address: typer.echo(f"Serving {store} at {address}")
    )


def mcp(
    preset: Preset = None,
    store: Store = DEFAULT_STORE,
    model: ServedModel = None,
    graph: ServedGraph = "rag",
) -> None:
    """Serve a store to the program that starts this command: MCP over standard input and output."""
    from qwen_agentkit.cli import hosting  # loads torch: only when a command runs

    hosting.serve_mcp(open_stack(preset, store), model=model, graph=graph)


def token(
    name: Annotated[str, typer.Argument(help="Name of the user. Conversations belong to it.")],
    tokens: TokensFile = Path("tokens.json"),
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group", help="Group whose documents the user may read; * for all documents.", metavar="NAME"
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="The user may also add and remove documents.")
    ] = False,
) -> None:
    """Add a token for `serve` to a file, and print it. The file holds only its hash."""
    from qwen_agentkit.serve.access import add_token

    typer.echo(add_token(tokens, name, groups or [], writes=write))
