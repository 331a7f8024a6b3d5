"""`sutler check-install`: does what is installed work, from one end to the other, and if not, what to type."""

from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.doctor.findings import status
from sutler.cli.options import OWN_NAMESPACE, ClusterOptions, Context, Kubeconfig, Output, OwnNamespace
from sutler.cli.output import EXIT_CODES, Format, emit

if TYPE_CHECKING:
    from sutler.cli.check_install.result import Result
    from sutler.kube.client import Client

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=EXIT_CODES)
def command(
    *,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAME",
            help="Try the Pod in this namespace.  [default: one that a mapping is for]",
        ),
    ] = None,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Check an installation. Changes nothing: the Pod that is created is a dry run, of which nothing is kept.

    Looks at the API server's version, the CRD, the Deployments and why their Pods don't run, the rights of their
    accounts, the leases, the webhook's registration and certificate; then has the API server create a Pod, without
    keeping it, whose image a mapping is for, and sees whether it comes back with its pull secret. With each problem
    comes what to type.
    """
    cluster = ClusterOptions(kubeconfig, context, own_namespace)
    found = cluster.run(lambda client: _check(client, own_namespace, namespace))
    emit([each.as_json() for each in found], output, "\n".join(each.as_text() for each in found))
    if ended := status(found):
        raise typer.Exit(ended)


async def _check(client: "Client", own_namespace: str, namespace: str | None) -> "list[Result]":
    # With them comes the Kubernetes client, which --help can do without.
    from sutler.cli.check_install.diagnose import diagnose  # noqa: PLC0415
    from sutler.cli.check_install.fetch import InstallationReader  # noqa: PLC0415

    return diagnose(await InstallationReader(client, own_namespace, namespace).around())
