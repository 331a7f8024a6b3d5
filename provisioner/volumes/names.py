"""The names that Kubernetes, Ceph and their users see."""

from sutler.volumes.names import (
    ADOPTING,
    BETA_CLASS,
    CLUSTER,
    IMAGE,
    PREFIX,
    PROVISION,
    PROVISIONED_BY,
    PROVISIONER,
    volume_name,
)

# What the command line needs, too, is in sutler.volumes; here all of them have one place.
__all__ = [
    "ADOPTING",
    "BETA_CLASS",
    "CLUSTER",
    "IMAGE",
    "PREFIX",
    "PROVISION",
    "PROVISIONED_BY",
    "PROVISIONER",
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

# In the image's metadata. The first two say whose it is.
OWNER = PREFIX + "uid"
"""The claim's UID."""
KUBERNETES = PREFIX + "kubernetes"
"""The UID of the kube-system namespace: two Kubernetes clusters may share one pool."""
METADATA_CLAIM = "csi.storage.k8s.io/pvc/name"
METADATA_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"
METADATA_VOLUME = "csi.storage.k8s.io/pv/name"
"""ceph-csi's names: tools and dashboards know them."""
