"""`sutler certs`: the webhook's CA and certificate, and which webhooks trust them."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sutler import well_known
from sutler.cli.exit_codes import ExitCode
from sutler.cli.options import ClusterOptions, CommandGroup, Output, with_cluster
from sutler.cli.output import Format, print_error, print_result

if TYPE_CHECKING:
    from sutler.kube.client import Client

app = CommandGroup(
    "Show and rotate the webhook's CA and certificate. Keys are never printed, and never leave the cluster."
)

Secret = Annotated[str, typer.Option(metavar="NAME", help="Secret in Sutler's namespace that stores them.")]
Configuration = Annotated[str, typer.Option(metavar="NAME", help="MutatingWebhookConfiguration that publishes the CA.")]
SECRET = "sutler-webhook-certificate"  # noqa: S105 - a name
CONFIGURATION = "sutler-webhook"


@app.command()
@with_cluster
def show(
    cluster: ClusterOptions,
    *,
    secret: Secret = SECRET,
    configuration: Configuration = CONFIGURATION,
    output: Output = Format.TABLE,
) -> None:
    """Show the CA, the certificate, their expiry, and whether the API server trusts them.

    If the webhook is registered by URL, this command also connects to it and checks what it serves. A webhook behind a
    Service is not reachable from here: `sutler check-install` lets the API server call it.
    """
    from sutler.cli.certs import render
    from sutler.cli.certs.fetch import read_certificate
    from sutler.cli.check.cluster_state import ClusterState
    from sutler.cli.check.engine import CERTIFICATE, run_checks
    from sutler.cli.check.findings import exit_code
    from sutler.cli.cluster_view import ClusterView

    report = cluster.run(lambda client: read_certificate(client, cluster.own_namespace, secret, configuration))
    found = run_checks(CERTIFICATE, ClusterState(ClusterView(cluster.own_namespace), certificate=report))
    print_result(render.as_json(report, found), output, render.as_text(report, found))
    if status := exit_code(found):
        raise typer.Exit(status)


@app.command()
@with_cluster
def rotate(
    cluster: ClusterOptions,
    *,
    authority: Annotated[
        bool,
        typer.Option("--ca", help="Also renew the CA, for example after its key or the certificate's may have leaked."),
    ] = False,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time to wait for the rotation; 0: do not wait.")
    ] = 120,
    secret: Secret = SECRET,
    configuration: Configuration = CONFIGURATION,
) -> None:
    """Make the webhook issue a new certificate, or with --ca a new CA and then a new certificate. No call is lost.

    This command deletes what is to be renewed from the Secret. The webhook keeps serving its current certificate, and
    issues a new one within seconds. With --ca, the old CA stays trusted beside the new one for another hour.
    """
    from sutler.cli.certs.rotate import Rotation

    rotation = Rotation(cluster.own_namespace, secret, configuration, authority=authority)

    async def work(client: "Client") -> bool:
        await rotation.begin(client)
        try:
            async with asyncio.timeout(wait):
                await rotation.follow(client)
        except TimeoutError:
            return not wait
        return True

    if not cluster.run(work):
        print_error(
            f"sutler: the rotation did not complete within {wait:g} s. Check that the webhook runs: "
            f"kubectl -n {cluster.own_namespace} get pods -l {well_known.COMPONENT}=webhook"
        )
        raise typer.Exit(ExitCode.PROBLEM)
