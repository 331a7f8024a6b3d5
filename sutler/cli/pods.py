"""Pods and Pod templates, parsed for what matters to image pulls. Pure: no I/O.

The objects may come from files of any content, so nothing is assumed about their shape.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sutler import well_known
from sutler.registry.injection import SkipReason, pod_skip_reason
from sutler.typedefs import JsonMapping

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"), ("spec", "template")
    ),
}
"""Path of the Pod template in each kind that has one."""

KINDS = frozenset(_TEMPLATES)


@dataclass(frozen=True, slots=True)
class ImageUse:
    image: str
    where: str
    """The container or volume that uses it, such as `container app`."""


@dataclass(frozen=True, slots=True)
class PodReport:
    """A Pod or Pod template, reduced to what matters to image pulls."""

    what: str
    """Kind and name; empty for an image named on the command line."""
    namespace: str
    """Empty if the object has none."""
    images: tuple[ImageUse, ...]
    pull_secrets: tuple[str, ...] = ()
    """Names in imagePullSecrets."""
    account: str = "default"
    """Name of its ServiceAccount."""
    skip_reason: str = ""
    """Why the webhook skips the Pod, as text; empty if it does not."""
    exists: bool = False
    """The Pod is created, so its pull secrets can no longer change."""


def parse_pod(obj: JsonMapping) -> PodReport:
    """Parses an object whose kind is one of KINDS."""
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
        skip_reason=_skip_reason(_mapping(template, "metadata")),
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


def _skip_reason(metadata: JsonMapping) -> str:
    annotations, labels = _mapping(metadata, "annotations"), _mapping(metadata, "labels")
    match pod_skip_reason(
        annotations.get(well_known.MIRROR), annotations.get(well_known.INJECT), labels.get(well_known.INJECT)
    ):
        case SkipReason.MIRROR:
            return "it is the mirror of a static Pod, which cannot use Secrets"
        case SkipReason.OPTED_OUT:
            word = "label" if labels.get(well_known.INJECT) == "false" else "annotation"
            return f'it opts out by the {word} {well_known.INJECT}: "false"'
    return ""


def _mapping(obj: JsonMapping, field: str) -> JsonMapping:
    value = obj.get(field)
    return value if isinstance(value, Mapping) else {}


def _items(obj: JsonMapping, field: str) -> Iterator[JsonMapping]:
    value = obj.get(field)
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())
