"""What an installation looks like: plain values for `diagnose`, gathered by `look`."""

from dataclasses import dataclass, field
from enum import Enum, auto

from sutler.cli.certs.fetch import CertificateReport
from sutler.cli.cluster_view import ClusterView
from sutler.typedefs import Json

COMPONENTS = ("webhook", "secrets", "volumes", "api")
NO_IN_TREE = (1, 31)
"""The version from which on Kubernetes has no rbd volumes of its own."""
LEADING = ("secrets", "volumes")
"""Those of which one at a time works, under the lease sutler-NAME."""


MAPPINGS, SPACES, HELD = "RegistryMappings", "Namespaces", "Leases"
RIGHTS, REGISTRATION = "the rights of the accounts", "the webhook's registration"
"""What `unseen` may hold, for those on whose words others depend."""


class InjectionTrial(Enum):
    """How the Pod of the trial came back."""

    DONE = auto()
    MISSING = auto()
    """Without its pull secret."""
    REFUSED = auto()
    """By the API server or another webhook: it says nothing about ours."""
    UNTRIED = auto()


@dataclass(frozen=True)
class Trial:
    outcome: InjectionTrial
    image: str = ""
    namespace: str = ""
    secret: str = ""
    why: str = ""
    """It was refused, or not tried."""
    unready: str = ""
    """Why the Secret may not be there all the same."""
    unseen: bool = False
    """It was not tried because what it needs could not be seen."""


@dataclass
class InstallationReport:
    own: str
    world: ClusterView
    now: str = ""
    version: tuple[int, int] = (0, 0)
    crd: Json | None = None
    deployments: dict[str, Json] = field(default_factory=dict)
    """By component."""
    pods: list[Json] = field(default_factory=list)
    leases: dict[str, Json] = field(default_factory=dict)
    """By component, of those that have one."""
    unready: dict[str, str] = field(default_factory=dict)
    """By mapping that is not ready: why."""
    asked: int = 0
    """Rights of accounts that were asked about."""
    denied: list[tuple[str, str]] = field(default_factory=list)
    """Account, and what it may not do."""
    classes: list[Json] = field(default_factory=list)
    """StorageClasses of ours; looked at from version NO_IN_TREE on."""
    certificate: CertificateReport | None = None
    certificate_trouble: str = ""
    """Why there is none to see."""
    urls: tuple[str, ...] = ()
    """Of webhooks that are registered by URL: they run outside of the cluster."""
    service: str | None = None
    """Of the webhook: empty if it is fine, what is wrong with it, or None for a webhook without one."""
    trial: Trial = field(default_factory=lambda: Trial(InjectionTrial.UNTRIED))
    unseen: list[str] = field(default_factory=list)
