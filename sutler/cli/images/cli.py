"""`sutler images`: RBD images, through Sutler's REST API."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_console
from sutler.cli.images import operations, refs, snapshots, trash
from sutler.cli.images.refs import Force, Image, Where
from sutler.cli.options import Output
from sutler.cli.output import EXIT_CODES, Format, columns, emit
from sutler.text import format_size
from sutler.typedefs import Json

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, create, resize, rename and delete images; their snapshots, and the trash.",
    epilog=EXIT_CODES,
)
app.add_typer(snapshots.app, name="snapshots")
app.add_typer(trash.app, name="trash")
app.add_typer(operations.app, name="operations")

HEADINGS = ("NAME", "SIZE", "USED", "SNAPSHOTS", "CLAIM", "FEATURES")


@app.command("list", epilog=EXIT_CODES)
@with_console
def list_images(
    console: ApiClient,
    where: Where,
    *,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Only names that begin with this.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List the images of a pool, with the claims that they belong to."""
    pool, namespace = refs.place(where)
    found = list(console.items("images", "pools", pool, "images", namespace=namespace, prefix=prefix))
    text = columns(HEADINGS, [_row(image) for image in found]) if found else f"No images in {where}."
    broken = [f"{image['name']} is not whole: {image['unfinished']}" for image in found if image["unfinished"]]
    emit(found, output, "\n".join([text, *broken]))


@app.command(epilog=EXIT_CODES)
@with_console
def show(console: ApiClient, image: Image, *, output: Output = Format.YAML) -> None:
    """Show all of one image: watchers, snapshots, parent, metadata."""
    name = refs.image(image)
    found = console.get(*name.path, namespace=name.namespace)
    emit(found, output, columns(HEADINGS, [_row(found)]))


@app.command(epilog=EXIT_CODES)
@with_console
def create(
    console: ApiClient,
    image: Image,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Like 10Gi, 1.5Gi, 500M, or bytes.")],
    *,
    order: Annotated[int | None, typer.Option(help="Objects of 2^ORDER bytes, 12 to 25.  [default: 22]")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these features; once for each.")
    ] = None,
    data_pool: Annotated[str | None, typer.Option(metavar="POOL", help="Where its data goes.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Create an image."""
    pool, namespace, name = refs.image(image)
    wanted: Json = {"name": name, "size": refs.size(size), "order": order}
    wanted |= {"data_pool": data_pool} | ({"features": feature} if feature else {})
    made = console.ask("POST", "pools", pool, "images", body=wanted, namespace=namespace).body
    emit(
        made, output, f"Created image {image}: {made['size_quantity']}, objects of {format_size(made['object_size'])}."
    )


@app.command(epilog=EXIT_CODES)
@with_console
def resize(
    console: ApiClient,
    image: Image,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="The new size, like 20Gi.")],
    *,
    shrink: Annotated[bool, typer.Option("--shrink", help="Make it smaller; what lies behind is gone.")] = False,
    force: Force = False,
) -> None:
    """Grow an image; with --shrink, make it smaller."""
    body = {"size": refs.size(size), "shrink": shrink}
    _change(console, image, body, force=force)
    emit({}, Format.TABLE, f"Resized image {image} to {size}.")


@app.command(epilog=EXIT_CODES)
@with_console
def rename(
    console: ApiClient,
    image: Image,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name, in the same pool.")],
    *,
    force: Force = False,
) -> None:
    """Give an image another name."""
    _change(console, image, {"name": name}, force=force)
    emit({}, Format.TABLE, f"Renamed image {image} to {name}.")


@app.command(epilog=EXIT_CODES)
@with_console
def delete(
    console: ApiClient,
    image: Image,
    *,
    to_trash: Annotated[bool, typer.Option("--trash", help="Move it to the trash; it can be restored.")] = False,
    keep: Annotated[int, typer.Option(metavar="SECONDS", help="How long the trash keeps it at least.")] = 0,
    force: Force = False,
) -> None:
    """Delete an image. One that is in use, or has snapshots or clones, is kept."""
    name = refs.image(image)
    query: Json = {"namespace": name.namespace, "trash": to_trash, "delay": keep, "force": force}
    console.finished(console.ask("DELETE", *name.path, **query))
    emit({}, Format.TABLE, f"Moved image {image} to the trash." if to_trash else f"Deleted image {image}.")


@app.command(epilog=EXIT_CODES)
@with_console
def flatten(console: ApiClient, image: Image) -> None:
    """Part a clone from its parent, by copying what they share."""
    name = refs.image(image)
    console.finished(console.ask("POST", *name.path, "flatten", namespace=name.namespace))
    emit({}, Format.TABLE, f"Image {image} is a clone no more.")


def _change(console: ApiClient, image: str, body: Json, *, force: bool) -> None:
    name = refs.image(image)
    answer = console.ask("PATCH", *name.path, body=body, namespace=name.namespace, force=force)
    console.finished(answer)


def _row(image: Json) -> list[str]:
    return [
        image["name"],
        format_size(image["size"]),
        format_size(image["used"]),
        str(image["snapshot_count"]),
        refs.claim(image["claim"]),
        ",".join(image["features"]),
    ]
