"""`sutler images snapshots`."""

import os
from typing import Annotated

import typer

from sutler.commands.console import URL, CaFile, Console, Json, Token, Url, human
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
def list_snapshots(
    image: Image, *, output: Output = Format.TABLE, url: Url = URL, ca_file: CaFile = None, token_file: Token = None
) -> None:
    """List the snapshots of an image, the oldest first, with their clones."""
    name = names.image(image)
    console = Console(url, ca_file, token_file, os.environ)
    found = console.get(*name.path, "snapshots", namespace=name.namespace)["snapshots"]
    emit(found, output, columns(HEADINGS, map(_row, found)) if found else f"No snapshots of {image}.")


@app.command(epilog=EXIT_CODES)
def create(snapshot: Snapshot, *, url: Url = URL, ca_file: CaFile = None, token_file: Token = None) -> None:
    """Make a snapshot; of a claim's image, too."""
    name = names.snapshot(snapshot)
    console = Console(url, ca_file, token_file, os.environ)
    body = {"name": name.snapshot}
    console.ask("POST", *name.of.path, "snapshots", body=body, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Made snapshot {snapshot}.")


@app.command(epilog=EXIT_CODES)
def delete(snapshot: Snapshot, *, url: Url = URL, ca_file: CaFile = None, token_file: Token = None) -> None:
    """Delete a snapshot. One that is protected or has clones is kept."""
    name = names.snapshot(snapshot)
    Console(url, ca_file, token_file, os.environ).ask("DELETE", *name.path, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Deleted snapshot {snapshot}.")


@app.command(epilog=EXIT_CODES)
def protect(
    snapshot: Snapshot,
    *,
    off: Annotated[bool, typer.Option("--off", help="Protect it no longer.")] = False,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Protect a snapshot: nobody can delete it then."""
    name = names.snapshot(snapshot)
    console = Console(url, ca_file, token_file, os.environ)
    console.ask("PATCH", *name.path, body={"protected": not off}, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Snapshot {snapshot} is {'no longer ' if off else ''}protected.")


@app.command(epilog=EXIT_CODES)
def rollback(
    snapshot: Snapshot, *, force: Force = False, url: Url = URL, ca_file: CaFile = None, token_file: Token = None
) -> None:
    """Make the image what it was. What was written since is lost."""
    name = names.snapshot(snapshot)
    console = Console(url, ca_file, token_file, os.environ)
    console.finished(console.ask("POST", *name.path, "rollback", namespace=name.of.namespace, force=force))
    emit({}, Format.TABLE, f"Rolled back to {snapshot}.")


@app.command(epilog=EXIT_CODES)
def clone(
    snapshot: Snapshot,
    child: Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The clone, which is made.")],
    *,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Make an image that begins as the snapshot and shares its data."""
    name, target = names.snapshot(snapshot), names.image(child)
    wanted = {"name": target.image, "pool": target.pool, "namespace": target.namespace}
    console = Console(url, ca_file, token_file, os.environ)
    console.ask("POST", *name.path, "clone", body=wanted, namespace=name.of.namespace)
    emit({}, Format.TABLE, f"Made image {child}, a clone of {snapshot}. To part them: sutler images flatten {child}")


def _row(snapshot: Json) -> list[str]:
    protected = "yes" if snapshot["protected"] else "no"
    clones = ",".join(snapshot["children"]) or "-"
    return [snapshot["name"], human(snapshot["size"]), snapshot["created"], protected, clones]
