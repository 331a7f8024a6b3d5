"""A cluster as the doctor sees it, and reading it into that. Reading only."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sutler.cli.cluster_view import ClusterView
from sutler.cli.doctor.kubelet_messages import KubeletMessage, understood
from sutler.cli.pods import PodReport, read_pod
from sutler.typedefs import Json

FAILING = frozenset(
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
"""What a kubelet calls a container that waits for its image."""


_backing_off = re.compile(r"^Back-off pulling image \"[^\"]*\"(: (ErrImagePull: )?)?")


@dataclass(frozen=True)
class ImageFailure:
    """An image that a Pod waits for."""

    image: str
    reason: str
    message: str

    @property
    def said(self) -> KubeletMessage:
        return understood(self.image, self.reason, self.message)


@dataclass(frozen=True)
class FailingPod:
    """A Pod that can't pull."""

    pod: PodReport
    name: str
    created: str
    owner: str
    """Kind and name of what makes it anew when it is deleted; empty: nobody does."""
    failures: tuple[ImageFailure, ...]
    node: str = ""


@dataclass
class ClusterState:
    world: ClusterView
    mappings: list[Json] = field(default_factory=list)
    pods: list[PodReport] = field(default_factory=list)
    """Those that run or will."""
    patients: list[FailingPod] = field(default_factory=list)
    mappings_seen: bool = True
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    """By name of a pull secret and namespace: the mapping whose copy is there, empty where it is not Sutler's."""
    terminating: set[str] = field(default_factory=set)
    trusted: bool = True
    """Whether the API server has been told the webhook's CA."""
    copier_seen: str | None = None
    """When the secrets controller last renewed its lease; empty: never; None: nobody looked."""
    now: str = ""
    """By the API server's clock."""
    namespace: str | None = None
    """The only namespace that was looked at; None: all were."""
    unseen: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""

    def age(self, time: object) -> timedelta:
        """How long ago that was; for ever where it is not said."""
        if not isinstance(time, str) or not time:
            return timedelta.max
        return datetime.fromisoformat(self.now) - datetime.fromisoformat(time)

    def created(self, mapping: str) -> str:
        return str(self.mapping(mapping)["metadata"].get("creationTimestamp", ""))

    def mapping(self, name: str) -> Json:
        """As the API shows it."""
        return next(obj for obj in self.mappings if obj["metadata"]["name"] == name)


def read_patient(obj: Json, messages: Sequence[str] = ()) -> FailingPod | None:
    """None for a Pod that has its images. `messages` are those of its events, the newest last."""
    failures = tuple(_failures(obj, messages))
    if not failures:
        return None
    metadata = obj["metadata"]
    owner = next((owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), None)
    return FailingPod(
        read_pod(obj),
        metadata["name"],
        metadata.get("creationTimestamp", ""),
        f"{owner['kind']} {owner['name']}" if owner else "",
        failures,
        (obj.get("spec") or {}).get("nodeName") or "",
    )


def is_over(obj: Json) -> bool:
    return (obj.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


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
            said = waiting.get("message") or ""
            image = _blamed(images.get(each.get("name")), volumes, said)
            if waiting.get("reason") in FAILING and image and image not in seen:
                seen.add(image)
                yield ImageFailure(image, waiting["reason"], _message(image, said, messages))


def _blamed(image: str | None, volumes: Sequence[str | None], said: str) -> str | None:
    """A container waits for its own image or for that of a volume; which one only the kubelet's words tell."""
    named = [each for each in (image, *volumes) if each and each in said]
    return max(named, key=len, default=image)


def _message(image: str, message: str, events: Sequence[str]) -> str:
    """The kubelet's own words. While it backs off, an older one says no more than that, but its last event does."""
    words = _backing_off.sub("", message)
    return words or next(
        (event for event in reversed(events) if image in event and _backing_off.sub("", event)), message
    )
