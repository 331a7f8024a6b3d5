"""`sutler images trash`: images in the trash of a pool."""

from datetime import timedelta
from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_api_client
from sutler.cli.images import refs
from sutler.cli.images.refs import Pool
from sutler.cli.options import CommandGroup, Output
from sutler.cli.output import Format, columns, print_line, print_result
from sutler.text import format_size
from sutler.typedefs import Json

app = CommandGroup("List, restore and purge images in the trash of a pool.")

Identifier = Annotated[str, typer.Argument(metavar="ID", help="From `sutler images trash list`.")]
HEADINGS = ("ID", "NAME", "SIZE", "KEPT UNTIL", "CLAIM")


@app.command("list")
@with_api_client
def list_trash(api: ApiClient, pool: Pool, *, output: Output = Format.TABLE) -> None:
    """List the images in the trash, including the rest of removals that were interrupted."""
    name, namespace = refs.parse_pool(pool)
    found = list(api.list_all("entries", "pools", name, "trash", namespace=namespace))
    rows = [
        [one["id"], one["name"], format_size(one["size"]), one["until"], refs.render_claim(one["claim"])]
        for one in found
    ]
    text = columns(HEADINGS, rows) if found else f"No images in the trash of {pool}."
    print_result(found, output, "\n".join([text, *(removal_state(one) for one in found if one["unfinished"])]))


def removal_state(one: Json) -> str:
    """The state of an incomplete entry, as a sentence."""
    # The REST API of version 0.1 reports no progress.
    if one.get("left_seconds") is None:
        return f"{one['id']} is incomplete: {one['unfinished']}"
    left = timedelta(seconds=one["left_seconds"])
    return f"{one['id']} is being removed: {one['progress']:.1%} done, about {left} left"


@app.command()
@with_api_client
def restore(
    api: ApiClient,
    pool: Pool,
    identifier: Identifier,
    *,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="New name.  [default: its former name]")
    ] = None,
) -> None:
    """Restore an image from the trash."""
    name, namespace = refs.parse_pool(pool)
    body = {"name": new_name}
    found = api.request("POST", "pools", name, "trash", identifier, "restore", body=body, namespace=namespace).body
    print_line(f"Restored image {pool}/{found['name']}.")


@app.command()
@with_api_client
def purge(
    api: ApiClient,
    pool: Pool,
    identifier: Identifier,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Even before the end of its minimum time in the trash.")
    ] = False,
) -> None:
    """Delete an image in the trash permanently, with its data."""
    name, namespace = refs.parse_pool(pool)
    api.wait(api.request("DELETE", "pools", name, "trash", identifier, namespace=namespace, force=force))
    print_line(f"Purged {identifier} from the trash of {pool}.")
