"""`sutler images`: RBD images, through Sutler's REST API."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_api_client
from sutler.cli.images import operations, refs, snapshots, trash
from sutler.cli.images.refs import Force, Image, Pool
from sutler.cli.options import CommandGroup, Output
from sutler.cli.output import Format, columns, print_line, print_result
from sutler.text import format_size
from sutler.typedefs import Json

app = CommandGroup("List, create, resize, rename and delete RBD images, their snapshots, and images in the trash.")
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(trash.app, name="trash")
app.add_typer(operations.app, name="operations")

HEADINGS = ("NAME", "SIZE", "USED", "SNAPSHOTS", "CLAIM", "FEATURES")


@app.command("list")
@with_api_client
def list_images(
    api: ApiClient,
    pool: Pool,
    *,
    prefix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="List only images whose name starts with this text.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """List the images of a pool, and the claims that they belong to."""
    name, namespace = refs.parse_pool(pool)
    found = list(api.list_all("images", "pools", name, "images", namespace=namespace, prefix=prefix))
    text = columns(HEADINGS, [_row(image) for image in found]) if found else f"No images in {pool}."
    broken = [f"{image['name']} is incomplete: {image['unfinished']}" for image in found if image["unfinished"]]
    print_result(found, output, "\n".join([text, *broken]))


@app.command()
@with_api_client
def show(api: ApiClient, image: Image, *, output: Output = Format.YAML) -> None:
    """Show all fields of an image, with its watchers, snapshots, parent and metadata."""
    name = refs.parse_image(image)
    found = api.get(*name.path, namespace=name.namespace)
    print_result(found, output, columns(HEADINGS, [_row(found)]))


@app.command()
@with_api_client
def create(
    api: ApiClient,
    image: Image,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Size, such as 10Gi, 1.5Gi, 500M, or a number of bytes.")],
    *,
    order: Annotated[
        int | None, typer.Option(help="Object size as a power of 2, from 12 to 25.  [default: 22]")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Enable only this feature; repeat for more.")
    ] = None,
    data_pool: Annotated[str | None, typer.Option(metavar="POOL", help="Pool for the image's data.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create an image."""
    pool, namespace, name = refs.parse_image(image)
    wanted: Json = {"name": name, "size": refs.parse_size(size), "order": order}
    wanted |= {"data_pool": data_pool} | ({"features": feature} if feature else {})
    made = api.request("POST", "pools", pool, "images", body=wanted, namespace=namespace).body
    print_result(
        made, output, f"Created image {image}: {made['size_quantity']}, objects of {format_size(made['object_size'])}."
    )


@app.command()
@with_api_client
def resize(
    api: ApiClient,
    image: Image,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="The new size, like 20Gi.")],
    *,
    shrink: Annotated[bool, typer.Option("--shrink", help="Allow a smaller size; data beyond it is lost.")] = False,
    force: Force = False,
) -> None:
    """Grow an image, or shrink it with --shrink."""
    body = {"size": refs.parse_size(size), "shrink": shrink}
    _update(api, image, body, force=force)
    print_line(f"Resized image {image} to {size}.")


@app.command()
@with_api_client
def rename(
    api: ApiClient,
    image: Image,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name, in the same pool.")],
    *,
    force: Force = False,
) -> None:
    """Rename an image within its pool."""
    _update(api, image, {"name": name}, force=force)
    print_line(f"Renamed image {image} to {name}.")


@app.command()
@with_api_client
def delete(
    api: ApiClient,
    image: Image,
    *,
    to_trash: Annotated[
        bool, typer.Option("--trash", help="Move it to the trash, from which it can be restored.")
    ] = False,
    keep: Annotated[int, typer.Option(metavar="SECONDS", help="Minimum time in the trash.")] = 0,
    force: Force = False,
) -> None:
    """Delete an image. An image that is in use, or has snapshots or clones, is not deleted."""
    name = refs.parse_image(image)
    query: Json = {"namespace": name.namespace, "trash": to_trash, "delay": keep, "force": force}
    api.wait(api.request("DELETE", *name.path, **query))
    print_line(f"Moved image {image} to the trash." if to_trash else f"Deleted image {image}.")


@app.command()
@with_api_client
def flatten(api: ApiClient, image: Image) -> None:
    """Make a clone independent of its parent, by copying the shared data."""
    name = refs.parse_image(image)
    api.wait(api.request("POST", *name.path, "flatten", namespace=name.namespace))
    print_line(f"Flattened image {image}: it no longer depends on a parent.")


def _update(api: ApiClient, image: str, body: Json, *, force: bool) -> None:
    name = refs.parse_image(image)
    response = api.request("PATCH", *name.path, body=body, namespace=name.namespace, force=force)
    api.wait(response)


def _row(image: Json) -> list[str]:
    return [
        image["name"],
        format_size(image["size"]),
        format_size(image["used"]),
        str(image["snapshot_count"]),
        refs.render_claim(image["claim"]),
        ",".join(image["features"]),
    ]
