"""`sutler certs`: the webhook's CA and certificate, and who trusts them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.options import OWN_NAMESPACE, ClusterOptions, Context, Kubeconfig, Output, OwnNamespace
from sutler.cli.output import EXIT_CODES, ExitCode, Format, complain, emit

if TYPE_CHECKING:
    from sutler.cli.certs.fetch import CertificateReport
    from sutler.kube.client import Client

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    epilog=EXIT_CODES,
    help="Show and rotate the webhook's CA and certificate. Keys are never printed, and never leave the cluster.",
)

Secret = Annotated[str, typer.Option(metavar="NAME", help="The Secret in Sutler's namespace that holds them.")]
Configuration = Annotated[
    str, typer.Option(metavar="NAME", help="The MutatingWebhookConfiguration that the CA is published in.")
]
SECRET = "sutler-webhook-certificate"  # noqa: S105 - a name
CONFIGURATION = "sutler-webhook"


@app.command(epilog=EXIT_CODES)
def show(
    *,
    secret: Secret = SECRET,
    configuration: Configuration = CONFIGURATION,
    output: Output = Format.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Show CA, certificate, when they expire, and whether the API server has been told to trust them.

    A webhook that is registered by URL is connected to as well, to see what it serves. One behind a Service can't be
    reached from here: `sutler check-install` has the API server call it.
    """
    from sutler.cli.certs import render  # noqa: PLC0415 - brings the Kubernetes client, which --help can do without

    cluster = ClusterOptions(kubeconfig, context, own_namespace)
    seen = cluster.run(lambda client: _gather(client, own_namespace, secret, configuration))
    emit(render.as_json(seen), output, render.as_text(seen))
    if any(each.harmful for each in render.findings(seen)):
        raise typer.Exit(ExitCode.PROBLEM)


@app.command(epilog=EXIT_CODES)
def rotate(
    *,
    authority: Annotated[
        bool, typer.Option("--ca", help="The CA, too: where somebody may have had its key, or the certificate's.")
    ] = False,
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="How long to watch it happen; 0: not at all.")] = 120,
    secret: Secret = SECRET,
    configuration: Configuration = CONFIGURATION,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    own_namespace: OwnNamespace = OWN_NAMESPACE,
) -> None:
    """Have the webhook make a new certificate, or with --ca a new CA and then a new certificate. No call is lost.

    What is to be renewed is taken out of the Secret; the webhook, which goes on serving what it has, makes a new one
    within seconds. With --ca the old CA stays trusted beside the new one for another hour.
    """
    from sutler.cli.certs.rotate import Rotation  # noqa: PLC0415 - as above

    cluster = ClusterOptions(kubeconfig, context, own_namespace)
    rotation = Rotation(own_namespace, secret, configuration, authority=authority)

    async def work(client: "Client") -> bool:
        await rotation.begin(client)
        try:
            async with asyncio.timeout(wait):
                await rotation.follow(client)
        except TimeoutError:
            return not wait
        return True

    if not cluster.run(work):
        complain(
            f"sutler: nothing more happened within {wait:g} s. Does the webhook run? "
            f"kubectl -n {own_namespace} get pods -l app.kubernetes.io/component=webhook"
        )
        raise typer.Exit(ExitCode.PROBLEM)


async def _gather(client: "Client", namespace: str, secret: str, configuration: str) -> "CertificateReport":
    from sutler.cli.certs.fetch import gather  # noqa: PLC0415 - as above

    return await gather(client, namespace, secret, configuration)
