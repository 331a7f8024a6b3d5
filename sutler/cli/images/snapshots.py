"""`sutler images snapshots`."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_console
from sutler.cli.images import refs
from sutler.cli.images.refs import Force, Image, Snapshot
from sutler.cli.options import Output
from sutler.cli.output import EXIT_CODES, Format, columns, emit
from sutler.text import format_size
from sutler.typedefs import Json

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, make, protect and delete snapshots; roll back to one, clone one.",
    epilog=EXIT_CODES,
)

HEADINGS = ("NAME", "SIZE", "CREATED", "PROTECTED", "CLONES")


@app.command("list", epilog=EXIT_CODES)
@with_console
def list_snapshots(console: ApiClient, image: Image, *, output: Output = Format.TABLE) -> None:
    """List the snapshots of an image, the oldest first, with their clones."""
    name = refs.image(image)
    found = console.get(*name.path, "snapshots", namespace=name.namespace)["snapshots"]
    emit(found, output, columns(HEADINGS, map(_row, found)) if found else f"No snapshots of {image}.")


@app.command(epilog=EXIT_CODES)
@with_console
def create(console: ApiClient, snapshot: Snapshot) -> None:
    """Make a snapshot; of a claim's image, too."""
    name = refs.snapshot(snapshot)
    body = {"name": name.snapshot}
    console.ask("POST", *name.of.path, "snapshots", body=body, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Made snapshot {snapshot}.")


@app.command(epilog=EXIT_CODES)
@with_console
def delete(console: ApiClient, snapshot: Snapshot) -> None:
    """Delete a snapshot. One that is protected or has clones is kept."""
    name = refs.snapshot(snapshot)
    console.ask("DELETE", *name.path, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Deleted snapshot {snapshot}.")


@app.command(epilog=EXIT_CODES)
@with_console
def protect(
    console: ApiClient,
    snapshot: Snapshot,
    *,
    off: Annotated[bool, typer.Option("--off", help="Protect it no longer.")] = False,
) -> None:
    """Protect a snapshot: nobody can delete it then."""
    name = refs.snapshot(snapshot)
    console.ask("PATCH", *name.path, body={"protected": not off}, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Snapshot {snapshot} is {'no longer ' if off else ''}protected.")


@app.command(epilog=EXIT_CODES)
@with_console
def rollback(console: ApiClient, snapshot: Snapshot, *, force: Force = False) -> None:
    """Make the image what it was. What was written since is lost."""
    name = refs.snapshot(snapshot)
    console.finished(console.ask("POST", *name.path, "rollback", namespace=name.of.namespace, force=force))
    emit({}, Format.TABLE, f"Rolled back to {snapshot}.")


@app.command(epilog=EXIT_CODES)
@with_console
def clone(
    console: ApiClient,
    snapshot: Snapshot,
    child: Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The clone, which is made.")],
) -> None:
    """Make an image that begins as the snapshot and shares its data."""
    name, target = refs.snapshot(snapshot), refs.image(child)
    wanted = {"name": target.image, "pool": target.pool, "namespace": target.namespace}
    console.ask("POST", *name.path, "clone", body=wanted, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Made image {child}, a clone of {snapshot}. To part them: sutler images flatten {child}")


def _row(snapshot: Json) -> list[str]:
    protected = "yes" if snapshot["protected"] else "no"
    clones = ",".join(snapshot["children"]) or "-"
    return [snapshot["name"], format_size(snapshot["size"]), snapshot["created"], protected, clones]
