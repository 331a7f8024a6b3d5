"""Pods, and what makes Pods, read for what pulling images needs. Pure.

Files and other people's objects come in here, so that nothing is taken for granted about their shape.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sutler.registry.injection import INJECT, MIRROR, SkipReason, pod_skip_reason
from sutler.typedefs import JsonMapping

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"), ("spec", "template")
    ),
}
"""Where each kind that makes Pods keeps what they are made from."""

KINDS = frozenset(_TEMPLATES)


@dataclass(frozen=True, slots=True)
class ImageUse:
    """An image, and which part of the Pod has it."""

    image: str
    where: str


@dataclass(frozen=True, slots=True)
class PodReport:
    what: str
    """Kind and name; empty for an image that was asked about by itself."""
    namespace: str
    """Empty where the object does not say."""
    images: tuple[ImageUse, ...]
    pull_secrets: tuple[str, ...] = ()
    account: str = "default"
    left_alone: str = ""
    """Why Sutler does not touch it, in words."""
    exists: bool = False
    """Its pull secrets are given and can't change any more."""


def read_pod(obj: JsonMapping) -> PodReport:
    """From an object whose kind is one of KINDS."""
    kind, metadata = str(obj.get("kind")), _mapping(obj, "metadata")
    template: JsonMapping = obj
    for step in _TEMPLATES[kind]:
        template = _mapping(template, step)
    spec = _mapping(template, "spec")
    return PodReport(
        what=f"{kind} {metadata.get('name') or metadata.get('generateName') or '(no name)'}",
        namespace=str(metadata.get("namespace") or ""),
        images=tuple(_images(spec)),
        pull_secrets=tuple(str(secret["name"]) for secret in _items(spec, "imagePullSecrets") if secret.get("name")),
        account=str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"),
        left_alone=_left_alone(_mapping(template, "metadata")),
        exists=kind == "Pod" and "uid" in metadata,
    )


def _images(spec: JsonMapping) -> Iterator[ImageUse]:
    for field, word in (
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ):
        for container in _items(spec, field):
            if container.get("image"):
                yield ImageUse(str(container["image"]), f"{word} {container.get('name')}")
    for volume in _items(spec, "volumes"):
        reference = _mapping(volume, "image").get("reference")
        if reference:
            yield ImageUse(str(reference), f"image volume {volume.get('name')}")


def _left_alone(metadata: JsonMapping) -> str:
    annotations, labels = _mapping(metadata, "annotations"), _mapping(metadata, "labels")
    match pod_skip_reason(annotations.get(MIRROR), annotations.get(INJECT), labels.get(INJECT)):
        case SkipReason.MIRROR:
            return "it mirrors a static Pod of a node, which may not refer to Secrets"
        case SkipReason.OPTED_OUT:
            word = "label" if labels.get(INJECT) == "false" else "annotation"
            return f'it opts out by the {word} {INJECT}: "false"'
    return ""


def _mapping(obj: JsonMapping, field: str) -> JsonMapping:
    value = obj.get(field)
    return value if isinstance(value, Mapping) else {}


def _items(obj: JsonMapping, field: str) -> Iterator[JsonMapping]:
    value = obj.get(field)
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())
