"""`sutler images snapshots`: snapshots of RBD images."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_api_client
from sutler.cli.images import refs
from sutler.cli.images.refs import Force, Image, Snapshot
from sutler.cli.options import CommandGroup, Output
from sutler.cli.output import Format, columns, print_line, print_result
from sutler.text import format_size
from sutler.typedefs import Json

app = CommandGroup("List, create, protect, delete, roll back to and clone snapshots.")

HEADINGS = ("NAME", "SIZE", "CREATED", "PROTECTED", "CLONES")


@app.command("list")
@with_api_client
def list_snapshots(api: ApiClient, image: Image, *, output: Output = Format.TABLE) -> None:
    """List the snapshots of an image with their clones, oldest first."""
    name = refs.parse_image(image)
    found = api.get(*name.path, "snapshots", namespace=name.namespace)["snapshots"]
    print_result(found, output, columns(HEADINGS, map(_row, found)) if found else f"No snapshots of {image}.")


@app.command()
@with_api_client
def create(api: ApiClient, snapshot: Snapshot) -> None:
    """Create a snapshot of an image, which may belong to a claim."""
    name = refs.parse_snapshot(snapshot)
    body = {"name": name.snapshot}
    api.request("POST", *name.image.path, "snapshots", body=body, namespace=name.image.namespace)
    print_line(f"Created snapshot {snapshot}.")


@app.command()
@with_api_client
def delete(api: ApiClient, snapshot: Snapshot) -> None:
    """Delete a snapshot. A snapshot that is protected or has clones is not deleted."""
    name = refs.parse_snapshot(snapshot)
    api.request("DELETE", *name.path, namespace=name.image.namespace)
    print_line(f"Deleted snapshot {snapshot}.")


@app.command()
@with_api_client
def protect(
    api: ApiClient,
    snapshot: Snapshot,
    *,
    off: Annotated[bool, typer.Option("--off", help="Remove the protection.")] = False,
) -> None:
    """Protect a snapshot from deletion."""
    name = refs.parse_snapshot(snapshot)
    api.request("PATCH", *name.path, body={"protected": not off}, namespace=name.image.namespace)
    print_line(f"Snapshot {snapshot} is {'no longer ' if off else ''}protected.")


@app.command()
@with_api_client
def rollback(api: ApiClient, snapshot: Snapshot, *, force: Force = False) -> None:
    """Restore an image to a snapshot. Data written since is lost."""
    name = refs.parse_snapshot(snapshot)
    api.wait(api.request("POST", *name.path, "rollback", namespace=name.image.namespace, force=force))
    print_line(f"Rolled back to {snapshot}.")


@app.command()
@with_api_client
def clone(
    api: ApiClient,
    snapshot: Snapshot,
    child: Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The clone to create.")],
) -> None:
    """Create an image that starts as the snapshot and shares its data."""
    name, target = refs.parse_snapshot(snapshot), refs.parse_image(child)
    wanted = {"name": target.image, "pool": target.pool, "namespace": target.namespace}
    api.request("POST", *name.path, "clone", body=wanted, namespace=name.image.namespace)
    print_line(f"Created image {child}, a clone of {snapshot}. To make it independent: sutler images flatten {child}")


def _row(snapshot: Json) -> list[str]:
    protected = "yes" if snapshot["protected"] else "no"
    clones = ",".join(snapshot["children"]) or "-"
    return [snapshot["name"], format_size(snapshot["size"]), snapshot["created"], protected, clones]
