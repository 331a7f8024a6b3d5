"""The keys of labels, annotations, finalizers and image metadata: Sutler's own, and those of others that it uses."""

PREFIX = "sutler.dev/"
PROVISIONER = "rbd.sutler.dev"

# Injection.
INJECT = PREFIX + "inject"
"""Label or annotation of a Pod: with the value "false" the Pod opts out."""
EXCLUDE = PREFIX + "exclude"
"""Label of a namespace: with the value "true" all of its Pods are skipped."""

# Copies of pull Secrets, and their sources.
MAPPING = PREFIX + "mapping"
"""Label of a copy: the mapping that it belongs to."""
COPY = PREFIX + "copy"
"""Annotation with the copy's own `namespace/name`. A Secret with Sutler's labels and another value was copied by a
user and belongs to that user."""
SOURCE_OF = PREFIX + "source-of"
"""Label of source Secrets that `sutler registry add` created; its value is the mapping that they are deleted with."""
COPY_METADATA = PREFIX + "copy-metadata"
"""Annotation of a copy: the labels and annotations that its mapping put on it, as JSON. Absent if there are none."""
COPIES = PREFIX + "copies"
"""Label of a namespace: with the value `eager` Sutler creates all copies there at once.

Scanners, GitOps tools and other readers of pull secrets that are not Pods need that.
"""
MANAGER = "sutler"
"""The value of MANAGED_BY."""

# RegistryTokens and the Secrets that they keep.
TOKEN = PREFIX + "token"
"""Label of a Secret: the RegistryToken that keeps it. Without the label Sutler never changes the Secret."""
EXPIRES_AT = PREFIX + "expires-at"
"""Annotation of that Secret: the time at which its token ends."""
REFRESH_REQUESTED_AT = PREFIX + "refresh-requested-at"
"""Annotation of a RegistryToken: a value other than the status's requests a refresh now."""

# StorageClasses.
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
CLASS_LIMITS = PREFIX + "class-limits"
"""The limits that the StorageClass gave; see sutler.volumes.limits."""
LIMITS = PREFIX + "limits"
"""The limits that apply: those, and what a VolumeAttributesClass has changed."""
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
UNFINISHED = PREFIX + "unfinished"
"""The mark of work that loses data, see provisioner.ceph.interrupted: a value of `InterruptedWork`, the operation's
identifier or "-", and the image's id, which version 0.1.0 did not write."""
PROGRESS = PREFIX + "progress"
"""The removed share (0 to 1), the time of the start and of the last update, in seconds since 1970.

The process that removes the image writes it for all others. An update at 0 means that the removal was stopped.
"""

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

# Snapshots and clones.
PARKED = PREFIX + "parked"
"""In an image's metadata: its volume is deleted, and snapshots or clones need it; see sutler.volumes.parking."""
ANCESTORS = PREFIX + "ancestors"
"""Annotation of a PersistentVolume whose image is a clone: handles of its ancestors, the parent first."""
FLATTEN_POLICY = PREFIX + "flatten-policy"
"""Annotation of a PersistentVolume whose image is a clone: with `async` Sutler flattens it, then removes this."""
SNAPSHOT_SOURCE = PREFIX + "snapshot-source"
"""Annotation of a VolumeSnapshotContent: the handle of the image that it is a snapshot of."""

# Keys of Kubernetes.
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label of every namespace with its name, since Kubernetes 1.21."""
MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a mirror Pod, which the API server rejects if it names a Secret."""
ENFORCE = "kubernetes.io/enforce-mountable-secrets"
"""Annotation of a ServiceAccount: the API server rejects its Pods if they name a Secret that it does not list."""
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
PROTECTION = "kubernetes.io/pv-protection"
"""Finalizer of a PersistentVolume that is bound."""
