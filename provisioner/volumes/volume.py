"""The PersistentVolume for a claim: pure."""

from dataclasses import dataclass

from provisioner.ceph.model import Entry, Sought
from provisioner.volumes import names
from provisioner.volumes.claims import Request, secret_for
from provisioner.volumes.parameters import VolumeClass
from provisioner.volumes.templates import Secret
from sutler.kube.resources import Json
from sutler.quantity import of_bytes
from sutler.volumes.identity import marks
from sutler.volumes.place import CSI_DRIVER, Place, ids_of, owner_of, place_of, source_agrees

__all__ = [
    "CSI_DRIVER", "Ceph", "Place", "Wanted", "entry", "ids_of", "metadata", "owner_of", "place_of", "render",
    "source_agrees",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a volume says of its image."""

    place: Place
    owner: str
    """UID of the claim that it was made for, which the image's metadata must name."""
    pool_id: int | None = None
    """None: not known, as for volumes that version 0.1.0 has made."""
    image_id: str = ""
    """Empty: not known."""

    def sought(self, kubernetes: str) -> Sought:
        return Sought(self.place.image, self.owner, kubernetes, self.image_id)


def metadata(request: Request, kubernetes: str) -> dict[str, str]:
    """What the image itself says about whose it is."""
    return {
        names.OWNER: request.uid,
        names.KUBERNETES: kubernetes,
        names.METADATA_CLAIM: request.name,
        names.METADATA_NAMESPACE: request.namespace,
        names.METADATA_VOLUME: names.volume_name(request.uid),
    }


@dataclass(frozen=True, slots=True)
class Ceph:
    """What a volume has to say of the Ceph cluster."""

    cluster_id: str
    """The key in ceph-csi's configuration."""
    pool_id: int
    image_id: str
    monitors: tuple[str, ...] = ()
    """Needed for volumeSource rbd."""


def entry(request: Request) -> Entry:
    """The volume in ceph-csi's journal."""
    return Entry(request.uid, names.volume_name(request.uid), request.namespace)


def render(request: Request, cls: VolumeClass, place: Place, ceph: Ceph) -> Json:
    annotations = {
        names.PROVISIONED_BY: names.PROVISIONER,
        names.CLUSTER: place.cluster,
        names.IMAGE: place.path,
        names.DELETION_POLICY: cls.deletion_policy,
        **marks(ceph.pool_id, ceph.image_id),
    }
    if cls.deletion_policy == "trash":
        annotations[names.TRASH_DELAY] = str(cls.trash_delay)
    if cls.journal:
        annotations[names.JOURNAL] = "ceph-csi"
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
            "name": names.volume_name(request.uid),
            "annotations": annotations,
            "finalizers": [names.FINALIZER],
        },
        "spec": spec,
    }


def _csi(request: Request, cls: VolumeClass, place: Place, ceph: Ceph) -> Json:
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


def _rbd(request: Request, cls: VolumeClass, place: Place, monitors: tuple[str, ...]) -> Json:
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


def _secret(request: Request, template: Secret) -> Json:
    secret = secret_for(request, template)
    return {"name": secret.name, "namespace": secret.namespace}
