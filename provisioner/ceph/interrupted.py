"""What was begun with an image and not finished, written on the image itself.

Work that goes on for long and loses data on its way (removing, rolling back, shrinking) is written down in the image's
metadata when data begin to go. After a crash the image tells that it is not whole, and what to do about it.

Copies and clones inherit metadata, so a mark names the image that it is about by its id. A mark of version 0.1.0 names
it too, inside the operation's identifier.
"""

import base64
import binascii
import contextlib
import errno
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provisioner.ceph import cls_rbd
from provisioner.ceph.errors import CephError, InUse, Missing, image_errors
from provisioner.ceph.image_header import ImageHeader

UNFINISHED = "sutler.dev/unfinished"
"""Metadata key: a word of `InterruptedWork`, the operation's identifier or "-", the id of the image.

Version 0.1.0 wrote no id.
"""

PROGRESS = "sutler.dev/progress"
"""Metadata key: how far the removal is (0 to 1), and when it began and was last seen, in seconds since 1970.

Written by whichever process removes the image, for all the others to see. Seen at 0: it was stopped.
"""

_NO_OPERATION = "-"
_ACTIVE_SECONDS = 120
"""Seconds for which a note of progress tells that the work goes on."""

_REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.EBUSY, errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP, errno.ENOTEMPTY}
)
"""What librbd answers before it touches any data. Whether the user may delete objects was tried before."""


class InterruptedWork(StrEnum):
    REMOVE = "remove"
    ROLLBACK = "rollback"
    SHRINK = "shrink"


_WAY_OUT = {
    InterruptedWork.REMOVE: (
        "its removal was begun and some of its data is gone: delete it, or purge it where it is in the trash"
    ),
    InterruptedWork.ROLLBACK: "rolling it back was begun, it is neither the old nor the new; roll it back again",
    InterruptedWork.SHRINK: "shrinking it was begun and data at its end is gone; shrink it again",
}
_WAY_OUT_OF_INEXACT = (
    "version 0.1 began to remove it, and perhaps stopped before any data was gone: check its content. If that is "
    f"whole, take the mark off (rbd image-meta remove IMAGE {UNFINISHED}); else delete it, or purge it in the trash"
)


@dataclass(frozen=True, slots=True)
class InterruptedMark:
    word: str
    operation: str | None
    exact: bool
    """Version 0.1.0 marked images before librbd had agreed to remove them."""


def read_mark(said: Mapping[str, str], identifier: str) -> InterruptedMark | None:
    """The mark of the image with this id, in its metadata; None: it has none of its own.

    A copy has the mark of the image that it was made of, and is whole.
    """
    word, operation, of = (*said.get(UNFINISHED, "").split(" "), "", "")[:3]
    about = of or _image_id_of(operation)
    if not word or about not in {"", identifier}:
        return None
    return InterruptedMark(word, operation if operation not in {"", _NO_OPERATION} else None, exact=bool(of))


def interrupted_work(said: Mapping[str, str], identifier: str) -> str:
    """The work that was begun with the image of this id; empty, if none was."""
    mark = read_mark(said, identifier)
    return mark.word if mark else ""


def _image_id_of(operation: str) -> str:
    """Out of an operation's identifier, see provisioner.api.operations; empty if it is none."""
    try:
        parts = json.loads(base64.b64decode(operation + "=" * (-len(operation) % 4), altchars=b"-_", validate=True))
        return str(parts[4])
    except (binascii.Error, ValueError, TypeError, LookupError):
        return ""


def explain(found: ImageHeader) -> str | None:
    """What was begun with the image and what to do about it, in words."""
    mark = read_mark(found.metadata, found.id)
    if mark is None:
        return None
    if mark.word == InterruptedWork.REMOVE and not mark.exact:
        return _WAY_OUT_OF_INEXACT
    return _WAY_OUT[InterruptedWork(mark.word)] if mark.word in set(InterruptedWork) else f"{mark.word} was begun"


def operation_of(found: ImageHeader) -> str | None:
    """The identifier of what was begun with the image."""
    mark = read_mark(found.metadata, found.id)
    return mark.operation if mark else None


@dataclass(frozen=True, slots=True)
class RemovalProgress:
    done: float
    """0 to 1."""
    active: bool
    """Whether a process is at work on it, or was until just now."""
    left: int | None
    """Seconds, estimated; None while there is too little to go by, or when nothing is at work on it."""


def read_progress(found: ImageHeader, now: float) -> RemovalProgress | None:
    """How far the removal of the image is."""
    mark = read_mark(found.metadata, found.id)
    try:
        share, started, seen = found.metadata[PROGRESS].split(" ")
        done, begun, last = float(share), int(started), int(seen)
    except (KeyError, ValueError):
        return None
    if mark is None or mark.word != InterruptedWork.REMOVE or not 0 <= done <= 1:
        return None
    active = now - last < _ACTIVE_SECONDS
    if not active or not done or last <= begun:
        return RemovalProgress(done, active, None)
    return RemovalProgress(done, active, max(round((last - begun) * (1 - done) / done - (now - last)), 0))


def require_complete(target: str, found: ImageHeader, finishes: tuple[InterruptedWork, ...] = ()) -> None:
    mark, what = read_mark(found.metadata, found.id), explain(found)
    if mark and mark.word not in finishes:
        raise InUse(f"{target} is not whole: {what}", code=errno.EBUSY)


def write_mark(ioctx: Any, identifier: str, work: InterruptedWork, operation: str, *, progress: str = "") -> None:
    """`progress`: the note of that name."""
    written = {UNFINISHED: f"{work} {operation or _NO_OPERATION} {identifier}"}
    if progress:
        written[PROGRESS] = progress
    _write(ioctx, identifier, written)


@contextlib.contextmanager
def mark_held(ioctx: Any, found: ImageHeader, work: InterruptedWork, operation: str) -> Iterator[Callable[[], None]]:
    """Stays marked when what is inside fails: it is unknown how far it came.

    When librbd refuses it instead, the image is as it was, unless what is yielded was called: data are gone by then.
    """
    gone: list[bool] = []
    write_mark(ioctx, found.id, work, operation)
    try:
        yield lambda: gone.append(True)
    except CephError as error:
        if error.code in _REFUSALS and not gone:
            _restore_mark(ioctx, found)
        raise
    remove_mark(ioctx, found.id)


def _restore_mark(ioctx: Any, found: ImageHeader) -> None:
    before = found.metadata.get(UNFINISHED)
    if before is None:
        remove_mark(ioctx, found.id)
    else:
        _write(ioctx, found.id, {UNFINISHED: before})


def remove_mark(ioctx: Any, identifier: str) -> None:
    with contextlib.suppress(Missing), image_errors("writing the metadata of", f"image id {identifier}"):
        key = UNFINISHED.encode()
        ioctx.execute(
            cls_rbd.HEADER_PREFIX + identifier,
            cls_rbd.CLASS_NAME,
            "metadata_remove",
            len(key).to_bytes(4, "little") + key,
        )


def _write(ioctx: Any, identifier: str, written: dict[str, str]) -> None:
    with image_errors("writing the metadata of", f"image id {identifier}"):
        ioctx.execute(
            cls_rbd.HEADER_PREFIX + identifier, cls_rbd.CLASS_NAME, "metadata_set", cls_rbd.encode_map(written)
        )
