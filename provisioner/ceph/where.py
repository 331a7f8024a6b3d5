"""How error texts call an image, and "does not exist" said of the image."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.ceph.errors import ImageMissing, Missing, translated


def pool_path(ioctx: Any) -> str:
    name, namespace = ioctx.get_pool_name(), ioctx.get_namespace()
    return f"{name}/{namespace}" if namespace else str(name)


def image_label(ioctx: Any, name: str) -> str:
    return f"image {pool_path(ioctx)}/{name}"


def clone_path(child: Mapping[str, Any]) -> str:
    """One of librbd's children of an image, wherever it lies."""
    where = "/".join(part for part in (child["pool"], child["pool_namespace"], child["image"]) if part)
    return f"{where} (in the trash)" if child["trash"] else where


@contextlib.contextmanager
def image_errors(operation: str, target: str) -> Iterator[None]:
    try:
        with translated(operation, target):
            yield
    except Missing as error:
        raise ImageMissing(str(error), code=error.code) from error.__cause__


def first_names(names: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
