"""Commands that serve collections to other programs: serve, mcp, openapi."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bedside.cli.keys import given_key
from bedside.cli.options import Model, Scope, load, parse_scope, print_json
from bedside.cli.recording import trail
from bedside.engines import shown
from bedside.support.extras import needs

Root = Annotated[
    str, typer.Argument(metavar="ROOT", help="A folder of collections, or the URL of a database with them.")
]
LogFormat = Literal["text", "json"]
Seconds = Annotated[float, typer.Option("--max-seconds", min=0.1, help="Until a request is answered with an error.")]


def serve(
    root: Root,
    host: Annotated[str, typer.Option(help="Address to listen at; other than loopback needs tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8_427,
    tokens: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON file of tokens; else BEDSIDE_TOKEN.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="Another name of the server; needs tokens; may be repeated."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", help="Origin of a web page that may ask (CORS); may be repeated."),
    ] = None,
    encoder: Model = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody may write.")] = False,
    backups: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Folder or database for backups, which admins make and restore.")
    ] = None,
    imports: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of files that admins may import.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve; each holds what it has opened.")] = 1,
    log_format: Annotated[LogFormat, typer.Option("--log-format", help="Of the lines on standard error.")] = "text",
    max_seconds: Seconds = 60.0,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request's body at most.")] = 32 * 2**20,
) -> None:
    """Serve the collections of a folder or a database over HTTP; the schema is at /openapi.json."""
    with needs("serve"):
        from bedside.serving import Limits, Service
        from bedside.serving.logs import set_up
        from bedside.serving.run import serve as run
        from bedside.serving.run import serve_by_workers, tokens_of
        from bedside.serving.workers import Worker
    set_up(log_format)
    at: dict[str, Any] = {"host": host, "port": port, "tokens": tokens_of(tokens), "allow_hosts": allow_host or ()}

    def ready(address: str) -> None:
        typer.echo(f"serving {shown(root)} at {address}")

    worker = Worker.here()
    if workers > 1 and worker is None:
        raise typer.Exit(0 if serve_by_workers(workers, **at, ready=ready) else 1)
    limits = Limits(body=max_body, seconds=max_seconds, workers=workers)
    how: dict[str, Any] = {"key": given_key(), "audit": trail(), "backups": backups, "imports": imports}
    service = Service(root, encoder=load(encoder), limits=limits, read_only=read_only, **how)
    run(service, **at, allow_origins=allow_origin or (), ready=worker.ready if worker else ready, worker=worker)


def mcp(
    root: Root,
    encoder: Model = None,
    scope: Scope = None,
    collection: Annotated[
        list[str] | None, typer.Option("--collection", help="The only collections it sees; may be repeated.")
    ] = None,
    allow_writes: Annotated[bool, typer.Option("--allow-writes", help="Offer tools that add and delete.")] = False,
    max_seconds: Seconds = 60.0,
) -> None:
    """Serve the collections of a folder or a database to a chatbot, over MCP on standard input and output."""
    with needs("mcp"):
        from bedside.serving import Access, Limits, Service
        from bedside.serving.mcp import create_server
    seen = None if collection is None else frozenset(collection)
    access = Access("mcp", seen, parse_scope(scope), role="write" if allow_writes else "read")
    limits = Limits(seconds=max_seconds)
    service = Service(
        root, encoder=load(encoder), limits=limits, read_only=not allow_writes, key=given_key(), audit=trail()
    )
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the default waits for a thread that reads standard input
    create_server(service, access).run("stdio")


def openapi() -> None:
    """Print the schema of the HTTP interface, from which clients in other languages are generated."""
    with needs("serve"):
        from bedside.serving.openapi import schema
    print_json(schema())


COMMANDS = {"serve": serve, "mcp": mcp, "openapi": openapi}
