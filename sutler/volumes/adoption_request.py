"""The request that an existing image become a claim's volume: pure.

It is a PersistentVolume, since making those is what a storage administrator may do and an application team may not: no
annotation on a claim gets hold of any image. Nothing can use it as a volume. Its claimRef has a UID that no claim has,
so Kubernetes binds it to none, and its driver does not exist. The controller looks at the image, makes the real volume
and deletes the request; until that is complete, deleting the request deletes nothing else.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from sutler.errors import SutlerError
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes.locations import PART, ImageLocation, parse_place

DRIVER = "adopt.sutler.dev"
NOBODY = "waits-for-adoption"
"""The UID of the claimRef: no claim has it."""
FILESYSTEMS = ("ext4", "ext3", "xfs", "btrfs")
_LONGEST_NAME = 63
_ANYWHERE = re.compile(rf"{PART.pattern}(/{PART.pattern})?")


class RequestError(SutlerError):
    """The request is not one that the command line makes."""


class AdoptionState(StrEnum):
    CHECKED = "Checked"
    """The image can be adopted; the claim is not there yet."""
    WAITING = "Waiting"
    """Something is in the way that may pass."""
    REFUSED = "Refused"
    BINDING = "Binding"
    """The volume is made, and Kubernetes has yet to bind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionRequest:
    namespace: str
    claim: str
    """The claim's name."""
    storage_class: str
    image: str = ""
    """pool/[namespace/]image; empty: to be found in the trash."""
    restore_from: str = ""
    """pool[/namespace]; empty: it is not in the trash."""
    restore_id: str = ""
    filesystem: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.claim}"

    def place(self, cluster: str) -> ImageLocation | None:
        return parse_place(cluster, self.image)


def request_name(key: str) -> str:
    """One request for one claim at a time: the API server refuses a second one of this name."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9-]", "-", key)[: _LONGEST_NAME - 16]
    return f"adopt-{readable}-{digest}"


def render(wanted: AdoptionRequest) -> Json:
    annotations = {
        well_known.ADOPT: wanted.image,
        well_known.RESTORE_FROM: wanted.restore_from,
        well_known.RESTORE_ID: wanted.restore_id,
        well_known.FILESYSTEM: wanted.filesystem,
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": request_name(wanted.key),
            "annotations": {name: value for name, value in annotations.items() if value},
        },
        "spec": {
            # Nobody knows the size yet, and a volume must have one.
            "capacity": {"storage": "1"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": wanted.storage_class,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": wanted.namespace,
                "name": wanted.claim,
                "uid": NOBODY,
            },
            "csi": {"driver": DRIVER, "volumeHandle": request_name(wanted.key)},
        },
    }


def claim_key(volume: Json) -> str:
    """namespace/name of the claim that a request is for; empty for a volume that is no request."""
    annotations = volume["metadata"].get("annotations") or {}
    if well_known.ADOPT not in annotations and well_known.RESTORE_FROM not in annotations:
        return ""
    reference = volume["spec"].get("claimRef") or {}
    # A volume that could be used is never taken for a request: it would be a second one for the image.
    if reference.get("uid") != NOBODY or (volume["spec"].get("csi") or {}).get("driver") != DRIVER:
        return ""
    return f"{reference.get('namespace')}/{reference.get('name')}"


def read(volume: Json) -> AdoptionRequest:
    annotations = volume["metadata"].get("annotations") or {}
    key = claim_key(volume)
    if not key:
        raise RequestError("the volume is no request: make it with sutler volumes adopt")
    filesystem = annotations.get(well_known.FILESYSTEM, "")
    if filesystem and filesystem not in FILESYSTEMS:
        raise RequestError(f"annotation {well_known.FILESYSTEM}: {filesystem!r} is not one of {', '.join(FILESYSTEMS)}")
    image, source = annotations.get(well_known.ADOPT, ""), annotations.get(well_known.RESTORE_FROM, "")
    if image and parse_place("", image) is None:
        raise RequestError(f"annotation {well_known.ADOPT}: {image!r} is not pool/image or pool/namespace/image")
    if source and not _ANYWHERE.fullmatch(source):
        raise RequestError(f"annotation {well_known.RESTORE_FROM}: {source!r} is not pool or pool/namespace")
    namespace, _, claim = key.partition("/")
    return AdoptionRequest(
        namespace=namespace,
        claim=claim,
        storage_class=volume["spec"].get("storageClassName", ""),
        image=image,
        restore_from=source,
        restore_id=annotations.get(well_known.RESTORE_ID, ""),
        filesystem=filesystem,
    )


def outcome(volume: Json) -> tuple[AdoptionState | None, str]:
    """What the controller says of a request; None while it has not looked yet."""
    text = (volume["metadata"].get("annotations") or {}).get(well_known.ADOPTION, "")
    word, _, message = text.partition(": ")
    return (AdoptionState(word), message) if word in set(AdoptionState) else (None, "")
