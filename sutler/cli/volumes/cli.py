"""`sutler volumes`: claims, their volumes and the images behind them.

Each command's work is in a module of its own, imported when it is called for: with it comes the Kubernetes client.
"""

# ruff: noqa: PLC0415 - see above

from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.api_client import URL, CaFile, Token, Url
from sutler.cli.options import ClusterError, ClusterOptions, Context, Kubeconfig, Output
from sutler.cli.output import EXIT_CODES, ExitCode, Format, columns, complain, emit, one_line
from sutler.text import format_size

if TYPE_CHECKING:
    from sutler.cli.volumes.inventory import VolumeInventory, VolumeRow
    from sutler.kube.client import Client

HELP = """List the volumes that Sutler makes, find what is left over, adopt images and bring them back.

Claims and volumes are read with your kubeconfig. What only Ceph knows comes from Sutler's REST API, if SUTLER_API_URL
and SUTLER_API_TOKEN (or --url and --token-file) say where it is and who asks."""

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True, help=HELP, epilog=EXIT_CODES)

HEADINGS = ("CLAIM", "VOLUME", "IMAGE", "SIZE", "USED", "STATE")

ClusterId = Annotated[
    str | None,
    typer.Option(
        "--cluster-id", metavar="ID", help="The clusterID that the REST API serves.  [default: the only one in use]"
    ),
]
Class = Annotated[str, typer.Option("--class", metavar="CLASS", help="StorageClass of Sutler's for the volume.")]
FsType = Annotated[
    str, typer.Option("--fstype", metavar="TYPE", help="Filesystem in the image.  [default: the class's]")
]
Create = Annotated[
    bool,
    typer.Option(
        "--create-claim/--wait-for-claim",
        help="Make the claim if it is not there, of the image's size; or leave that to its team.",
    ),
]
AccessMode = Annotated[str, typer.Option("--access-mode", metavar="MODE", help="Of a claim that is made.")]
Block = Annotated[bool, typer.Option("--block", help="A claim that is made has volumeMode Block.")]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait for what is in the way.")
]


@app.command("list", epilog=EXIT_CODES)
def list_volumes(
    *,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="Claims of this namespace.  [default: all]")
    ] = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
    cluster_id: ClusterId = None,
) -> None:
    """List claims with their volumes and images, one line each.

    USED needs the REST API, and images with the feature object-map; without, it is "-". A volume whose state is not
    Bound is explained by `sutler volumes show`.
    """
    from sutler.cli.volumes.fetch import CephView, from_kubernetes
    from sutler.cli.volumes.inventory import rows

    ceph = CephView(url, ca_file, token_file, cluster_id)
    facts = ClusterOptions(kubeconfig, context, "").run(lambda client: from_kubernetes(client, namespace))
    ceph.look(facts)
    found = [row for row in rows(facts) if namespace in {None, row.claim.partition("/")[0]}]
    none = "No volumes yet: make a claim of one of Sutler's StorageClasses."
    emit([row.as_json() for row in found], output, columns(HEADINGS, [_cells(row) for row in found]) if found else none)
    _tell_unseen(facts, "USED, and whether the images are there")


@app.command(epilog=EXIT_CODES)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A volume's name, or a claim as NAMESPACE/CLAIM.")],
    *,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
    cluster_id: ClusterId = None,
) -> None:
    """Show all of one volume: its image, who uses it, what happened."""
    from sutler.cli.volumes import show
    from sutler.cli.volumes.fetch import CephView, from_kubernetes

    ceph = CephView(url, ca_file, token_file, cluster_id)

    async def work(client: "Client") -> None:
        facts = await from_kubernetes(client)
        row = show.pick(facts, name)
        said = await show.happened(client, row, facts)
        ceph.look(facts)
        found = show.as_json(show.pick(facts, name), facts, ceph, said)
        emit(found, output, show.as_text(found))
        _tell_unseen(facts, "what Ceph says of the image")

    ClusterOptions(kubeconfig, context, "").run(work)


