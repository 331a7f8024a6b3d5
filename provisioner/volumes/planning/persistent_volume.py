"""Renders the PersistentVolume for a claim. Pure: no I/O."""

from dataclasses import dataclass

from provisioner.ceph.model import ImageQuery, JournalEntry
from provisioner.volumes.planning.attributes_class import effective_limits
from provisioner.volumes.planning.claims import ClaimRequest, secret_for
from provisioner.volumes.planning.secret_templates import SecretReference
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler import well_known
from sutler.quantity import of_bytes
from sutler.typedefs import Json
from sutler.volumes.identity import id_metadata
from sutler.volumes.limits import limits_metadata, render_limits
from sutler.volumes.locations import ImageLocation
from sutler.volumes.snapshot_handle import ImageHandle
from sutler.volumes.volume_name import volume_name


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """What a volume records of its image."""

    location: ImageLocation
    owner: str
    """UID of the claim that the volume was provisioned for. The image's metadata must name it."""
    pool_id: int | None = None
    """None: the volume does not record it, as those of version 0.1.0."""
    image_id: str = ""
    """Empty: the volume does not record it."""

    def query(self, kubernetes: str) -> ImageQuery:
        return ImageQuery(self.location.image, self.owner, kubernetes, self.image_id)


def volume_limits(request: ClaimRequest, cls: VolumeClass) -> dict[str, int]:
    """Returns the limits of the claim's volume."""
    return effective_limits(cls.limits, request.attributes.limits if request.attributes is not None else {})


def image_metadata(request: ClaimRequest, cls: VolumeClass, kubernetes: str) -> dict[str, str]:
    """Returns the metadata by which the image names its owner, and its limits."""
    return {
        **limits_metadata(volume_limits(request, cls)),
        well_known.OWNER: request.uid,
        well_known.KUBERNETES: kubernetes,
        well_known.METADATA_CLAIM: request.name,
        well_known.METADATA_NAMESPACE: request.namespace,
        well_known.METADATA_VOLUME: volume_name(request.uid),
    }


@dataclass(frozen=True, slots=True)
class CephSource:
    """What a volume records of the Ceph cluster."""

    cluster_id: str
    """The key of the cluster in ceph-csi's configuration."""
    pool_id: int
    image_id: str
    monitors: tuple[str, ...] = ()
    """Addresses of the monitors, for volumeSource rbd only."""
    ancestors: tuple[ImageHandle, ...] = ()
    """The images that the image is a clone of, the parent first."""


def journal_entry(request: ClaimRequest) -> JournalEntry:
    """Returns the entry for the volume in ceph-csi's journal."""
    return JournalEntry(request.uid, volume_name(request.uid), request.namespace)


def render(request: ClaimRequest, cls: VolumeClass, location: ImageLocation, ceph: CephSource) -> Json:
    annotations = {
        well_known.PROVISIONED_BY: well_known.PROVISIONER,
        well_known.CLUSTER: location.cluster,
        well_known.IMAGE: location.path,
        well_known.DELETION_POLICY: cls.deletion_policy,
        **id_metadata(ceph.pool_id, ceph.image_id),
    }
    if ceph.ancestors:
        annotations[well_known.ANCESTORS] = " ".join(map(str, ceph.ancestors))
        if cls.flatten_policy == "async":
            annotations[well_known.FLATTEN_POLICY] = cls.flatten_policy
    if cls.deletion_policy == "trash":
        annotations[well_known.TRASH_DELAY] = str(cls.trash_delay)
    if cls.journal:
        annotations[well_known.JOURNAL] = "ceph-csi"
    if cls.limits:
        annotations[well_known.CLASS_LIMITS] = render_limits(cls.limits)
    if limits := volume_limits(request, cls):
        annotations[well_known.LIMITS] = render_limits(limits)
    csi = cls.volume_source == "csi"
    source = _csi(request, cls, location, ceph) if csi else _rbd(request, cls, location, ceph.monitors)
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
    if request.attributes_class:
        spec["volumeAttributesClassName"] = request.attributes_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(request.uid),
            "annotations": annotations,
            "finalizers": [well_known.FINALIZER],
        },
        "spec": spec,
    }


def _csi(request: ClaimRequest, cls: VolumeClass, location: ImageLocation, ceph: CephSource) -> Json:
    """Renders a static volume, which the node plugin maps by name, unless ceph-csi's journal has an entry for it.

    Node plugins read the RADOS namespace from ceph-csi's own ConfigMap, never from the volume.
    """
    kind = {"journalPool": location.pool, "imageName": location.image} if cls.journal else {"staticVolume": "true"}
    source: Json = {
        "driver": cls.driver,
        "volumeHandle": journal_entry(request).handle(ceph.cluster_id, ceph.pool_id) if cls.journal else location.image,
        "volumeAttributes": {
            "clusterID": ceph.cluster_id,
            "pool": location.pool,
            "imageFeatures": ",".join(cls.features),
            **kind,
            **dict(cls.options),
        },
    }
    if request.volume_mode == "Filesystem":
        source["fsType"] = cls.filesystem
    if cls.secret is not None:
        source["nodeStageSecretRef"] = _secret(request, cls.secret)
    # Without this Secret the node plugin can't read limits. It can't be added to a volume later.
    publish = cls.publish_secret or (cls.secret if cls.limits or request.attributes_class else None)
    if publish is not None:
        source["nodePublishSecretRef"] = _secret(request, publish)
    if cls.journal and cls.expand_secret is not None:
        source["controllerExpandSecretRef"] = _secret(request, cls.expand_secret)
    return source


def _rbd(request: ClaimRequest, cls: VolumeClass, location: ImageLocation, monitors: tuple[str, ...]) -> Json:
    source: Json = {
        "monitors": list(cls.monitors or monitors),
        "image": location.image,
        "pool": location.pool,
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
