"""`sutler pools`: Ceph's pools, through Sutler's REST API."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_console
from sutler.cli.options import Output
from sutler.cli.output import EXIT_CODES, Format, columns, emit
from sutler.text import format_size
from sutler.typedefs import Json

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, make and delete pools for images; say what they may hold.",
    epilog=EXIT_CODES,
)

Pool = Annotated[str, typer.Argument(metavar="POOL", help="Name of the pool.")]
HEADINGS = ("NAME", "TYPE", "REPLICAS", "PGS", "APPLICATIONS", "QUOTA", "STORED", "FREE")


@app.command("list", epilog=EXIT_CODES)
@with_console
def list_pools(console: ApiClient, *, output: Output = Format.TABLE) -> None:
    """List the pools, and how full they are."""
    found = console.get("pools")["pools"]
    emit(found, output, columns(HEADINGS, [_row(pool) for pool in found]) if found else "No pools yet.")


@app.command(epilog=EXIT_CODES)
@with_console
def show(console: ApiClient, pool: Pool, *, output: Output = Format.YAML) -> None:
    """Show all of one pool."""
    found = console.get("pools", pool)
    emit(found, output, columns(HEADINGS, [_row(found)]))


@app.command(epilog=EXIT_CODES)
@with_console
def create(
    console: ApiClient,
    pool: Pool,
    *,
    pg_num: Annotated[int | None, typer.Option(help="Placement groups.  [default: Ceph's]")] = None,
    replicas: Annotated[int | None, typer.Option(help="Copies of everything.  [default: Ceph's]")] = None,
    limit: Annotated[str | None, typer.Option("--quota", metavar="SIZE", help="What it may hold, like 500Gi.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a pool, ready for images."""
    wanted: Json = {"name": pool, "pg_num": pg_num, "replicas": replicas}
    if limit is not None:
        wanted["quota"] = {"bytes": limit}
    made = console.ask("POST", "pools", body=wanted).body
    free = f"{format_size(made['free'])} free" if made["measured"] else "free space not known yet"
    emit(made, output, f"Made pool {pool}: {made['pg_num']} PGs, {free}.")


@app.command(epilog=EXIT_CODES)
@with_console
def quota(
    console: ApiClient,
    pool: Pool,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="What it may hold, like 500Gi; 0 for no limit.")],
) -> None:
    """Say how much a pool may hold."""
    wanted = {"quota": {"bytes": int(size) if size.isdecimal() else size}}
    made = console.ask("PATCH", "pools", pool, body=wanted).body
    limit = made["quota"]["bytes"]
    emit(made, Format.TABLE, f"Pool {pool} may hold {format_size(limit)}." if limit else f"Pool {pool} has no limit.")


@app.command(epilog=EXIT_CODES)
@with_console
def delete(
    console: ApiClient,
    pool: Pool,
    confirm: Annotated[str, typer.Argument(metavar="POOL", help="The same name again: its data goes with it.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Whatever is in it, or depends on it.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Delete a pool, named twice. Without --force only one that is proven to be empty."""
    lost = console.ask("DELETE", "pools", pool, confirm=confirm, force=force).lost
    text = f"Deleted pool {pool}, and with it: {lost}." if lost else f"Deleted pool {pool}."
    emit({"deleted": pool, "lost": lost}, output, text)


def _row(pool: Json) -> list[str]:
    return [
        pool["name"],
        pool["type"],
        str(pool["replicas"]),
        str(pool["pg_num"]),
        ",".join(pool["applications"]) or "-",
        format_size(pool["quota"]["bytes"]),
        format_size(pool["stored"] if pool["measured"] else None),
        format_size(pool["free"] if pool["measured"] else None),
    ]