@app.command(epilog=EXIT_CODES)
def orphans(
    *,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    url: Url = URL,
    ca_file: CaFile = None,
    token_file: Token = None,
    cluster_id: ClusterId = None,
) -> None:
    """Find images without a volume and volumes without an image, and say what to type. Changes nothing.

    Looked at are all pools for RBD images that the REST API lists. Images of other Kubernetes clusters in them, those
    that nobody has marked as a claim's, and those that are just being made are no orphans. Copies of claims' images
    are named, and are nothing to mend. The exit status is 1 if there is anything else.
    """
    from sutler.cli.volumes import orphan_report
    from sutler.cli.volumes.fetch import CephView, failures, from_kubernetes
    from sutler.cli.volumes.inventory import now

    ceph = CephView(url, ca_file, token_file, cluster_id)
    cluster = ClusterOptions(kubeconfig, context, "")
    before = cluster.run(from_kubernetes)
    ceph.look(before, everywhere=True)
    if not before.images and before.wheres():
        complain(f"sutler: orphans can't be found without the REST API: {before.unseen}")
        raise typer.Exit(ExitCode.CLUSTER)
    after = cluster.run(from_kubernetes)
    if not after.kubernetes:
        raise ClusterError(
            "whose images they are can't be told: your account must be allowed to get namespace kube-system"
        )
    found = orphan_report.find(before, after, ceph.image, ceph.trash, cluster.run(failures))
    emit([one.as_json() for one in found], output, orphan_report.as_text(found, now()))
    if any(one.kind != orphan_report.COPY for one in found):
        raise typer.Exit(ExitCode.PROBLEM)


@app.command(epilog=EXIT_CODES)
def adopt(
    image: Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The image, as it is called in Ceph.")],
    *,
    claim: Annotated[str, typer.Option("--claim", metavar="NS/NAME", help="The claim that gets it.")],
    storage_class: Class,
    fstype: FsType = "",
    create_claim: Create = True,
    access_mode: AccessMode = "ReadWriteOnce",
    block: Block = False,
    timeout: Timeout = 120.0,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Make an existing image a claim's volume, with full management: it grows with the claim, and is deleted with it.

    You need the right to create PersistentVolumes. The image keeps its name, its data and its size. It is refused if
    another volume has it, or if it belongs to another Kubernetes cluster; while something uses it, it is waited for.
    Refused, given up or stopped (Ctrl-C), the request is taken back and the image stays as it is.
    """
    from sutler.cli.volumes import adopt

    wanted = adopt.adoption(claim, storage_class, image=image, filesystem=fstype)
    wish = adopt.AdoptOptions(wanted, create_claim, access_mode, block, timeout)
    done = ClusterOptions(kubeconfig, context, "").run(lambda client: adopt.adopt(client, wish))
    emit(done.as_json(), output, done.as_text())


@app.command(epilog=EXIT_CODES)
def restore(
    claim: Annotated[str, typer.Argument(metavar="NAMESPACE/CLAIM", help="The claim that had it, and gets it again.")],
    *,
    storage_class: Annotated[
        str | None,
        typer.Option("--class", metavar="CLASS", help="StorageClass of the volume.  [default: Sutler's only one]"),
    ] = None,
    identifier: Annotated[
        str, typer.Option("--id", metavar="ID", help="This one of the trash, whosever it was.  [default: the latest]")
    ] = "",
    source: Annotated[
        str,
        typer.Option("--from", metavar="POOL[/NAMESPACE]", help="Whose trash.  [default: that of the class's pool]"),
    ] = "",
    fstype: FsType = "",
    create_claim: Create = True,
    access_mode: AccessMode = "ReadWriteOnce",
    block: Block = False,
    timeout: Timeout = 120.0,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Bring a deleted claim's image back from the trash, with its volume and its claim.

    Images go to the trash if the class's deletionPolicy is `trash`, and stay there for its trashDelay at least. You
    need the right to create PersistentVolumes. `sutler images trash list POOL` lists what can be brought back.
    """
    from sutler.cli.volumes import adopt

    async def work(client: "Client") -> "adopt.AdoptResult":
        wanted = await adopt.restoration(
            client, claim, storage_class, identifier=identifier, source=source, filesystem=fstype
        )
        return await adopt.adopt(client, adopt.AdoptOptions(wanted, create_claim, access_mode, block, timeout))

    done = ClusterOptions(kubeconfig, context, "").run(work)
    emit(done.as_json(), output, done.as_text())


def _cells(row: "VolumeRow") -> list[str]:
    state = f"{row.state} ({one_line(row.message)})" if row.state == "Adopting" else row.state
    image = row.place.path if row.place else "-"
    return [row.claim or "-", row.volume or "-", image, format_size(row.size), format_size(row.used), state]


def _tell_unseen(facts: "VolumeInventory", what: str) -> None:
    if facts.unseen:
        complain(f"sutler: {what}: not known without the REST API: {facts.unseen}")
