"""`sutler pools`: Ceph pools, through Sutler's REST API."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_api_client
from sutler.cli.options import CommandGroup, Output
from sutler.cli.output import Format, columns, print_result
from sutler.text import format_size
from sutler.typedefs import Json

app = CommandGroup("List, create and delete pools for RBD images, and set their quotas.")

Pool = Annotated[str, typer.Argument(metavar="POOL", help="Name of the pool.")]
HEADINGS = ("NAME", "TYPE", "REPLICAS", "PGS", "APPLICATIONS", "QUOTA", "STORED", "FREE")


@app.command("list")
@with_api_client
def list_pools(api: ApiClient, *, output: Output = Format.TABLE) -> None:
    """List the pools with their quota, stored data and free space."""
    found = api.get("pools")["pools"]
    print_result(found, output, columns(HEADINGS, [_row(pool) for pool in found]) if found else "No pools yet.")


@app.command()
@with_api_client
def show(api: ApiClient, pool: Pool, *, output: Output = Format.YAML) -> None:
    """Show all fields of a pool."""
    found = api.get("pools", pool)
    print_result(found, output, columns(HEADINGS, [_row(found)]))


@app.command()
@with_api_client
def create(
    api: ApiClient,
    pool: Pool,
    *,
    pg_num: Annotated[int | None, typer.Option(help="Number of placement groups.  [default: Ceph's]")] = None,
    replicas: Annotated[int | None, typer.Option(help="Number of replicas.  [default: Ceph's]")] = None,
    limit: Annotated[str | None, typer.Option("--quota", metavar="SIZE", help="Quota, such as 500Gi.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create a pool and initialize it for RBD images."""
    wanted: Json = {"name": pool, "pg_num": pg_num, "replicas": replicas}
    if limit is not None:
        wanted["quota"] = {"bytes": limit}
    made = api.request("POST", "pools", body=wanted).body
    free = f"{format_size(made['free'])} free" if made["measured"] else "free space not measured yet"
    print_result(made, output, f"Created pool {pool}: {made['pg_num']} PGs, {free}.")


@app.command()
@with_api_client
def quota(
    api: ApiClient,
    pool: Pool,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Quota, such as 500Gi; 0 removes the quota.")],
) -> None:
    """Set the quota of a pool."""
    wanted = {"quota": {"bytes": int(size) if size.isdecimal() else size}}
    made = api.request("PATCH", "pools", pool, body=wanted).body
    limit = made["quota"]["bytes"]
    print_result(
        made,
        Format.TABLE,
        f"Pool {pool} has a quota of {format_size(limit)}." if limit else f"Pool {pool} has no quota.",
    )


@app.command()
@with_api_client
def delete(
    api: ApiClient,
    pool: Pool,
    confirm: Annotated[
        str, typer.Argument(metavar="POOL", help="The same name again, to confirm that its data is deleted.")
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Delete the pool even if it holds images or other images depend on them.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Delete a pool. Its name must be given twice.

    Without --force, only a pool that is proven to be empty is deleted.
    """
    lost = api.request("DELETE", "pools", pool, confirm=confirm, force=force).lost
    text = f"Deleted pool {pool}, including: {lost}." if lost else f"Deleted pool {pool}."
    print_result({"deleted": pool, "lost": lost}, output, text)


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
