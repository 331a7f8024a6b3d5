"""The message about a volume that nodes still have attached. Pure: no I/O."""

from collections.abc import Iterable

MOST_NAMED = 3
"""The most VolumeAttachments that the message names."""


def attachment_message(attachments: Iterable[tuple[str, str]]) -> str:
    """Returns why the volume is not deleted yet. Each attachment is the name of a VolumeAttachment and of its node."""
    found = sorted(attachments)
    named = ", ".join(f"node {node} (VolumeAttachment {name})" for name, node in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    delete = " ".join(name for name, _ in found[:MOST_NAMED])
    return (
        f"the volume is still attached to {named}{more}; Sutler deletes it once it is detached. "
        f"If that node is gone permanently: kubectl delete volumeattachment {delete}"
    )
