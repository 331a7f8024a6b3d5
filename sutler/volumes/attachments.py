"""What is said of a volume that a node still has: pure."""

from collections.abc import Iterable

MOST = 3
"""VolumeAttachments named in a text."""


def in_words(attachments: Iterable[tuple[str, str]]) -> str:
    """`attachments`: the name of the VolumeAttachment and of its node, of each."""
    found = sorted(attachments)
    named = ", ".join(f"node {node} (VolumeAttachment {name})" for name, node in found[:MOST])
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    delete = " ".join(name for name, _ in found[:MOST])
    return (
        f"it is still attached to {named}{more}, and goes when it is detached; "
        f"if that node is gone for good: kubectl delete volumeattachment {delete}"
    )
