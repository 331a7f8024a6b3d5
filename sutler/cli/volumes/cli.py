"""`sutler volumes`: claims, their volumes and the images behind them."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from sutler.cli.api_client import API_OPTIONS
from sutler.cli.exit_codes import ClusterError, ExitCode
from sutler.cli.options import (
    ClusterOptions,
    CommandGroup,
    Output,
    namespace_option,
    option,
    with_kubeconfig,
    with_options,
)
from sutler.cli.output import Format, columns, one_line, print_error, print_result
from sutler.cli.volumes.adopt_options import AdoptOptions, with_adopt_options
from sutler.text import format_size

if TYPE_CHECKING:
    from sutler.cli.volumes.inventory import VolumeInventory, VolumeRow
    from sutler.kube.client import Client

HELP = """List the volumes that Sutler provisions, find orphans, adopt images, and restore deleted ones.

Claims and volumes are read with your kubeconfig. What only Ceph knows is read from Sutler's REST API, if
SUTLER_API_URL and SUTLER_API_TOKEN (or --url and --token-file) are set."""

app = CommandGroup(HELP)

HEADINGS = ("CLAIM", "VOLUME", "IMAGE", "SIZE", "USED", "STATE")

ClusterId = Annotated[
    str | None,
    typer.Option(
        "--cluster-id", metavar="ID", help="clusterID that the REST API serves.  [default: the only one in use]"
    ),
]
Class = Annotated[str, typer.Option("--class", metavar="CLASS", help="StorageClass of the volume, one of Sutler's.")]


class CephOptions(NamedTuple):
    """Where to read the state of images from, and which clusterID that is."""

    url: str
    ca_file: str | None
    token_file: str | None
    cluster_id: str | None


with_ceph = with_options(CephOptions, *API_OPTIONS, option("cluster_id", ClusterId))


@app.command("list")
@with_ceph
@with_kubeconfig
def list_volumes(
    cluster: ClusterOptions,
    ceph: CephOptions,
    *,
    namespace: Annotated[str | None, namespace_option("Claims of this namespace.  [default: all]")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List claims with their volumes and images, one line each.

    USED needs the REST API, and images with the feature object-map; otherwise it is "-". `sutler volumes show` gives
    the reason of a state other than Bound.
    """
    from sutler.cli.volumes.fetch import CephView, read_inventory
    from sutler.cli.volumes.inventory import rows

    images = CephView(*ceph)
    inventory = cluster.run(lambda client: read_inventory(client, namespace))
    images.read_into(inventory)
    found = [row for row in rows(inventory) if namespace in {None, row.claim.partition("/")[0]}]
    none = "No volumes yet: create a claim of one of Sutler's StorageClasses."
    text = columns(HEADINGS, [_cells(row) for row in found]) if found else none
    print_result([row.as_json() for row in found], output, text)
    _print_unread(inventory, "the column USED, and whether the images exist")


