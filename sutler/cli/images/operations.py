"""`sutler images operations`."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_console
from sutler.cli.options import Output
from sutler.cli.output import EXIT_CODES, Format, UsageError, columns, emit
from sutler.typedefs import Json

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Work that takes long: list it, cancel it.",
    epilog=EXIT_CODES,
)

_SHOWN = 12
"""Characters of an identifier in the table, its end: the whole says what was done to which image, and is long."""
HEADINGS = ("WHAT", "IMAGE", "STATE", "PROGRESS", "BY", "STARTED", "ID")


@app.command("list", epilog=EXIT_CODES)
@with_console
def list_operations(console: ApiClient, *, output: Output = Format.TABLE) -> None:
    """List the operations of the last hour, the newest first."""
    found = console.get("operations")["operations"]
    emit(found, output, columns(HEADINGS, map(_row, found)) if found else "No operations in the last hour.")


@app.command(epilog=EXIT_CODES)
@with_console
def cancel(
    console: ApiClient,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="From `sutler images operations list`.")],
) -> None:
    """Cancel an operation. What is left of an image that was being deleted lies in the trash, to be purged."""
    asked = console.ask("DELETE", "operations", _whole(console, identifier)).body
    emit({}, Format.TABLE, f"The {asked['kind']} of {asked['pool']}/{asked['image']} will stop soon.")


def _whole(console: ApiClient, identifier: str) -> str:
    """The identifier whose end was typed, as the table shows it."""
    if len(identifier) > _SHOWN:
        return identifier
    found = [one["id"] for one in console.get("operations")["operations"] if one["id"].endswith(identifier)]
    if len(found) > 1:
        raise UsageError(f"{identifier} is the end of {len(found)} operations: type more of it, from -o json")
    return str(found[0]) if found else identifier


def _short(identifier: str) -> str:
    return identifier[-_SHOWN:].lstrip("-")  # which would be taken for an option


def _row(operation: Json) -> list[str]:
    progress = "-" if operation["progress"] is None else f"{operation['progress']:.0%}"
    image = "/".join(part for part in (operation["pool"], operation["namespace"], operation["image"]) if part)
    said = (operation["kind"], image, operation["state"], progress, operation["by"] or "-")
    return [*said, operation["started"], _short(operation["id"])]
