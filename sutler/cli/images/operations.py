"""`sutler images operations`: long-running work of the REST API."""

from typing import Annotated

import typer

from sutler.cli.api_client import ApiClient, with_api_client
from sutler.cli.exit_codes import UsageError
from sutler.cli.options import CommandGroup, Output
from sutler.cli.output import Format, columns, print_line, print_result
from sutler.typedefs import Json

app = CommandGroup("List and cancel long-running operations.")

_SHORT_ID = 12
"""Characters of an identifier in the table, its end: the whole contains the kind and the image, and is long."""
HEADINGS = ("WHAT", "IMAGE", "STATE", "PROGRESS", "BY", "STARTED", "ID")


@app.command("list")
@with_api_client
def list_operations(api: ApiClient, *, output: Output = Format.TABLE) -> None:
    """List the operations of the last hour, newest first."""
    found = api.get("operations")["operations"]
    print_result(found, output, columns(HEADINGS, map(_row, found)) if found else "No operations in the last hour.")


@app.command()
@with_api_client
def cancel(
    api: ApiClient,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="From `sutler images operations list`.")],
) -> None:
    """Cancel an operation. An image whose deletion is cancelled stays in the trash, incomplete, and can be purged."""
    operation = api.request("DELETE", "operations", _full_id(api, identifier)).body
    print_line(f"The {operation['kind']} of {operation['pool']}/{operation['image']} will stop soon.")


def _full_id(api: ApiClient, identifier: str) -> str:
    """The identifier that ends with the text, as in the table."""
    if len(identifier) > _SHORT_ID:
        return identifier
    found = [one["id"] for one in api.get("operations")["operations"] if one["id"].endswith(identifier)]
    if len(found) > 1:
        raise UsageError(f"{identifier} matches {len(found)} operations: use the full ID from -o json")
    return str(found[0]) if found else identifier


def _short(identifier: str) -> str:
    return identifier[-_SHORT_ID:].lstrip("-")  # which would look like an option


def _row(operation: Json) -> list[str]:
    progress = "-" if operation["progress"] is None else f"{operation['progress']:.0%}"
    image = "/".join(part for part in (operation["pool"], operation["namespace"], operation["image"]) if part)
    cells = (operation["kind"], image, operation["state"], progress, operation["by"] or "-")
    return [*cells, operation["started"], _short(operation["id"])]
