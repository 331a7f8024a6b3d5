"""The keys of annotations, image metadata and finalizers that the controllers, the REST API and the CLI share."""

import re

PROVISIONER = "rbd.sutler.dev"

PREFIX = "sutler.dev/"
PROVISION = PREFIX + "provision"
"""StorageClass annotation: with `rbd`, Sutler serves the class under any provisioner name."""

# Annotations of PersistentVolumes. What deletion needs must still be there when the StorageClass is gone.
CLUSTER = PREFIX + "cluster-id"
IMAGE = PREFIX + "image"
"""pool/[namespace/]image: the names at creation, which nodes use and people read."""
JOURNAL = PREFIX + "journal"
"""Value ceph-csi: ceph-csi's journal has an entry for the image."""
DELETION_POLICY = PREFIX + "deletion-policy"
TRASH_DELAY = PREFIX + "trash-delay"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"

# Annotations of PersistentVolumes and keys of image metadata. Names change, ids never do. A copy has other ids than it
# records.
POOL_ID = PREFIX + "pool-id"
"""The id of the pool, in decimal."""
IMAGE_ID = PREFIX + "image-id"

# Keys of image metadata. The first two name the owner.
OWNER = PREFIX + "uid"
"""UID of the claim that the image was created for."""
KUBERNETES = PREFIX + "kubernetes"
"""UID of the kube-system namespace: two Kubernetes clusters may share one pool."""
METADATA_CLAIM = "csi.storage.k8s.io/pvc/name"
METADATA_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"
METADATA_VOLUME = "csi.storage.k8s.io/pv/name"
"""These are ceph-csi's keys: tools and dashboards know them."""

# Annotations of a PersistentVolume that requests an adoption; see sutler.volumes.adoption_request.
ADOPT = PREFIX + "adopt"
"""pool/[namespace/]image: the image to adopt."""
RESTORE_FROM = PREFIX + "restore-from"
"""pool[/namespace]: where the image is restored from the trash first."""
RESTORE_ID = PREFIX + "restore-id"
"""Id of an image in the trash. Default: the image that was the claim's, the latest of several."""
FILESYSTEM = PREFIX + "fstype"
"""The filesystem on the image, if it is not the class's."""
ADOPTION = PREFIX + "adoption"
"""The progress of the adoption: an `AdoptionState`, a colon and a sentence."""
ADOPTED_SIZE = PREFIX + "adopted-size"
"""The image's size in bytes, once the controller has read it."""

ADOPTING = PREFIX + "adopting"
"""In the image's metadata and on its new volume: the name of the request, until the adoption is complete."""

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"

_VOLUME = "pvc-"
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def volume_name(uid: str) -> str:
    """Returns the name of the PersistentVolume for the claim with this UID."""
    return f"{_VOLUME}{uid}"


def owner_uid(volume: str) -> str:
    """Returns the UID of the claim that the volume was provisioned for; empty for a name of another form.

    The claimRef can't be used for this: a volume that was bound again names another claim there.
    """
    uid = volume.removeprefix(_VOLUME)
    return uid if uid != volume and _UID.fullmatch(uid) else ""
