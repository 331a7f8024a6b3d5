"""The check engine: the checks of `sutler doctor`, `sutler check-install` and `sutler certs show`, and how they run.

To add a check, write a function in `checks/` and add it to the commands that run it. Data that no check has needed so
far is a new Part, which ClusterReader reads. Pure: no I/O.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sutler.cli.check.checks import certificate, installation, mappings, pull_credentials, tokens, webhook
from sutler.cli.check.cluster_state import ClusterState, Part
from sutler.cli.check.findings import Finding, unknown


class Check(NamedTuple):
    run: Callable[[ClusterState], Iterable[Finding]]
    needs: frozenset[Part] = frozenset()
    """Parts of the ClusterState that must be read before the check runs."""
    applies: Callable[[ClusterState], bool] = lambda _: True
    """Whether the check makes sense for this cluster; if not, it is skipped."""


def run_checks(checks: Iterable[Check], state: ClusterState) -> list[Finding]:
    return [finding for check in checks if check.applies(state) for finding in check.run(state)]


def needed_parts(checks: Iterable[Check]) -> frozenset[Part]:
    return frozenset(part for check in checks for part in check.needs)


def _unread(state: ClusterState) -> Iterable[Finding]:
    """Kinds of objects that the user may not read."""
    return (unknown(what, "could not be read: you lack the permission") for what in state.unread)


def _needs(*parts: Part) -> frozenset[Part]:
    return frozenset(parts)


_REGISTRATION = Check(webhook.registration, _needs(Part.REGISTRATION))
_UNREAD = Check(_unread)

DOCTOR = (
    _REGISTRATION,
    Check(webhook.published_ca, _needs(Part.REGISTRATION), webhook.is_registered),
    Check(mappings.secrets_controller, _needs(Part.SECRETS_LEASE, Part.MAPPINGS), mappings.are_copied),
    Check(mappings.readiness, _needs(Part.MAPPINGS, Part.NAMESPACES, Part.COPIES, Part.PODS)),
    Check(tokens.registry_tokens, _needs(Part.TOKENS, Part.MAPPINGS)),
    Check(
        pull_credentials.failing_pods, _needs(Part.MAPPINGS, Part.NAMESPACES, Part.REGISTRATION, Part.PODS, Part.COPIES)
    ),
    Check(mappings.unused, _needs(Part.MAPPINGS, Part.PODS), mappings.has_all_pods),
    _UNREAD,
)
"""Most fundamental first."""

INSTALLATION = (
    Check(installation.server, _needs(Part.VERSION)),
    Check(installation.crd, _needs(Part.CRD, Part.MAPPINGS)),
    Check(installation.components, _needs(Part.DEPLOYMENTS, Part.SECRETS_LEASE, Part.VOLUMES_LEASE)),
    Check(installation.service_accounts, _needs(Part.PERMISSIONS)),
    Check(installation.storage_classes, _needs(Part.VERSION, Part.CLASSES), installation.has_no_in_tree_rbd),
    _REGISTRATION,
    Check(webhook.endpoint, _needs(Part.VERSION, Part.REGISTRATION, Part.ENDPOINT), webhook.is_registered),
    Check(webhook.own_namespace, _needs(Part.NAMESPACES), webhook.is_registered),
    Check(certificate.trust, _needs(Part.CERTIFICATE), webhook.is_registered),
    Check(webhook.injection, _needs(Part.MAPPINGS, Part.NAMESPACES, Part.REGISTRATION, Part.DRY_RUN)),
    _UNREAD,
)
"""In the order in which an installation is made."""

CERTIFICATE = (
    Check(certificate.secret, _needs(Part.CERTIFICATE)),
    Check(certificate.configuration, _needs(Part.CERTIFICATE)),
)
