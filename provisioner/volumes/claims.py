"""What to do about a PersistentVolumeClaim: pure. The decision table that the tests go through by name."""

from dataclasses import dataclass

from provisioner.volumes.names import BETA_CLASS, SELECTED_NODE, STORAGE_PROVISIONER
from provisioner.volumes.parameters import VolumeClass
from sutler.kube.resources import Json
from sutler.quantity import Notation, QuantityError, parse

SECTOR = 512
"""What a block device counts in: a size that is no multiple of it would lose its last bytes on the node."""


@dataclass(frozen=True, slots=True)
class Request:
    """A claim that is to get an image of `size` bytes."""

    uid: str
    namespace: str
    name: str
    resource_version: str
    size: int
    notation: Notation
    access_modes: tuple[str, ...]
    volume_mode: str

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Provision:
    request: Request


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing to do, or not yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Can't be served as it is; `message` says what to change."""

    message: str


Decision = Provision | Leave | Refuse


def class_of(claim: Json) -> str:
    """The name of the claim's StorageClass; the old annotation wins, as in Kubernetes."""
    annotations = claim["metadata"].get("annotations") or {}
    return str(annotations.get(BETA_CLASS) or claim["spec"].get("storageClassName") or "")


def decide(claim: Json, cls: VolumeClass) -> Decision:  # noqa: PLR0911 - a decision table, row by row
    metadata, spec = claim["metadata"], claim["spec"]
    annotations = metadata.get("annotations") or {}
    if class_of(claim) != cls.name:
        return Leave("it is of another class")
    if spec.get("volumeName"):
        return Leave("it has a volume")
    if metadata.get("deletionTimestamp"):
        return Leave("it is being deleted")
    if (claim.get("status") or {}).get("phase") == "Lost":
        return Leave("it has lost its volume")
    if any(annotations.get(name, cls.provisioner) != cls.provisioner for name in STORAGE_PROVISIONER):
        return Leave("Kubernetes has given it to another provisioner")
    if cls.waits_for_consumer and not annotations.get(SELECTED_NODE):
        return Leave("it waits for its first Pod")
    problem = _problem(spec)
    if problem:
        return Refuse(problem)
    try:
        quantity = parse(str(spec["resources"]["requests"]["storage"]))
        size = quantity.round_up(SECTOR)
    except QuantityError as error:
        return Refuse(f"the requested size can't be made: {error}")
    if size <= 0:
        return Refuse(f"the requested size is {quantity}: ask for more than 0, like 1Gi")
    return Provision(
        Request(
            uid=metadata["uid"],
            namespace=metadata["namespace"],
            name=metadata["name"],
            resource_version=metadata["resourceVersion"],
            size=size,
            notation=quantity.notation,
            access_modes=tuple(spec["accessModes"]),
            volume_mode=spec.get("volumeMode") or "Filesystem",
        )
    )


def _problem(spec: Json) -> str | None:
    modes = spec.get("accessModes") or []
    source = spec.get("dataSourceRef") or spec.get("dataSource")
    if source:
        what = f"{source.get('kind')} {source.get('name')}"
        return (
            f"dataSource {what} is not served, and an empty volume would not be what was asked for: leave it away, "
            "or restore with ceph-csi's own class"
        )
    if spec.get("selector"):
        return "a selector asks for a volume that exists: leave it away for a new one, or set volumeName or no class"
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
