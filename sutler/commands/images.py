"""`sutler images`: RBD images, through Sutler's REST API."""

import os
from typing import Annotated, Any

import typer

from sutler.commands.console import URL, CaFile, Console, Json, Token, Url, human
from sutler.commands.options import Output
from sutler.output import EXIT_CODES, Format, UsageError, columns, emit

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, create, resize, rename and delete images; bring them back from the trash.",
    epilog=EXIT_CODES,
)

Image = Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The image.")]
Where = Annotated[str, typer.Argument(metavar="POOL[/NAMESPACE]", help="The pool.")]
Force = Annotated[bool, typer.Option("--force", help="Although it belongs to a claim.")]
HEADINGS = ("NAME", "SIZE", "USED", "SNAPSHOTS", "CLAIM", "FEATURES")
TRASH_HEADINGS = ("ID", "NAME", "SIZE", "KEPT UNTIL", "CLAIM")


@app.command("list", epilog=EXIT_CODES)
def list_images(
    where: Where,
    *,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Only names that begin with this.")] = None,
    output: Output = Format.TABLE,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """List the images of a pool, with the claims that they belong to."""
    pool, namespace = _place(where)
    console = Console(url, ca_file, token_file, os.environ)
    found = list(console.items("images", "pools", pool, "images", namespace=namespace, prefix=prefix))
    text = columns(HEADINGS, [_row(image) for image in found]) if found else f"No images in {where}."
    broken = [f"{image['name']} is not whole: {image['unfinished']}" for image in found if image["unfinished"]]
    emit(found, output, "\n".join([text, *broken]))


@app.command(epilog=EXIT_CODES)
def show(
    image: Image, *, output: Output = Format.YAML, url: Url = URL, ca_file: CaFile = None, token_file: Token = None
) -> None:
    """Show all of one image: watchers, snapshots, parent, metadata."""
    pool, namespace, name = _image(image)
    found = Console(url, ca_file, token_file, os.environ).get("pools", pool, "images", name, namespace=namespace)
    emit(found, output, columns(HEADINGS, [_row(found)]))


@app.command(epilog=EXIT_CODES)
def create(
    image: Image,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Like 10Gi, 1.5Gi, 500M, or bytes.")],
    *,
    order: Annotated[int | None, typer.Option(help="Objects of 2^ORDER bytes, 12 to 25.  [default: 22]")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these features; once for each.")
    ] = None,
    data_pool: Annotated[str | None, typer.Option(metavar="POOL", help="Where its data goes.")] = None,
    output: Output = Format.TABLE,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Create an image."""
    pool, namespace, name = _image(image)
    wanted: Json = {"name": name, "size": int(size) if size.isdecimal() else size, "order": order}
    wanted |= {"data_pool": data_pool} | ({"features": feature} if feature else {})
    console = Console(url, ca_file, token_file, os.environ)
    made = console.ask("POST", "pools", pool, "images", body=wanted, namespace=namespace).body
    emit(made, output, f"Created image {image}: {made['size_quantity']}, objects of {human(made['object_size'])}.")


@app.command(epilog=EXIT_CODES)
def resize(
    image: Image,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="The new size, like 20Gi.")],
    *,
    shrink: Annotated[bool, typer.Option("--shrink", help="Make it smaller; what lies behind is gone.")] = False,
    force: Force = False,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Grow an image; with --shrink, make it smaller."""
    body = {"size": int(size) if size.isdecimal() else size, "shrink": shrink}
    _change(Console(url, ca_file, token_file, os.environ), image, body, force=force)
    emit({}, Format.TABLE, f"Resized image {image} to {size}.")


@app.command(epilog=EXIT_CODES)
def rename(
    image: Image,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name, in the same pool.")],
    *,
    force: Force = False,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Give an image another name."""
    _change(Console(url, ca_file, token_file, os.environ), image, {"name": name}, force=force)
    emit({}, Format.TABLE, f"Renamed image {image} to {name}.")


@app.command(epilog=EXIT_CODES)
def delete(
    image: Image,
    *,
    trash: Annotated[bool, typer.Option("--trash", help="Move it to the trash; it can be restored.")] = False,
    keep: Annotated[int, typer.Option(metavar="SECONDS", help="How long the trash keeps it at least.")] = 0,
    force: Force = False,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Delete an image. One that is in use, or has snapshots or clones, is kept."""
    pool, namespace, name = _image(image)
    console = Console(url, ca_file, token_file, os.environ)
    query: Json = {"namespace": namespace, "trash": trash, "delay": keep, "force": force}
    console.finished(console.ask("DELETE", "pools", pool, "images", name, **query))
    emit({}, Format.TABLE, f"Moved image {image} to the trash." if trash else f"Deleted image {image}.")


@app.command("trash", epilog=EXIT_CODES)
def list_trash(
    where: Where, *, output: Output = Format.TABLE, url: Url = URL, ca_file: CaFile = None, token_file: Token = None
) -> None:
    """List what is in the trash of a pool."""
    pool, namespace = _place(where)
    console = Console(url, ca_file, token_file, os.environ)
    found = list(console.items("entries", "pools", pool, "trash", namespace=namespace))
    rows = [[one["id"], one["name"], human(one["size"]), one["until"], _claim(one["claim"])] for one in found]
    emit(found, output, columns(TRASH_HEADINGS, rows) if found else f"Nothing in the trash of {where}.")


@app.command(epilog=EXIT_CODES)
def restore(
    where: Where,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="From `sutler images trash`.")],
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Another name than it had.")] = None,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
) -> None:
    """Bring an image back from the trash."""
    pool, namespace = _place(where)
    console = Console(url, ca_file, token_file, os.environ)
    body = {"name": name}
    found = console.ask("POST", "pools", pool, "trash", identifier, "restore", body=body, namespace=namespace).body
    emit({}, Format.TABLE, f"Restored image {where}/{found['name']}.")


def _change(console: Console, image: str, body: Json, *, force: bool) -> None:
    pool, namespace, name = _image(image)
    answer = console.ask("PATCH", "pools", pool, "images", name, body=body, namespace=namespace, force=force)
    console.finished(answer)


def _place(text: str) -> tuple[str, str]:
    pool, _, namespace = text.partition("/")
    if not pool or "/" in namespace:
        raise UsageError(f"{text!r} is not POOL or POOL/NAMESPACE")
    return pool, namespace


def _image(text: str) -> tuple[str, str, str]:
    match text.split("/"):
        case [pool, name] if pool and name:
            return pool, "", name
        case [pool, namespace, name] if pool and namespace and name:
            return pool, namespace, name
    raise UsageError(f"{text!r} is not POOL/IMAGE or POOL/NAMESPACE/IMAGE")


def _row(image: Json) -> list[str]:
    return [
        image["name"],
        human(image["size"]),
        human(image["used"]),
        str(image["snapshot_count"]),
        _claim(image["claim"]),
        ",".join(image["features"]),
    ]


def _claim(claim: dict[str, Any] | None) -> str:
    if claim is None:
        return "-"
    return f"{claim['namespace']}/{claim['name']}" if claim["name"] else claim["volume"] or claim["uid"] or "-"
