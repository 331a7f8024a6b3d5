"""`sutler images trash`."""

from datetime import timedelta
from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_console
from sutler.cli.images import refs
from sutler.cli.images.refs import Where
from sutler.cli.options import Output
from sutler.cli.output import EXIT_CODES, Format, columns, emit
from sutler.text import format_size
from sutler.typedefs import Json

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List what is in the trash of a pool, bring it back, or purge it.",
    epilog=EXIT_CODES,
)

Identifier = Annotated[str, typer.Argument(metavar="ID", help="From `sutler images trash list`.")]
HEADINGS = ("ID", "NAME", "SIZE", "KEPT UNTIL", "CLAIM")


@app.command("list", epilog=EXIT_CODES)
@with_console
def list_trash(console: ApiClient, where: Where, *, output: Output = Format.TABLE) -> None:
    """List what is in the trash; also what a removal left that was stopped half-way."""
    pool, namespace = refs.place(where)
    found = list(console.items("entries", "pools", pool, "trash", namespace=namespace))
    rows = [[one["id"], one["name"], format_size(one["size"]), one["until"], refs.claim(one["claim"])] for one in found]
    text = columns(HEADINGS, rows) if found else f"Nothing in the trash of {where}."
    emit(found, output, "\n".join([text, *(state(one) for one in found if one["unfinished"])]))


def state(one: Json) -> str:
    # A service of version 0.1 tells no progress.
    if one.get("left_seconds") is None:
        return f"{one['id']} is not whole: {one['unfinished']}"
    left = timedelta(seconds=one["left_seconds"])
    return f"{one['id']} is being removed: {one['progress']:.1%} is done, about {left} is left"


@app.command(epilog=EXIT_CODES)
@with_console
def restore(
    console: ApiClient,
    where: Where,
    identifier: Identifier,
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Another name than it had.")] = None,
) -> None:
    """Bring an image back."""
    pool, namespace = refs.place(where)
    body = {"name": name}
    found = console.ask("POST", "pools", pool, "trash", identifier, "restore", body=body, namespace=namespace).body
    emit({}, Format.TABLE, f"Restored image {where}/{found['name']}.")


@app.command(epilog=EXIT_CODES)
@with_console
def purge(
    console: ApiClient,
    where: Where,
    identifier: Identifier,
    *,
    force: Annotated[bool, typer.Option("--force", help="Although it is to be kept for longer.")] = False,
) -> None:
    """Remove an image with its data, for ever."""
    pool, namespace = refs.place(where)
    console.finished(console.ask("DELETE", "pools", pool, "trash", identifier, namespace=namespace, force=force))
    emit({}, Format.TABLE, f"Purged {identifier} from the trash of {where}.")
