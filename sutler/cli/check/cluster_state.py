"""The state of a cluster that checks work on, and Pods that fail to pull. Pure: no I/O."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from sutler.cli.certs.certificate_report import CertificateReport
from sutler.cli.check.kubelet_messages import KubeletMessage, parse_message
from sutler.cli.cluster_view import ClusterView
from sutler.cli.leases import active_holder
from sutler.cli.pods import PodReport, parse_pod
from sutler.typedefs import Json

PULL_FAILED = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "ImageInspectError",
        "ErrImageNeverPull",
        "SignatureValidationFailed",
    )
)
"""Reasons by which a kubelet reports a container that waits for its image."""

UNREAD_MAPPINGS = "RegistryMappings"
UNREAD_NAMESPACES = "Namespaces"
UNREAD_LEASES = "Leases"
UNREAD_PODS = "Pods"
UNREAD_CRD = "The CRD of RegistryMapping"
UNREAD_DEPLOYMENTS = "Deployments"
UNREAD_REGISTRATION = "MutatingWebhookConfigurations"
UNREAD_PERMISSIONS = "The permissions of Sutler's service accounts"
"""Entries of `ClusterState.unread` that checks ask for."""

NO_IN_TREE_RBD = (1, 31)
"""The first version of Kubernetes whose kubelets mount no in-tree RBD volumes."""

_backing_off = re.compile(r"^Back-off pulling image \"[^\"]*\"(: (ErrImagePull: )?)?")


class Part(Enum):
    """A part of the ClusterState that is read on its own. ClusterReader reads them in this order."""

    VERSION = auto()
    CRD = auto()
    MAPPINGS = auto()
    NAMESPACES = auto()
    DEPLOYMENTS = auto()
    SECRETS_LEASE = auto()
    VOLUMES_LEASE = auto()
    TOKENS = auto()
    REGISTRATION = auto()
    ENDPOINT = auto()
    CERTIFICATE = auto()
    CLASSES = auto()
    PERMISSIONS = auto()
    PODS = auto()
    COPIES = auto()
    DRY_RUN = auto()


@dataclass(frozen=True)
class ImageFailure:
    """An image that a Pod waits for."""

    image: str
    reason: str
    """The kubelet's reason, one of PULL_FAILED."""
    message: str
    """The kubelet's latest message about the image; may be empty."""

    def parse(self) -> KubeletMessage:
        return parse_message(self.image, self.reason, self.message)


@dataclass(frozen=True)
class FailingPod:
    """A Pod that cannot pull an image."""

    pod: PodReport
    name: str
    created: str
    """Creation time, RFC 3339."""
    owner: str
    """Kind and name of the controller that replaces the Pod when it is deleted; empty if there is none."""
    failures: tuple[ImageFailure, ...]
    node: str = ""


class DryRunResult(Enum):
    """Outcome of creating a Pod as a dry run."""

    INJECTED = auto()
    NOT_INJECTED = auto()
    """The Pod came back without its pull secret."""
    REJECTED = auto()
    """The API server or another webhook rejected the Pod, which says nothing about Sutler's webhook."""
    NOT_TRIED = auto()


@dataclass(frozen=True)
class DryRun:
    """The dry run of creating a Pod, and what it shows about injection."""

    result: DryRunResult
    image: str = ""
    namespace: str = ""
    secret: str = ""
    """The pull secret that the Pod should get."""
    why: str = ""
    """Why the Pod was rejected or not tried."""
    unready: str = ""
    """Why the Secret may be missing although it is injected."""
    unread: bool = False
    """The Pod was not tried because the user may not read what the dry run needs."""


