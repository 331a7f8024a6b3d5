"""The names of PersistentVolumes. Pure: no I/O."""

import re

_PREFIX = "pvc-"
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def volume_name(uid: str) -> str:
    """Returns the name of the PersistentVolume for the claim with this UID."""
    return f"{_PREFIX}{uid}"


def owner_uid(volume: str) -> str:
    """Returns the UID of the claim that the volume was provisioned for; empty for a name of another form.

    The claimRef can't be used for this: a volume that was bound again names another claim there.
    """
    uid = volume.removeprefix(_PREFIX)
    return uid if uid != volume and _UID.fullmatch(uid) else ""
