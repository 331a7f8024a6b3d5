"""The names of volumes' annotations that both the controller and the command line read and write."""

PROVISIONER = "rbd.sutler.dev"

PREFIX = "sutler.dev/"
PROVISION = PREFIX + "provision"
"""StorageClass annotation: `rbd` makes the class ours, whatever its provisioner is called."""

# On PersistentVolumes. What deletion needs must be there when the StorageClass is gone.
CLUSTER = PREFIX + "cluster-id"
IMAGE = PREFIX + "image"
"""pool/[namespace/]image"""

# On a PersistentVolume that asks for an adoption; see sutler.volumes.adoption.
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
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def volume_name(uid: str) -> str:
    """Of the PersistentVolume for the claim with this UID."""
    return f"pvc-{uid}"
