# ruff: noqa: N818 - errors of Ceph are named after the condition, without a suffix
"""Errors of Ceph, and the names of pools and images in their texts.

::

    CephError
    ├── MissingBinding      the Python modules rados and rbd are not installed
    ├── InvalidArgument     Ceph rejects the request: repeating it changes nothing
    ├── Missing             ├── ImageMissing   ├── PoolMissing   └── NamespaceMissing
    ├── ImageTaken          the name belongs to another image
    ├── InUse               watchers, snapshots or clones depend on the image
    ├── NoSpace             the pool is full or over its quota
    ├── Unreadable          a name is not UTF-8, and the Python binding cannot decode it
    ├── Denied              the Ceph user lacks a permission
    │   └── NotConnected        the connection failed: no configuration, or no key
    │       └── KeyUnusable     there is a key, and librados or the monitors do not accept it
    ├── CephUnavailable     nothing was sent: there is no connection, or Ceph is known not to answer
    └── OutcomeUnknown      the request was sent and not answered: it may or may not have been carried out

Every text names the operation, its target, the errno with its name, and what is accepted instead.
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
        """The positive errno that Ceph returned; None if there was none."""


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
        """Seconds; an earlier retry fails the same way."""


class OutcomeUnknown(CephError):
    pass


DISCONNECTED = errno.ESHUTDOWN
"""The errno of every call of a blocklisted client. Only a new connection helps."""

# errno → error class and text. Where one errno has several causes, the caller finds out which one it is.
_MEANINGS: dict[int, tuple[type[CephError], str]] = {
    errno.EPERM: (Denied, "permission denied: check the Ceph user's caps"),
    errno.EACCES: (Denied, "permission denied: check the Ceph user's key and caps"),
    errno.ENOENT: (Missing, "it does not exist"),
    errno.EEXIST: (ImageTaken, "the name is taken"),
    errno.EBUSY: (InUse, "it is in use"),
    errno.ENOTEMPTY: (InUse, "it has snapshots"),
    errno.EINVAL: (InvalidArgument, "Ceph rejects the parameters: check features, object size and striping"),
    errno.EDOM: (InvalidArgument, "the object order is out of range: 12 to 25 (objects of 4 KiB to 32 MiB)"),
    errno.ENOSYS: (InvalidArgument, "this release of Ceph does not support one of the image features"),
    errno.EOPNOTSUPP: (InvalidArgument, "the pool or this release of Ceph does not support it"),
    errno.ENAMETOOLONG: (InvalidArgument, "the name is too long"),
    errno.EROFS: (InUse, "the image is read-only: change a mirrored image at its primary site"),
    errno.EMLINK: (InUse, "it is a member of a group: remove it from the group (rbd group image rm)"),
    errno.EFBIG: (InvalidArgument, "it is too large"),
    errno.ENOSPC: (NoSpace, "the pool is full"),
    errno.EDQUOT: (NoSpace, "the pool is full or over its quota"),
    errno.ETIMEDOUT: (OutcomeUnknown, "Ceph did not answer in time"),
    errno.ESHUTDOWN: (OutcomeUnknown, "Ceph has blocklisted this client"),
    errno.ENOTCONN: (CephUnavailable, "not connected"),
    errno.ECONNREFUSED: (CephUnavailable, "no monitor answers"),
}


_CREATING = frozenset({"creating", "cloning"})
"""Operations that take parameters of an image."""

_LONGEST_TARGET = 256
"""Characters of a target in a text: users choose the names in it."""


def errno_name(code: int) -> str:
    """`ENOENT` for 2."""
    return errno.errorcode.get(code, f"errno {code}")


@contextmanager
def translated(operation: str, target: str) -> Iterator[None]:
    """Translates errors of rados and rbd inside of it by their `errno`, which may have either sign."""
    try:
        yield
    except CephError:
        raise
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"{operation} {target}: a name is not UTF-8, and Ceph's Python binding cannot decode it: rename or remove "
            "the object with that name"
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
            "Ceph rejects the image in its present state: it may be mirrored and not primary, being migrated, or of "
            "format 1"
        )
    target = target if len(target) <= _LONGEST_TARGET else f"{target[:_LONGEST_TARGET]}..."
    return kind(f"{operation} {target}: {meaning} ({errno_name(code)}, {code})", code=code)


def pool_label(ioctx: Any) -> str:
    """The pool's name; its number as text if the pool has been deleted, because the number is all that is left."""
    number = str(ioctx.get_pool_id())
    try:
        with translated("looking up", f"pool number {number}"):
            return str(ioctx.get_pool_name())
    except CephError:
        return number


def pool_path(ioctx: Any) -> str:
    """`pool` or `pool/namespace`."""
    name, namespace = pool_label(ioctx), ioctx.get_namespace()
    return f"{name}/{namespace}" if namespace else name


def image_label(ioctx: Any, name: str) -> str:
    """`image pool/[namespace/]name`."""
    return f"image {pool_path(ioctx)}/{name}"


def clone_path(child: Mapping[str, Any]) -> str:
    """`pool/[namespace/]image` of one of the children that librbd lists, and whether it is in the trash."""
    where = "/".join(part for part in (child["pool"], child["pool_namespace"], child["image"]) if part)
    return f"{where} (in the trash)" if child["trash"] else where


@contextmanager
def image_errors(operation: str, target: str) -> Iterator[None]:
    """Translates errors as `translated` does, and ENOENT to ImageMissing."""
    try:
        with translated(operation, target):
            yield
    except Missing as error:
        raise ImageMissing(str(error), code=error.code) from error.__cause__


def first_names(names: tuple[str, ...], most: int = 5) -> str:
    """`a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
