"""The PersistentVolume for a claim: pure."""

from dataclasses import dataclass

from provisioner.ceph.model import ImageQuery, JournalEntry
from provisioner.volumes.planning.claims import ClaimRequest, secret_for
from provisioner.volumes.planning.secret_templates import SecretReference
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler.quantity import of_bytes
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.identity import marks
from sutler.volumes.locations import CSI_DRIVER, ImageLocation, ids_of, owner_of, place_of, source_agrees

__all__ = [
    "CSI_DRIVER", "CephSource", "ImageLocation", "VolumeRequest", "entry", "ids_of", "metadata", "owner_of", "place_of",
    "render", "source_agrees",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """What a volume says of its image."""

    place: ImageLocation
    owner: str
    """UID of the claim that it was made for, which the image's metadata must name."""
    pool_id: int | None = None
    """None: not known, as for volumes that version 0.1.0 has made."""
    image_id: str = ""
    """Empty: not known."""

    def sought(self, kubernetes: str) -> ImageQuery:
        return ImageQuery(self.place.image, self.owner, kubernetes, self.image_id)


def metadata(request: ClaimRequest, kubernetes: str) -> dict[str, str]:
    """What the image itself says about whose it is."""
    return {
        well_known.OWNER: request.uid,
        well_known.KUBERNETES: kubernetes,
        well_known.METADATA_CLAIM: request.name,
        well_known.METADATA_NAMESPACE: request.namespace,
        well_known.METADATA_VOLUME: well_known.volume_name(request.uid),
    }


@dataclass(frozen=True, slots=True)
class CephSource:
    """What a volume has to say of the Ceph cluster."""

    cluster_id: str
    """The key in ceph-csi's configuration."""
    pool_id: int
    image_id: str
    monitors: tuple[str, ...] = ()
    """Needed for volumeSource rbd."""


def entry(request: ClaimRequest) -> JournalEntry:
    """The volume in ceph-csi's journal."""
    return JournalEntry(request.uid, well_known.volume_name(request.uid), request.namespace)


def render(request: ClaimRequest, cls: VolumeClass, place: ImageLocation, ceph: CephSource) -> Json:
    annotations = {
        well_known.PROVISIONED_BY: well_known.PROVISIONER,
        well_known.CLUSTER: place.cluster,
        well_known.IMAGE: place.path,
        well_known.DELETION_POLICY: cls.deletion_policy,
        **marks(ceph.pool_id, ceph.image_id),
    }
    if cls.deletion_policy == "trash":
        annotations[well_known.TRASH_DELAY] = str(cls.trash_delay)
    if cls.journal:
        annotations[well_known.JOURNAL] = "ceph-csi"
    csi = cls.volume_source == "csi"
    source = _csi(request, cls, place, ceph) if csi else _rbd(request, cls, place, ceph.monitors)
    spec: Json = {
        "capacity": {"storage": str(of_bytes(request.size, request.notation))},
        "accessModes": list(request.access_modes),
        "volumeMode": request.volume_mode,
        "storageClassName": cls.name,
        "persistentVolumeReclaimPolicy": cls.reclaim_policy,
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": request.namespace,
            "name": request.name,
            "uid": request.uid,
            "resourceVersion": request.resource_version,
        },
        cls.volume_source: source,
    }
    if cls.mount_options:
        spec["mountOptions"] = list(cls.mount_options)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": well_known.volume_name(request.uid),
            "annotations": annotations,
            "finalizers": [well_known.FINALIZER],
        },
        "spec": spec,
    }


def _csi(request: ClaimRequest, cls: VolumeClass, place: ImageLocation, ceph: CephSource) -> Json:
    """A static volume, unless ceph-csi's journal has it: the node plugin maps it by name.

    The RADOS namespace is in ceph-csi's own ConfigMap, never here.
    """
    kind = {"journalPool": place.pool, "imageName": place.image} if cls.journal else {"staticVolume": "true"}
    source: Json = {
        "driver": cls.driver,
        "volumeHandle": entry(request).handle(ceph.cluster_id, ceph.pool_id) if cls.journal else place.image,
        "volumeAttributes": {
            "clusterID": ceph.cluster_id,
            "pool": place.pool,
            "imageFeatures": ",".join(cls.features),
            **kind,
            **dict(cls.options),
        },
    }
    if request.volume_mode == "Filesystem":
        source["fsType"] = cls.filesystem
    if cls.secret is not None:
        source["nodeStageSecretRef"] = _secret(request, cls.secret)
    if cls.journal and cls.expand_secret is not None:
        source["controllerExpandSecretRef"] = _secret(request, cls.expand_secret)
    return source


def _rbd(request: ClaimRequest, cls: VolumeClass, place: ImageLocation, monitors: tuple[str, ...]) -> Json:
    source: Json = {
        "monitors": list(cls.monitors or monitors),
        "image": place.image,
        "pool": place.pool,
        "user": cls.user,
    }
    if request.volume_mode == "Filesystem":
        source["fsType"] = cls.filesystem
    if cls.secret is not None:
        source["secretRef"] = _secret(request, cls.secret)
    return source


def _secret(request: ClaimRequest, template: SecretReference) -> Json:
    secret = secret_for(request, template)
    return {"name": secret.name, "namespace": secret.namespace}
