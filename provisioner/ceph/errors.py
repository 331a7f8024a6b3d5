# ruff: noqa: N818 - named after what happened, as all of them
"""What can go wrong with Ceph, in our own words.

::

    CephError
    ├── MissingBinding      the Python modules rados and rbd are not installed
    ├── BadRequest          Ceph can't make what was asked for: asking again changes nothing
    ├── Missing             ├── ImageMissing   ├── PoolMissing   └── NamespaceMissing
    ├── ImageTaken          the name is used by an image that is not the one we meant
    ├── InUse               watchers, snapshots or clones are in the way
    ├── NoSpace             the pool is full or over its quota
    ├── Unreadable          a name is not UTF-8, and the binding can't read it
    ├── Denied              the Ceph user may not
    │   └── NotConnected        nobody may: there is no configuration or no key for the connection itself
    │       └── KeyUnusable     there is a key, and librados or the monitors can't use it
    ├── Unavailable         nothing was sent: no connection, or Ceph is known not to answer now
    └── OutcomeUnknown      sent, and no answer: it may or may not have been done

Every text names the operation, its target, the errno with its name, and what is accepted instead. The seed's "ret=-33"
told nobody that an object order was out of range.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sutler.errors import SutlerError


class CephError(SutlerError):
    def __init__(self, text: str, *, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        """The errno behind it, positive; None where there was none."""


class MissingBinding(CephError):
    pass


class InvalidArgument(CephError):
    pass


class Missing(CephError):
    pass


class ImageMissing(Missing):
    pass


class PoolMissing(Missing):
    pass


class NamespaceMissing(Missing):
    pass


class ImageTaken(CephError):
    pass


class InUse(CephError):
    pass


class NoSpace(CephError):
    pass


class Unreadable(CephError):
    pass


class Denied(CephError):
    pass


class NotConnected(Denied):
    pass


class KeyUnusable(NotConnected):
    pass


class CephUnavailable(CephError):
    def __init__(self, text: str, *, code: int | None = None, retry_after: float = 2.0) -> None:
        super().__init__(text, code=code)
        self.retry_after = retry_after
        """Seconds; asking sooner is answered the same way."""


class OutcomeUnknown(CephError):
    pass


DISCONNECTED = errno.ESHUTDOWN
"""What a blocklisted client gets for everything, for ever: it needs a new connection."""

# errno → what it is to us, and what it means. Where one errno has several causes, the caller finds out which.
_MEANINGS: dict[int, tuple[type[CephError], str]] = {
    errno.EPERM: (Denied, "the Ceph user may not: check its caps"),
    errno.EACCES: (Denied, "the Ceph user may not: check its key and caps"),
    errno.ENOENT: (Missing, "it does not exist"),
    errno.EEXIST: (ImageTaken, "the name is taken"),
    errno.EBUSY: (InUse, "it is in use"),
    errno.ENOTEMPTY: (InUse, "it has snapshots"),
    errno.EINVAL: (InvalidArgument, "Ceph does not accept the parameters: check features, object size and striping"),
    errno.EDOM: (InvalidArgument, "the object order is out of range: 12 to 25, that is objects of 4 KiB to 32 MiB"),
    errno.ENOSYS: (InvalidArgument, "this Ceph does not know one of the image features"),
    errno.EOPNOTSUPP: (InvalidArgument, "the pool or this Ceph does not support it"),
    errno.ENAMETOOLONG: (InvalidArgument, "the name is too long"),
    errno.EROFS: (InUse, "the image is read-only: a mirrored one can be changed only where it is primary"),
    errno.EMLINK: (InUse, "it is in a group: rbd group image rm takes it out"),
    errno.EFBIG: (InvalidArgument, "it is too large"),
    errno.ENOSPC: (NoSpace, "the pool is full"),
    errno.EDQUOT: (NoSpace, "the pool is full or over its quota"),
    errno.ETIMEDOUT: (OutcomeUnknown, "Ceph did not answer in time"),
    errno.ESHUTDOWN: (OutcomeUnknown, "Ceph has cut this client off (blocklisted)"),
    errno.ENOTCONN: (CephUnavailable, "not connected"),
    errno.ECONNREFUSED: (CephUnavailable, "no monitor answers"),
}


_CREATING = frozenset({"creating", "cloning"})
"""Operations with parameters of their own."""

_LONGEST_TARGET = 256
"""Characters of a target in a text: names come from users."""


def errno_name(code: int) -> str:
    return errno.errorcode.get(code, f"errno {code}")


@contextmanager
def translated(operation: str, target: str) -> Iterator[None]:
    """Turns what rados and rbd raise inside into ours. Both carry an `errno`, of either sign; nothing else is read."""
    try:
        yield
    except CephError:
        raise
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"{operation} {target}: a name there is not UTF-8, and Ceph's binding for Python can't read it: rename or "
            "remove what has it"
        ) from error
    except Exception as error:
        number = getattr(error, "errno", None)
        if not isinstance(number, int):
            raise
        raise from_errno(abs(number), operation, target) from error


def from_errno(code: int, operation: str, target: str) -> CephError:
    kind, meaning = _MEANINGS.get(code, (CephError, os.strerror(code).lower()))
    if code == errno.EINVAL and operation not in _CREATING:
        meaning = (
            "Ceph refuses it as it is: perhaps it is mirrored and not primary here, is being migrated, or has format 1"
        )
    target = target if len(target) <= _LONGEST_TARGET else f"{target[:_LONGEST_TARGET]}..."
    return kind(f"{operation} {target}: {meaning} ({errno_name(code)}, {code})", code=code)


def pool_path(ioctx: Any) -> str:
    name, namespace = ioctx.get_pool_name(), ioctx.get_namespace()
    return f"{name}/{namespace}" if namespace else str(name)


def image_label(ioctx: Any, name: str) -> str:
    return f"image {pool_path(ioctx)}/{name}"


def clone_path(child: Mapping[str, Any]) -> str:
    """One of librbd's children of an image, wherever it lies."""
    where = "/".join(part for part in (child["pool"], child["pool_namespace"], child["image"]) if part)
    return f"{where} (in the trash)" if child["trash"] else where


@contextmanager
def image_errors(operation: str, target: str) -> Iterator[None]:
    try:
        with translated(operation, target):
            yield
    except Missing as error:
        raise ImageMissing(str(error), code=error.code) from error.__cause__


def first_names(names: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