@dataclass
class ClusterState:
    """Everything that checks know about a cluster; each field is filled if its Part is read."""

    view: ClusterView
    namespace: str | None = None
    """The only namespace to check Pods or to try a Pod in; None: all."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """By the API server's clock, after the last read."""
    unread: list[str] = field(default_factory=list)
    """Kinds of objects that the user may not read."""

    version: tuple[int, int] = (0, 0)
    """Kubernetes major and minor version."""
    crd: Json | None = None
    """The CRD of RegistryMapping."""
    mappings: list[Json] = field(default_factory=list)
    """RegistryMappings as the API has them; `view` has them parsed."""
    terminating: set[str] = field(default_factory=set)
    """Namespaces that are being deleted."""
    deployments: dict[str, Json] = field(default_factory=dict)
    """Sutler's Deployments, by component."""
    own_pods: list[Json] = field(default_factory=list)
    """Sutler's Pods."""
    leases: dict[str, Json] = field(default_factory=dict)
    """Leases of Sutler's controllers, by component."""
    tokens: list[Json] = field(default_factory=list)
    """RegistryTokens as the API has them."""
    ca_published: bool = True
    """Every webhook of the registration has a caBundle."""
    webhook_urls: tuple[str, ...] = ()
    """URLs of webhooks that are registered by URL, so that they run outside the cluster."""
    service_problem: str = ""
    """What is wrong with the Service of the webhook; empty if it works or is not used."""
    certificate: CertificateReport | None = None
    certificate_problem: str = ""
    """Why there is no `certificate`."""
    classes: list[Json] = field(default_factory=list)
    """StorageClasses that Sutler provisions for."""
    permissions_checked: int = 0
    """Number of permissions of Sutler's service accounts that were reviewed."""
    denied: list[tuple[str, str]] = field(default_factory=list)
    """Service accounts, and permissions that they lack, as text."""
    pods: list[PodReport] = field(default_factory=list)
    """Pods that have not ended."""
    failing_pods: list[FailingPod] = field(default_factory=list)
    copies: dict[str, dict[str, str]] = field(default_factory=dict)
    """Mappings of copies, by name of the pull secret and by namespace; empty for a Secret that is not Sutler's."""
    dry_run: DryRun = field(default_factory=lambda: DryRun(DryRunResult.NOT_TRIED))

    def age(self, time: object) -> timedelta:
        """Time since `time`, RFC 3339; timedelta.max if there is none."""
        if not isinstance(time, str) or not time:
            return timedelta.max
        return self.now - datetime.fromisoformat(time)

    def leader(self, component: str) -> str:
        """The identity that holds the component's lease; empty if it has no leader."""
        return active_holder(self.leases.get(component), self.now)

    def mapping(self, name: str) -> Json:
        """The RegistryMapping of this name, as the API has it."""
        return next(obj for obj in self.mappings if obj["metadata"]["name"] == name)


def parse_failing_pod(obj: Json, messages: Sequence[str] = ()) -> FailingPod | None:
    """The Pod, or None if it waits for no image. `messages` are those of its events, oldest first."""
    failures = tuple(_failures(obj, messages))
    if not failures:
        return None
    metadata = obj["metadata"]
    owner = next((owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), None)
    return FailingPod(
        parse_pod(obj),
        metadata["name"],
        metadata.get("creationTimestamp", ""),
        f"{owner['kind']} {owner['name']}" if owner else "",
        failures,
        (obj.get("spec") or {}).get("nodeName") or "",
    )


def has_ended(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _failures(obj: Json, messages: Sequence[str]) -> Iterator[ImageFailure]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    volumes = [(volume.get("image") or {}).get("reference") for volume in spec.get("volumes") or []]
    seen = set()
    for containers, statuses in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
        ("ephemeralContainers", "ephemeralContainerStatuses"),
    ):
        images = {container.get("name"): container.get("image") for container in spec.get(containers) or []}
        for each in status.get(statuses) or []:
            waiting = (each.get("state") or {}).get("waiting") or {}
            message = waiting.get("message") or ""
            image = _failing_image(images.get(each.get("name")), volumes, message)
            if waiting.get("reason") in PULL_FAILED and image and image not in seen:
                seen.add(image)
                yield ImageFailure(image, waiting["reason"], _cause(image, message, messages))


def _failing_image(image: str | None, volumes: Sequence[str | None], message: str) -> str | None:
    """A container waits for its own image or for that of a volume; only the kubelet's message says which."""
    named = [each for each in (image, *volumes) if each and each in message]
    return max(named, key=len, default=image)


def _cause(image: str, message: str, events: Sequence[str]) -> str:
    """The kubelet's message. An older kubelet that backs off has the cause in its last event only."""
    cause = _backing_off.sub("", message)
    return cause or next(
        (event for event in reversed(events) if image in event and _backing_off.sub("", event)), message
    )
