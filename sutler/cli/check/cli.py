"""`sutler doctor` and `sutler check-install`."""

# ruff: noqa: PLC0415 - the Kubernetes client comes with these imports, and --help does without it

from typing import TYPE_CHECKING, Annotated

import typer

from sutler.cli.check.findings import exit_code
from sutler.cli.options import ClusterOptions, CommandGroup, Output, namespace_option, with_cluster
from sutler.cli.output import Format, print_result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sutler.cli.check.engine import Check
    from sutler.cli.check.findings import Finding

doctor_app = CommandGroup()
install_app = CommandGroup()


@doctor_app.command()
@with_cluster
def doctor(
    cluster: ClusterOptions,
    *,
    namespace: Annotated[str | None, namespace_option("Check the Pods of this namespace only.  [default: all]")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Find Pods that cannot pull their images, and other problems with pull secrets. Changes nothing.

    The cause for a Pod may be that the webhook was down when it was created, that no mapping matches the image, that
    the Secret is missing or malformed, or that the registry rejects the credential. Also checked are Secrets that
    conflict with copies, invalid and unused mappings, and whether the webhook and the secrets controller run. Each
    problem comes with commands to fix it. An unused mapping is only noted: the exit status stays 0.
    """
    from sutler.cli.check.engine import DOCTOR

    _run(cluster, DOCTOR, namespace, output, none_found="No problems found.")


@install_app.command()
@with_cluster
def check_install(
    cluster: ClusterOptions,
    *,
    namespace: Annotated[
        str | None, namespace_option("Try the Pod in this namespace.  [default: one a mapping selects]")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Check an installation. Changes nothing: the Pod is created as a dry run, which stores nothing.

    The checks cover the API server's version, the CRD, the Deployments and why their Pods do not run, the permissions
    of the service accounts, the leases, and the webhook's registration and certificate. Then the API server creates a
    Pod as a dry run, with an image that a mapping matches: the Pod must come back with its pull secret. Each problem
    comes with commands to fix it.
    """
    from sutler.cli.check.engine import INSTALLATION

    _run(cluster, INSTALLATION, namespace, output)


def _run(
    cluster: ClusterOptions, checks: "Iterable[Check]", namespace: str | None, output: Format, none_found: str = ""
) -> None:
    from sutler.cli.check.engine import needed_parts, run_checks
    from sutler.cli.check.fetch import ClusterReader

    parts = needed_parts(checks)
    state = cluster.run(lambda client: ClusterReader(client, cluster.own_namespace, namespace).read(parts))
    found: list[Finding] = run_checks(checks, state)
    print_result([each.as_json() for each in found], output, "\n".join(each.as_text() for each in found) or none_found)
    if status := exit_code(found):
        raise typer.Exit(status)
