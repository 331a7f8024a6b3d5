"""The keys of annotations, metadata and finalizers that controllers, the REST API and the command line share."""

import re

PROVISIONER = "rbd.sutler.dev"

PREFIX = "sutler.dev/"
PROVISION = PREFIX + "provision"
"""StorageClass annotation: `rbd` makes the class ours, whatever its provisioner is called."""

# On PersistentVolumes. What deletion needs must be there when the StorageClass is gone.
CLUSTER = PREFIX + "cluster-id"
IMAGE = PREFIX + "image"
"""pool/[namespace/]image: the names that it was made under, which nodes use and people read."""
JOURNAL = PREFIX + "journal"
"""ceph-csi: the image is in its journal."""
DELETION_POLICY = PREFIX + "deletion-policy"
TRASH_DELAY = PREFIX + "trash-delay"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"

# On PersistentVolumes and in the image's metadata. Names change, these never do, and a copy has others than it says.
POOL_ID = PREFIX + "pool-id"
"""The number of the pool, in decimal."""
IMAGE_ID = PREFIX + "image-id"

# In the image's metadata. The first two say whose it is.
OWNER = PREFIX + "uid"
"""UID of the claim that it was made for."""
KUBERNETES = PREFIX + "kubernetes"
"""The UID of the kube-system namespace: two Kubernetes clusters may share one pool."""
METADATA_CLAIM = "csi.storage.k8s.io/pvc/name"
METADATA_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"
METADATA_VOLUME = "csi.storage.k8s.io/pv/name"
"""ceph-csi's names: tools and dashboards know them."""

# On a PersistentVolume that asks for an adoption; see sutler.volumes.adoption_request.
ADOPT = PREFIX + "adopt"
"""pool/[namespace/]image: to become a volume."""
RESTORE_FROM = PREFIX + "restore-from"
"""pool[/namespace]: the image is to be found in the trash there first."""
RESTORE_ID = PREFIX + "restore-id"
"""Of an image in the trash. Not there: the one that was the claim's, the latest of several."""
FILESYSTEM = PREFIX + "fstype"
"""Instead of the class's."""
ADOPTION = PREFIX + "adoption"
"""How it stands with the adoption: a word of `State` and a sentence."""
ADOPTED_SIZE = PREFIX + "adopted-size"
"""The image's, in bytes, when it has been looked at."""

ADOPTING = PREFIX + "adopting"
"""In an image's metadata and on its new volume: the name of the request, until the adoption is complete."""

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"

_VOLUME = "pvc-"
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def volume_name(uid: str) -> str:
    """Of the PersistentVolume for the claim with this UID."""
    return f"{_VOLUME}{uid}"


def owner_of(volume: str) -> str:
    """The UID of the claim that the PersistentVolume of this name was made for; empty for a name that is not ours.

    The claimRef does not tell: a volume that is bound again has another claim's.
    """
    uid = volume.removeprefix(_VOLUME)
    return uid if uid != volume and _UID.fullmatch(uid) else ""