@app.command()
@with_ceph
@with_kubeconfig
def show(
    cluster: ClusterOptions,
    ceph: CephOptions,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a volume, NAMESPACE/CLAIM, or POOL/IMAGE.")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Show one volume with its image, its users and its events; or a parked image.

    A parked image is found by its former claim or by its path. Its volume is deleted, and snapshots or clones need it.
    """
    from sutler.cli.volumes import show
    from sutler.cli.volumes.fetch import CephView, read_inventory

    images = CephView(*ceph)

    async def work(client: "Client") -> None:
        inventory = await read_inventory(client)
        known = show.find_volume_row(inventory, name)
        # Of a parked image, no volume names the pool.
        images.read_into(inventory, everywhere=known is None)
        row = show.find_row(inventory, images, name)
        events = await show.list_events(client, row, inventory)
        found = show.as_json(row, inventory, images, events)
        print_result(found, output, show.as_text(found))
        _print_unread(inventory, "the state of the image in Ceph")

    cluster.run(work)


@app.command()
@with_ceph
@with_kubeconfig
def orphans(cluster: ClusterOptions, ceph: CephOptions, *, output: Output = Format.TABLE) -> None:
    """Find images without a volume and volumes without an image, with commands to fix each. Changes nothing.

    The search covers all RBD pools that the REST API lists. Images of other Kubernetes clusters, images that are not
    marked with a claim, and images being created are no orphans. Copies of claims' images are listed, but need no fix;
    so are parked images, which Sutler deletes after their last snapshot and clone.
    The exit status is 1 if anything else is found.
    """
    from sutler.cli.volumes import orphan_report
    from sutler.cli.volumes.fetch import CephView, list_deletion_failures, read_inventory
    from sutler.cli.volumes.inventory import now

    images = CephView(*ceph)
    before = cluster.run(read_inventory)
    images.read_into(before, everywhere=True)
    if not before.images and before.locations():
        print_error(f"sutler: cannot find orphans without the REST API: {before.unread_reason}")
        raise typer.Exit(ExitCode.CLUSTER)
    after = cluster.run(read_inventory)
    if not after.kubernetes:
        raise ClusterError(
            "cannot tell which images belong to this cluster: request permission to get namespace kube-system"
        )
    failures = cluster.run(list_deletion_failures)
    found = orphan_report.find_orphans(before, after, images.image, images.trash, failures)
    print_result([one.as_json() for one in found], output, orphan_report.as_text(found, now()))
    if any(one.kind not in orphan_report.NO_PROBLEM for one in found):
        raise typer.Exit(ExitCode.PROBLEM)


@app.command()
@with_kubeconfig
@with_adopt_options
def adopt(
    options: AdoptOptions,
    cluster: ClusterOptions,
    image: Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The image in Ceph.")],
    *,
    claim: Annotated[str, typer.Option("--claim", metavar="NS/NAME", help="The claim that gets the image.")],
    storage_class: Class,
) -> None:
    """Make an existing image the volume of a claim. It then grows with the claim, and is deleted with it.

    You need permission to create PersistentVolumes. The image keeps its name, data and size. Adoption is refused if
    another volume has the image, or if it belongs to another Kubernetes cluster; while the image is in use, the command
    waits. If adoption is refused, times out or is interrupted (Ctrl-C), the image is left unchanged.
    """
    from sutler.cli.volumes import adopt

    request = adopt.adoption_request(claim, storage_class, image=image, filesystem=options.fstype)
    result = cluster.run(lambda client: adopt.adopt(client, request, options))
    print_result(result.as_json(), options.output, result.as_text())


@app.command()
@with_kubeconfig
@with_adopt_options
def restore(
    options: AdoptOptions,
    cluster: ClusterOptions,
    claim: Annotated[str, typer.Argument(metavar="NAMESPACE/CLAIM", help="The claim that had the image.")],
    *,
    storage_class: Annotated[
        str | None,
        typer.Option("--class", metavar="CLASS", help="StorageClass of the volume.  [default: Sutler's only one]"),
    ] = None,
    identifier: Annotated[
        str, typer.Option("--id", metavar="ID", help="Image in the trash, of any claim.  [default: the claim's latest]")
    ] = "",
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="POOL[/NAMESPACE]", help="Pool whose trash has it.  [default: the class's pool]"
        ),
    ] = "",
) -> None:
    """Restore a deleted claim's image from the trash, with its volume and its claim.

    Images are moved to the trash if the class's deletionPolicy is `trash`, and are kept there for at least its
    trashDelay. You need permission to create PersistentVolumes. To list what can be restored:
    `sutler images trash list POOL`.
    """
    from sutler.cli.volumes import adopt

    async def work(client: "Client") -> "adopt.AdoptResult":
        request = await adopt.restore_request(
            client, claim, storage_class, identifier=identifier, source=source, filesystem=options.fstype
        )
        return await adopt.adopt(client, request, options)

    result = cluster.run(work)
    print_result(result.as_json(), options.output, result.as_text())


def _cells(row: "VolumeRow") -> list[str]:
    state = f"{row.state} ({one_line(row.message)})" if row.state == "Adopting" else row.state
    image = row.place.path if row.place else "-"
    return [row.claim or "-", row.volume or "-", image, format_size(row.size), format_size(row.used), state]


def _print_unread(inventory: "VolumeInventory", what: str) -> None:
    if inventory.unread_reason:
        print_error(f"sutler: unknown without the REST API: {what}: {inventory.unread_reason}")
