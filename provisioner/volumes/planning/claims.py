"""What to do about a PersistentVolumeClaim: pure. The decision table that the tests go through by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.volumes.planning import secret_templates
from provisioner.volumes.planning.secret_templates import SecretReference, TemplateError
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler.quantity import Notation, QuantityError, of_bytes, parse
from sutler.typedefs import Json
from sutler.volumes.well_known import BETA_CLASS, SELECTED_NODE, STORAGE_PROVISIONER, volume_name

SECTOR = 512
"""What a block device counts in: a size that is no multiple of it would lose its last bytes on the node."""
_KI, _MI = 1 << 10, 1 << 20
SMALLEST = 128 * _KI
"""Bytes below which no filesystem can be made: mkfs.ext4 needs the least of all."""
_USUAL = {"xfs": 300 * _MI, "btrfs": 109 * _MI}
"""Bytes that mkfs asks for by default: mkfs.xfs since 5.19, mkfs.btrfs without --mixed."""
_OF_DRIVERS = ("VolumeSnapshot", "PersistentVolumeClaim")
"""Data sources that the driver itself must serve; those of other kinds are for volume populators."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A claim that is to get an image of `size` bytes."""

    uid: str
    namespace: str
    name: str
    resource_version: str
    size: int
    notation: Notation
    access_modes: tuple[str, ...]
    volume_mode: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the claim: a class may take the names of Secrets from them."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ProvisionClaim:
    request: ClaimRequest


@dataclass(frozen=True, slots=True)
class IgnoreClaim:
    """Nothing to do, or not yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefuseClaim:
    """Can't be served as it is; `message` says what to change."""

    message: str


Decision = ProvisionClaim | IgnoreClaim | RefuseClaim


def class_of(claim: Json) -> str:
    """The name of the claim's StorageClass; the old annotation wins, as in Kubernetes."""
    annotations = claim["metadata"].get("annotations") or {}
    return str(annotations.get(BETA_CLASS) or claim["spec"].get("storageClassName") or "")


def settled(claim: Json) -> str:
    """Why no volume is to be made for the claim, whatever its class; empty: one may be."""
    if claim["spec"].get("volumeName"):
        return "it has a volume"
    if claim["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    return "it has lost its volume" if (claim.get("status") or {}).get("phase") == "Lost" else ""


def decide(  # noqa: PLR0911 - a decision table, row by row
    claim: Json, cls: VolumeClass, *, formatted: bool = False
) -> Decision:
    """`formatted`: the image is there already, with whatever is on it."""
    metadata, spec = claim["metadata"], claim["spec"]
    annotations = metadata.get("annotations") or {}
    if class_of(claim) != cls.name:
        return IgnoreClaim("it is of another class")
    if reason := settled(claim):
        return IgnoreClaim(reason)
    if any(annotations.get(name, cls.provisioner) != cls.provisioner for name in STORAGE_PROVISIONER):
        return IgnoreClaim("Kubernetes has given it to another provisioner")
    if cls.waits_for_consumer and not annotations.get(SELECTED_NODE):
        return IgnoreClaim("it waits for its first Pod")
    problem = _problem(spec)
    if problem:
        return RefuseClaim(problem)
    try:
        quantity = parse(str(spec["resources"]["requests"]["storage"]))
        size = quantity.round_up(SECTOR)
    except QuantityError as error:
        return RefuseClaim(f"the requested size can't be made: {error}")
    if size <= 0:
        return RefuseClaim(f"the requested size is {quantity}: ask for more than 0, like 1Gi")
    volume_mode = spec.get("volumeMode") or "Filesystem"
    if volume_mode == "Filesystem" and not formatted and size < SMALLEST:
        return RefuseClaim(
            f"the requested size {quantity} is too small for any filesystem: "
            f"ask for {of_bytes(SMALLEST)} or more, or for volumeMode Block"
        )
    request = ClaimRequest(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        name=metadata["name"],
        resource_version=metadata["resourceVersion"],
        size=size,
        notation=quantity.notation,
        access_modes=tuple(spec["accessModes"]),
        volume_mode=volume_mode,
        annotations=annotations,
    )
    problem = _secret_problem(request, cls)
    return RefuseClaim(problem) if problem else ProvisionClaim(request)


def caution(request: ClaimRequest, filesystem: str) -> str:
    """What a claim's owner should know before a Pod waits for the volume; empty: nothing."""
    usual = _USUAL.get(filesystem, 0)
    if request.volume_mode != "Filesystem" or request.size >= usual:
        return ""
    return (
        f"newer versions of mkfs.{filesystem} make no filesystem of less than {of_bytes(usual)}: "
        "if a Pod can't mount the volume, ask for that size"
    )


def _secret_problem(request: ClaimRequest, cls: VolumeClass) -> str | None:
    try:
        for template in filter(None, (cls.secret, cls.expand_secret)):
            secret_for(request, template)
    except TemplateError as error:
        return f"StorageClass {cls.name}: {error}"
    return None


def secret_for(request: ClaimRequest, template: SecretReference) -> SecretReference:
    """Raises TemplateError where the claim does not have what the class's template takes from it."""
    claim = secret_templates.ClaimFields(request.name, request.namespace, volume_name(request.uid), request.annotations)
    return secret_templates.resolve(template, claim)


def _problem(spec: Json) -> str | None:
    source = spec.get("dataSourceRef") or spec.get("dataSource")
    if source:
        what = f"{source.get('kind')} {source.get('name')}"
        if source.get("kind") not in _OF_DRIVERS:
            return (
                f"dataSource {what} is not served by Sutler: a volume populator fills such a claim, if one for "
                f"{source.get('kind')} runs here; for an empty volume leave it away"
            )
        return (
            f"dataSource {what} is not served, and an empty volume would not be what was asked for: leave it away, "
            "or restore with ceph-csi's own class"
        )
    attributes = spec.get("volumeAttributesClassName")
    if attributes:
        return (
            f"volumeAttributesClassName {attributes} is not served, and a volume without its attributes would not be "
            "what was asked for: leave it away"
        )
    if spec.get("selector"):
        return "a selector asks for a volume that exists: leave it away for a new one, or set volumeName or no class"
    return _mistake(spec)


def _mistake(spec: Json) -> str | None:
    modes = spec.get("accessModes") or []
    if "ReadWriteMany" in modes and (spec.get("volumeMode") or "Filesystem") == "Filesystem":
        return (
            "ReadWriteMany with volumeMode Filesystem would destroy the filesystem of an RBD image: "
            "use ReadWriteOnce, or volumeMode Block, or CephFS"
        )
    if modes == ["ReadOnlyMany"]:
        return "ReadOnlyMany alone on a new, empty image leaves nothing to read: use ReadWriteOnce"
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        return "no size is requested: set spec.resources.requests.storage"
    return None
