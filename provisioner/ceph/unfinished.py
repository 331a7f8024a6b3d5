"""What was begun with an image and not finished, written on the image itself.

Work that goes on for long and loses data on its way (removing, rolling back, shrinking) is first written down in the
image's metadata. Whoever looks after a crash sees that the image is not whole, and what to do about it.
"""

import contextlib
import errno
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from provisioner.ceph import metadata
from provisioner.ceph.errors import InUse, Missing
from provisioner.ceph.headers import Header
from provisioner.ceph.where import image_errors

UNFINISHED = "sutler.dev/unfinished"
"""Metadata key: what was begun and not finished, as a word of `Work`, the operation's identifier and the image's id.

Version 0.1.0 wrote no id.
"""


class Work(StrEnum):
    REMOVE = "remove"
    ROLLBACK = "rollback"
    SHRINK = "shrink"


_WAY_OUT = {
    Work.REMOVE: "its removal was begun and some of its data is gone: delete it, or purge it where it is in the trash",
    Work.ROLLBACK: "rolling it back was begun, it is neither the old nor the new; roll it back again",
    Work.SHRINK: "shrinking it was begun and data at its end is gone; shrink it again",
}


def begun(said: Mapping[str, str], identifier: str) -> tuple[str, str]:
    """The work that was begun with the image of this id, and the operation; empty, if none was.

    A copy has the mark of the image that it was made of, and is whole.
    """
    word, operation, of = (*said.get(UNFINISHED, "").split(" "), "", "")[:3]
    return ("", "") if of and of != identifier else (word, operation)


def unfinished(found: Header) -> str | None:
    """What was begun with the image and what to do about it, in words."""
    word, _ = begun(found.metadata, found.id)
    if not word:
        return None
    return _WAY_OUT[Work(word)] if word in set(Work) else f"{word} was begun"


def operation_of(found: Header) -> str | None:
    """The identifier of what was begun with the image."""
    return begun(found.metadata, found.id)[1] or None


def require_whole(target: str, found: Header, finishes: tuple[Work, ...] = ()) -> None:
    what = unfinished(found)
    if what and begun(found.metadata, found.id)[0] not in finishes:
        raise InUse(f"{target} is not whole: {what}", code=errno.EBUSY)


def mark(ioctx: Any, identifier: str, work: Work, operation: str) -> None:
    with image_errors("writing the metadata of", f"image id {identifier}"):
        text = metadata.encode_map({UNFINISHED: f"{work} {operation} {identifier}"})
        ioctx.execute(metadata.HEADER + identifier, metadata.CLASS, "metadata_set", text)


@contextlib.contextmanager
def marked(ioctx: Any, identifier: str, work: Work, operation: str) -> Iterator[None]:
    """Stays marked when what is inside fails: nobody knows how far it came."""
    mark(ioctx, identifier, work, operation)
    yield
    unmark(ioctx, identifier)


def unmark(ioctx: Any, identifier: str) -> None:
    with contextlib.suppress(Missing), image_errors("writing the metadata of", f"image id {identifier}"):
        key = UNFINISHED.encode()
        ioctx.execute(
            metadata.HEADER + identifier, metadata.CLASS, "metadata_remove", len(key).to_bytes(4, "little") + key
        )
