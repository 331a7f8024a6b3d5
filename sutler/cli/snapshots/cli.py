"""`sutler snapshots`: VolumeSnapshots of claims, and the snapshots in Ceph behind them."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.exit_codes import EXIT_CODES, RefusedError
from sutler.cli.options import ClusterOptions, Output, with_kubeconfig
from sutler.cli.output import Format, columns, one_line, print_result
from sutler.text import format_size

if TYPE_CHECKING:
    from sutler.cli.snapshots.snapshot_rows import SnapshotRow
    from sutler.kube.client import Client

HELP = """List and show the VolumeSnapshots that Sutler serves.

They are read with your kubeconfig. To list all snapshots of an image, also those that no VolumeSnapshot names:
`sutler images snapshots list`."""

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=HELP, epilog=EXIT_CODES)

HEADINGS = ("SNAPSHOT", "CLAIM", "SIZE", "CREATED", "POLICY", "STATE")


@app.command("list", epilog=EXIT_CODES)
@with_kubeconfig
def list_snapshots(
    cluster: ClusterOptions,
    *,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", metavar="NAME", help="Snapshots of this namespace.  [default: all]"),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """List snapshots, one line each.

    A line without a SNAPSHOT is a VolumeSnapshotContent whose VolumeSnapshot is deleted. `sutler snapshots show` gives
    the reason of a state other than Ready.
    """
    found = cluster.run(lambda client: _list(client, namespace))
    text = columns(HEADINGS, map(_cells, found)) if found else "No snapshots yet: create a VolumeSnapshot of a claim."
    print_result([row.as_json() for row in found], output, text)


@app.command(epilog=EXIT_CODES)
@with_kubeconfig
def show(
    cluster: ClusterOptions,
    name: Annotated[str, typer.Argument(metavar="NAME", help="NAMESPACE/SNAPSHOT, or the name of a content.")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Show one snapshot with its content and its handle."""
    found = [row for row in cluster.run(lambda client: _list(client, None)) if name in {row.snapshot, row.content}]
    if not found:
        raise RefusedError(f"{name}: no such snapshot of Sutler's; see sutler snapshots list")
    row = found[0]
    lines = [
        ("Snapshot", row.snapshot),
        ("Claim", row.claim),
        ("State", f"{row.state}{': ' + one_line(row.message) if row.message else ''}"),
        ("Class", row.storage_class),
        ("Content", row.content),
        ("Policy", row.policy),
        ("Handle", row.handle),
        ("Size", f"{format_size(row.size)} ({row.size} bytes)" if row.size else ""),
        ("Created", row.created),
    ]
    print_result(row.as_json(), output, "\n".join(f"{label + ':':<10}{value}" for label, value in lines if value))


async def _list(client: "Client", namespace: str | None) -> "list[SnapshotRow]":
    from sutler.cli.snapshots.snapshot_rows import snapshot_rows
    from sutler.kube.errors import NotFound
    from sutler.kube.resources import VOLUME_SNAPSHOT_CONTENTS, VOLUME_SNAPSHOTS

    try:
        snapshots = await client.list(VOLUME_SNAPSHOTS, namespace)
        contents = await client.list(VOLUME_SNAPSHOT_CONTENTS)
    except NotFound as error:
        raise RefusedError(
            "this cluster has no VolumeSnapshots: install the snapshot-controller of Kubernetes with its CRDs"
        ) from error
    rows = snapshot_rows(snapshots, contents)
    return rows if namespace is None else [row for row in rows if row.snapshot]


def _cells(row: "SnapshotRow") -> list[str]:
    return [row.snapshot or "-", row.claim or "-", format_size(row.size), row.created or "-", row.policy or "-",
            row.state]  # fmt: skip
