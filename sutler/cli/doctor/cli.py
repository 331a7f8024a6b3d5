"""`sutler doctor`: what is amiss with pulling images, why, and what to type."""

from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.doctor.findings import status
from sutler.cli.options import OWN_NAMESPACE, ClusterOptions, Context, Kubeconfig, Output, OwnNamespace
from sutler.cli.output import EXIT_CODES, Format, emit

if TYPE_CHECKING:
    from sutler.cli.doctor.findings import Finding
    from sutler.kube.client import Client

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=EXIT_CODES)
def command(
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Look at the Pods of this namespace only.  [default: all]"
        ),
    ] = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Find Pods that can't pull their images, and what else is amiss. Changes nothing.

    For each Pod that waits for an image: was it created while the webhook was away, is no mapping for the image, is the
    Secret missing or malformed, does the registry refuse the credential? Besides: Secrets that are in the way of
    copies, mappings that can't be used or that nobody uses, parts of Sutler that don't run. With each comes what to
    type. A mapping that nobody uses is only noted: it leaves the exit status 0.
    """
    cluster = ClusterOptions(kubeconfig, context, own_namespace)
    found = cluster.run(lambda client: _examine(client, own_namespace, namespace))
    emit([each.as_json() for each in found], output, "\n".join(each.as_text() for each in found) or "All is well.")
    if ended := status(found):
        raise typer.Exit(ended)


async def _examine(client: "Client", own_namespace: str, namespace: str | None) -> "list[Finding]":
    # With them comes the Kubernetes client, which --help can do without.
    from sutler.cli.doctor.diagnose import diagnose  # noqa: PLC0415
    from sutler.cli.doctor.fetch import ClusterReader  # noqa: PLC0415

    return diagnose(await ClusterReader(client, own_namespace, namespace).around())
