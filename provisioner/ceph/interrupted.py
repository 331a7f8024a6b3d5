"""Marks images with work that loses data while it runs: removing, rolling back, shrinking.

The mark is metadata of the image, written when the first data is lost and removed when the work is finished. After a
crash the mark shows that the image is incomplete, and the way out.

Copies and clones inherit metadata, so a mark names the id of its image. A mark of version 0.1.0 has the id inside the
operation's identifier.
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

from provisioner.ceph.errors import CephError, InUse
from provisioner.ceph.image_header import ImageHeader
from provisioner.ceph.image_metadata import remove_key, write_metadata
from sutler import well_known

_NO_OPERATION = "-"
_ACTIVE_SECONDS = 120
"""Seconds after the last update for which a removal counts as running."""

_REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.EBUSY, errno.EINVAL, errno.ENOENT, errno.EOPNOTSUPP, errno.ENOTEMPTY}
)
"""Errors that librbd returns before it changes any data. The right to remove objects is checked before that."""


class InterruptedWork(StrEnum):
    REMOVE = "remove"
    ROLLBACK = "rollback"
    SHRINK = "shrink"


_WAY_OUT = {
    InterruptedWork.REMOVE: (
        "its removal has begun and some of its data is lost: delete it, or purge it if it is in the trash"
    ),
    InterruptedWork.ROLLBACK: "a rollback has begun and the image is a mix of old and new data; roll it back again",
    InterruptedWork.SHRINK: "shrinking has begun and data at its end is lost; shrink it again",
}
_WAY_OUT_OF_INEXACT = (
    "version 0.1 began to remove it, and may have stopped before any data was lost: check its content. If the content "
    f"is complete, remove the mark (rbd image-meta remove IMAGE {well_known.UNFINISHED}); otherwise delete the image, "
    "or purge it if it is in the trash"
)


@dataclass(frozen=True, slots=True)
class InterruptedMark:
    word: str
    """A value of `InterruptedWork`, or one of a newer version."""
    operation: str | None
    """The operation's identifier; None for work that no operation of the REST API did."""
    exact: bool
    """The mark was written when data was lost. Version 0.1.0 wrote it before librbd had accepted the removal."""


def read_mark(metadata: Mapping[str, str], identifier: str) -> InterruptedMark | None:
    """The mark of the image with this id, out of its metadata; None if it has none of its own.

    A copy carries the mark of the image that it was copied from, and is complete itself.
    """
    word, operation, of = (*metadata.get(well_known.UNFINISHED, "").split(" "), "", "")[:3]
    about = of or _image_id_of(operation)
    if not word or about not in {"", identifier}:
        return None
    return InterruptedMark(word, operation if operation not in {"", _NO_OPERATION} else None, exact=bool(of))


def interrupted_work(metadata: Mapping[str, str], identifier: str) -> str:
    """The interrupted work on the image with this id; empty if there is none."""
    mark = read_mark(metadata, identifier)
    return mark.word if mark else ""


def _image_id_of(operation: str) -> str:
    """The image's id out of an operation's identifier (see provisioner.api.operations); empty if it is not one."""
    try:
        parts = json.loads(base64.b64decode(operation + "=" * (-len(operation) % 4), altchars=b"-_", validate=True))
        return str(parts[4])
    except (binascii.Error, ValueError, TypeError, LookupError):
        return ""


def explain(found: ImageHeader) -> str | None:
    """The interrupted work on the image and its way out, in words; None if there is none."""
    mark = read_mark(found.metadata, found.id)
    if mark is None:
        return None
    if mark.word == InterruptedWork.REMOVE and not mark.exact:
        return _WAY_OUT_OF_INEXACT
    return _WAY_OUT[InterruptedWork(mark.word)] if mark.word in set(InterruptedWork) else f"{mark.word} has begun"


def operation_of(found: ImageHeader) -> str | None:
    """The identifier of the interrupted operation on the image."""
    mark = read_mark(found.metadata, found.id)
    return mark.operation if mark else None


@dataclass(frozen=True, slots=True)
class RemovalProgress:
    done: float
    """The removed share, 0 to 1."""
    active: bool
    """A process has updated the progress within the last two minutes."""
    left: int | None
    """Estimated seconds until the end; None if nothing removes it, or too early to estimate."""


def read_progress(found: ImageHeader, now: float) -> RemovalProgress | None:
    """The progress of the image's removal; None if it is not being removed. `now`: seconds since 1970."""
    mark = read_mark(found.metadata, found.id)
    try:
        share, started, seen = found.metadata[well_known.PROGRESS].split(" ")
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
    """Raises InUse for an image with interrupted work, except work that the caller `finishes`."""
    mark, what = read_mark(found.metadata, found.id), explain(found)
    if mark and mark.word not in finishes:
        raise InUse(f"{target} is incomplete: {what}", code=errno.EBUSY)


def write_mark(ioctx: Any, identifier: str, work: InterruptedWork, operation: str, *, progress: str = "") -> None:
    """Writes the mark, and with it the value of well_known.PROGRESS if there is one."""
    written = {well_known.UNFINISHED: f"{work} {operation or _NO_OPERATION} {identifier}"}
    if progress:
        written[well_known.PROGRESS] = progress
    write_metadata(ioctx, identifier, written)


@contextlib.contextmanager
def mark_held(ioctx: Any, found: ImageHeader, work: InterruptedWork, operation: str) -> Iterator[Callable[[], None]]:
    """Marks the image while the body runs. The mark stays if the body fails, since data may be lost.

    If librbd rejects the work before it changes data, the former mark is restored. Call what is yielded once data is
    lost: then the mark stays in any case.
    """
    gone: list[bool] = []
    write_mark(ioctx, found.id, work, operation)
    try:
        yield lambda: gone.append(True)
    except CephError as error:
        if error.code in _REFUSALS and not gone:
            _restore_mark(ioctx, found)
        raise
    remove_key(ioctx, found.id, well_known.UNFINISHED)


def _restore_mark(ioctx: Any, found: ImageHeader) -> None:
    before = found.metadata.get(well_known.UNFINISHED)
    if before is None:
        remove_key(ioctx, found.id, well_known.UNFINISHED)
    else:
        write_metadata(ioctx, found.id, {well_known.UNFINISHED: before})
