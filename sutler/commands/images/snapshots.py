"""`sutler images snapshots`."""

from typing import Annotated

import typer

from sutler.commands.console import Console, Json, human, with_console
from sutler.commands.images import names
from sutler.commands.images.names import Force, Image, Snapshot
from sutler.commands.options import Output
from sutler.output import EXIT_CODES, Format, columns, emit

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, make, protect and delete snapshots; roll back to one, clone one.",
    epilog=EXIT_CODES,
)

HEADINGS = ("NAME", "SIZE", "CREATED", "PROTECTED", "CLONES")


@app.command("list", epilog=EXIT_CODES)
@with_console
def list_snapshots(console: Console, image: Image, *, output: Output = Format.TABLE) -> None:
    """List the snapshots of an image, the oldest first, with their clones."""
    name = names.image(image)
    found = console.get(*name.path, "snapshots", namespace=name.namespace)["snapshots"]
    emit(found, output, columns(HEADINGS, map(_row, found)) if found else f"No snapshots of {image}.")


@app.command(epilog=EXIT_CODES)
@with_console
def create(console: Console, snapshot: Snapshot) -> None:
    """Make a snapshot; of a claim's image, too."""
    name = names.snapshot(snapshot)
    body = {"name": name.snapshot}
    console.ask("POST", *name.of.path, "snapshots", body=body, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Made snapshot {snapshot}.")


@app.command(epilog=EXIT_CODES)
@with_console
def delete(console: Console, snapshot: Snapshot) -> None:
    """Delete a snapshot. One that is protected or has clones is kept."""
    name = names.snapshot(snapshot)
    console.ask("DELETE", *name.path, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Deleted snapshot {snapshot}.")


@app.command(epilog=EXIT_CODES)
@with_console
def protect(
    console: Console,
    snapshot: Snapshot,
    *,
    off: Annotated[bool, typer.Option("--off", help="Protect it no longer.")] = False,
) -> None:
    """Protect a snapshot: nobody can delete it then."""
    name = names.snapshot(snapshot)
    console.ask("PATCH", *name.path, body={"protected": not off}, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Snapshot {snapshot} is {'no longer ' if off else ''}protected.")


@app.command(epilog=EXIT_CODES)
@with_console
def rollback(console: Console, snapshot: Snapshot, *, force: Force = False) -> None:
    """Make the image what it was. What was written since is lost."""
    name = names.snapshot(snapshot)
    console.finished(console.ask("POST", *name.path, "rollback", namespace=name.of.namespace, force=force))
    emit({}, Format.TABLE, f"Rolled back to {snapshot}.")


@app.command(epilog=EXIT_CODES)
@with_console
def clone(
    console: Console,
    snapshot: Snapshot,
    child: Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The clone, which is made.")],
) -> None:
    """Make an image that begins as the snapshot and shares its data."""
    name, target = names.snapshot(snapshot), names.image(child)
    wanted = {"name": target.image, "pool": target.pool, "namespace": target.namespace}
    console.ask("POST", *name.path, "clone", body=wanted, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Made image {child}, a clone of {snapshot}. To part them: sutler images flatten {child}")


def _row(snapshot: Json) -> list[str]:
    protected = "yes" if snapshot["protected"] else "no"
    clones = ",".join(snapshot["children"]) or "-"
    return [snapshot["name"], human(snapshot["size"]), snapshot["created"], protected, clones]
