"""`qwen-agentkit docs` and `qwen-agentkit store`: the commands and their arguments. No model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qwen_agentkit.cli.options import DEFAULT_STORE, AsJson, Store, print_json

__all__ = ["docs_app", "store_app"]

docs_app = typer.Typer(no_args_is_help=True, help="List, show, remove and export the documents of a store.")
store_app = typer.Typer(no_args_is_help=True, help="Measure, back up, check, repair and copy a store.")

Source = Annotated[str, typer.Argument(help="Name of the document, as `docs list` shows it.")]
Tenant = Annotated[
    str | None, typer.Option(help="Whose documents. Default: those of nobody.", metavar="NAME")
]


@docs_app.command("list")
def list_documents(store: Store = DEFAULT_STORE, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the documents with their number of passages, and languages."""
    from qwen_agentkit.cli import documents, show_store

    rows = documents.list_documents(store, tenant)
    if as_json:
        print_json({"documents": rows})
    else:
        show_store.print_rows(rows, "The store has no documents.")


@docs_app.command("show")
def show_document(
    source: Source, store: Store = DEFAULT_STORE, tenant: Tenant = None, as_json: AsJson = False
) -> None:
    """Print the passages of a document, in order."""
    from qwen_agentkit.cli import documents, show_store

    passages = documents.read_document(store, source, tenant)
    if as_json:
        print_json({"passages": passages})
    else:
        show_store.print_passages(passages)


@docs_app.command("remove")
def remove_documents(
    sources: Annotated[list[str], typer.Argument(help="Names of documents, as `docs list` shows them.")],
    store: Store = DEFAULT_STORE,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Remove documents from the store. The next ingest adds them again if their files are still there."""
    from qwen_agentkit.cli import documents, show_store

    removed = documents.remove_documents(store, sources, tenant)
    if as_json:
        print_json({"removed": removed})
    else:
        show_store.print_line(f"{removed} passages of {len(set(sources))} documents removed")


@docs_app.command("export")
def export_documents(
    file: Annotated[Path, typer.Argument(help="File to write, as JSON lines.")],
    store: Store = DEFAULT_STORE,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Write all passages to a file, one JSON object a line: id, text, metadata."""
    from qwen_agentkit.cli import documents, show_store

    exported = documents.export_documents(store, file, tenant)
    if as_json:
        print_json({"exported": exported})
    else:
        show_store.print_line(f"{exported} passages written to {file}")


@store_app.command()
def stats(store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Print how many documents and passages there are, in which languages, and which models made them."""
    from qwen_agentkit.cli import maintenance, show_store

    found = maintenance.measure(store)
    if as_json:
        print_json(found)
    else:
        show_store.print_values(found)


@store_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write. An existing one is replaced at the end.")],
    store: Store = DEFAULT_STORE,
    as_json: AsJson = False,
) -> None:
    """Write the whole store with its vectors to one file. The store may be in use."""
    from qwen_agentkit.cli import maintenance, show_store

    points = maintenance.back_up(store, file)
    if as_json:
        print_json({"points": points})
    else:
        show_store.print_line(f"{points} passages written to {file}")


@store_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    store: Store = DEFAULT_STORE,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the store that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a store from a backup. It must not be in use."""
    from qwen_agentkit.cli import maintenance, show_store

    points = maintenance.restore(file, store, replace=replace)
    if as_json:
        print_json({"points": points})
    else:
        show_store.print_line(f"{points} passages restored to {store}")


@store_app.command()
def check(store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Read everything in the store and report what is wrong. Exit code 1 means that something is."""
    from qwen_agentkit.cli import maintenance, show_store

    report = maintenance.check(store)
    if as_json:
        print_json(report.to_dict())
    else:
        show_store.print_store_report(report)
    if report.problems:
        raise typer.Exit(1)


@store_app.command()
def repair(store: Store = DEFAULT_STORE, as_json: AsJson = False) -> None:
    """Write all that is sound into a new store, and report what was lost. Exit code 1: something was."""
    from qwen_agentkit.cli import maintenance, show_store

    report = maintenance.repair(store)
    if as_json:
        print_json(report.to_dict())
    else:
        show_store.print_store_report(report)
    if report.problems:
        raise typer.Exit(1)


@store_app.command("copy-to")
def copy_to(
    url: Annotated[str, typer.Argument(help="A Qdrant server, such as http://localhost:6333.")],
    store: Store = DEFAULT_STORE,
    collection: Annotated[str, typer.Option(help="Name of the collection there.")] = "documents",
    api_key: Annotated[str | None, typer.Option(envvar="QDRANT_API_KEY", hidden=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the store to a server, without embedding anything again. Repeat it to resume or to update.

    The key of the server is read from QDRANT_API_KEY.
    """
    from qwen_agentkit.cli import maintenance, show_store

    copied = maintenance.copy_to(store, url, collection, api_key)
    if as_json:
        print_json(copied)
    else:
        show_store.print_values(copied)
