"""The names that Kubernetes, Ceph and their users see."""

from sutler.volumes.names import (
    ADOPTING,
    BETA_CLASS,
    CLUSTER,
    IMAGE,
    IMAGE_ID,
    KUBERNETES,
    METADATA_CLAIM,
    METADATA_NAMESPACE,
    METADATA_VOLUME,
    OWNER,
    POOL_ID,
    PREFIX,
    PROVISION,
    PROVISIONED_BY,
    PROVISIONER,
    owner_of,
    volume_name,
)

# What the command line needs, too, is in sutler.volumes; here all of them have one place.
__all__ = [
    "ADOPTING",
    "BETA_CLASS",
    "CLUSTER",
    "IMAGE",
    "IMAGE_ID",
    "KUBERNETES",
    "METADATA_CLAIM",
    "METADATA_NAMESPACE",
    "METADATA_VOLUME",
    "OWNER",
    "POOL_ID",
    "PREFIX",
    "PROVISION",
    "PROVISIONED_BY",
    "PROVISIONER",
    "owner_of",
    "volume_name",
]

COMPONENT = "sutler-volumes"
"""Who events come from."""

# On PersistentVolumes. What deletion needs must be there when the StorageClass is gone.
JOURNAL = PREFIX + "journal"
"""ceph-csi: the image is in its journal."""
DELETION_POLICY = PREFIX + "deletion-policy"
TRASH_DELAY = PREFIX + "trash-delay"

FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
