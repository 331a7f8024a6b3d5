"""Decides what to do about a PersistentVolumeClaim. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.ceph.model import SECTOR
from provisioner.volumes.planning import secret_templates
from provisioner.volumes.planning.attributes_class import VolumeAttributes, unlimitable
from provisioner.volumes.planning.data_source import DataSource, parse_data_source, source_problem
from provisioner.volumes.planning.secret_templates import SecretReference, TemplateError
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler.quantity import Notation, QuantityError, of_bytes, parse
from sutler.typedefs import Json
from sutler.volumes.served_classes import class_of
from sutler.volumes.volume_name import volume_name
from sutler.well_known import SELECTED_NODE, STORAGE_PROVISIONER

_KI, _MI = 1 << 10, 1 << 20
SMALLEST = 128 * _KI
"""Bytes below which no filesystem can be created: mkfs.ext4 needs the least of all."""
_MKFS_MINIMUM = {"xfs": 300 * _MI, "btrfs": 109 * _MI}
"""Bytes that mkfs requires by default: mkfs.xfs since 5.19, mkfs.btrfs without --mixed."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A claim for which an image of `size` bytes is to be created."""

    uid: str
    namespace: str
    name: str
    resource_version: str
    size: int
    notation: Notation
    """The notation in which the claim gives its size; the volume's capacity uses the same."""
    access_modes: tuple[str, ...]
    volume_mode: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    """The claim's annotations: a class may read the names of Secrets from them."""
    source: DataSource | None = None
    """What the image is a clone of; None: it is empty."""
    attributes_class: str = ""
    """The name of the VolumeAttributesClass; empty: none."""
    attributes: VolumeAttributes | None = None
    """What that class requests, once it is read."""

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class ProvisionClaim:
    request: ClaimRequest


@dataclass(frozen=True, slots=True)
class IgnoreClaim:
    """Nothing is to be done, or not yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefuseClaim:
    """The claim can't be served as it is."""

    message: str
    """The problem, and what to change."""


@dataclass(frozen=True, slots=True)
class AwaitPopulator:
    """A volume populator fills a volume for the claim: Sutler must create none."""

    message: str


Decision = ProvisionClaim | IgnoreClaim | RefuseClaim | AwaitPopulator


def settled_reason(claim: Json) -> str:
    """Returns why the claim needs no volume, independent of its class; empty: it may need one."""
    if claim["spec"].get("volumeName"):
        return "it has a volume"
    if claim["metadata"].get("deletionTimestamp"):
        return "it is being deleted"
    return "it has lost its volume" if (claim.get("status") or {}).get("phase") == "Lost" else ""


def decide(  # noqa: PLR0911 - a decision table, row by row
    claim: Json, cls: VolumeClass, *, formatted: bool = False
) -> Decision:
    """`formatted`: the image exists already, with its content; it need not have a size that Sutler would choose."""
    metadata, spec = claim["metadata"], claim["spec"]
    annotations = metadata.get("annotations") or {}
    if class_of(claim) != cls.name:
        return IgnoreClaim("it has another StorageClass")
    if reason := settled_reason(claim):
        return IgnoreClaim(reason)
    if any(annotations.get(name, cls.provisioner) != cls.provisioner for name in STORAGE_PROVISIONER):
        return IgnoreClaim("Kubernetes has assigned it to another provisioner")
    if cls.waits_for_consumer and not annotations.get(SELECTED_NODE):
        return IgnoreClaim("it waits for its first Pod")
    source = parse_data_source(claim)
    if source is not None and source.is_populated:
        return AwaitPopulator(
            f"dataSource {source}: assuming an external populator provisions the volume; Sutler creates none. For an "
            "empty volume, remove dataSource"
        )
    problem = (
        _unserved(spec, cls) or _invalid(spec, source) or _source_problem(source, metadata["namespace"], spec, cls)
    )
    if problem:
        return RefuseClaim(problem)
    try:
        quantity = parse(str(spec["resources"]["requests"]["storage"]))
        size = quantity.round_up(SECTOR)
    except QuantityError as error:
        return RefuseClaim(f"the requested size can't be provisioned: {error}")
    if size <= 0:
        return RefuseClaim(f"the requested size is {quantity}: request more than 0, for example 1Gi")
    volume_mode = spec.get("volumeMode") or "Filesystem"
    if volume_mode == "Filesystem" and not formatted and source is None and size < SMALLEST:
        return RefuseClaim(
            f"the requested size {quantity} is too small for any filesystem: "
            f"request {of_bytes(SMALLEST)} or more, or volumeMode Block"
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
        source=source,
        attributes_class=spec.get("volumeAttributesClassName") or "",
    )
    problem = _secret_problem(request, cls)
    return RefuseClaim(problem) if problem else ProvisionClaim(request)


