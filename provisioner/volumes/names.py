"""The names that Kubernetes, Ceph and their users see."""

PROVISIONER = "rbd.sutler.dev"
COMPONENT = "sutler-volumes"
"""Who events come from."""

PREFIX = "sutler.dev/"
PROVISION = PREFIX + "provision"
"""StorageClass annotation: `rbd` makes the class ours, whatever its provisioner is called."""

# On PersistentVolumes. What deletion needs must be there when the StorageClass is gone.
CLUSTER = PREFIX + "cluster-id"
IMAGE = PREFIX + "image"
"""pool/[namespace/]image"""
JOURNAL = PREFIX + "journal"
"""ceph-csi: the image is in its journal."""
DELETION_POLICY = PREFIX + "deletion-policy"
TRASH_DELAY = PREFIX + "trash-delay"

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"

# In the image's metadata. The first two say whose it is.
OWNER = PREFIX + "uid"
"""The claim's UID."""
KUBERNETES = PREFIX + "kubernetes"
"""The UID of the kube-system namespace: two Kubernetes clusters may share one pool."""
METADATA_CLAIM = "csi.storage.k8s.io/pvc/name"
METADATA_NAMESPACE = "csi.storage.k8s.io/pvc/namespace"
METADATA_VOLUME = "csi.storage.k8s.io/pv/name"
"""ceph-csi's names: tools and dashboards know them."""


def volume_name(uid: str) -> str:
    """Of the PersistentVolume for the claim with this UID."""
    return f"pvc-{uid}"