def size_warning(request: ClaimRequest, filesystem: str) -> str:
    """Returns a warning if newer versions of mkfs reject the size; empty: none do."""
    minimum = _MKFS_MINIMUM.get(filesystem, 0) if request.source is None else 0
    if request.volume_mode != "Filesystem" or request.size >= minimum:
        return ""
    return (
        f"newer versions of mkfs.{filesystem} create no filesystem of less than {of_bytes(minimum)}: "
        "if a Pod can't mount the volume, request that size"
    )


def _secret_problem(request: ClaimRequest, cls: VolumeClass) -> str:
    try:
        for template in filter(None, (cls.secret, cls.expand_secret, cls.publish_secret)):
            secret_for(request, template)
    except TemplateError as error:
        return f"StorageClass {cls.name}: {error}"
    return ""


def secret_for(request: ClaimRequest, template: SecretReference) -> SecretReference:
    """Returns the Secret for the claim. Raises TemplateError if the claim lacks an annotation that the class uses."""
    claim = secret_templates.ClaimFields(request.name, request.namespace, volume_name(request.uid), request.annotations)
    return secret_templates.resolve(template, claim)


def _unserved(spec: Json, cls: VolumeClass) -> str:
    """Returns which request of the claim Sutler does not serve; empty: none."""
    if spec.get("volumeAttributesClassName") and (problem := unlimitable(cls.volume_source, dict(cls.options))):
        return f"volumeAttributesClassName: StorageClass {cls.name} has {problem}: remove it, or use another class"
    if spec.get("selector"):
        return "spec.selector selects an existing volume: remove it for a new one, or set volumeName or no class"
    return ""


def _source_problem(source: DataSource | None, namespace: str, spec: Json, cls: VolumeClass) -> str:
    """Returns why the class can't clone the claim's source; empty: it can."""
    if source is None:
        return ""
    if cls.journal:
        return (
            f"StorageClass {cls.name} has journal ceph-csi, whose snapshots and clones are ceph-csi's: for dataSource "
            f"{source}, use a class without it"
        )
    filesystem = cls.filesystem if (spec.get("volumeMode") or "Filesystem") == "Filesystem" else ""
    return source_problem(source, namespace, filesystem=filesystem, features=cls.features)


def _invalid(spec: Json, source: DataSource | None) -> str:
    """Returns which value of the claim can't work; empty: none."""
    modes = spec.get("accessModes") or []
    if "ReadWriteMany" in modes and (spec.get("volumeMode") or "Filesystem") == "Filesystem":
        return (
            "ReadWriteMany with volumeMode Filesystem would destroy the filesystem of an RBD image: "
            "use ReadWriteOnce, or volumeMode Block, or CephFS"
        )
    if modes == ["ReadOnlyMany"] and source is not None:
        return "with ReadOnlyMany alone, no node could replay the filesystem's journal: use ReadWriteOnce"
    if modes == ["ReadOnlyMany"]:
        return "a new image is empty, so with ReadOnlyMany alone there is nothing to read: use ReadWriteOnce"
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        return "no size is requested: set spec.resources.requests.storage"
    return ""
