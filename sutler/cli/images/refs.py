"""How pools, images and snapshots are written on the command line: as rbd writes them."""

from typing import Annotated, Any, NamedTuple

import typer

from sutler.cli.output import UsageError

Image = Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The image.")]
Snapshot = Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE@SNAPSHOT", help="The snapshot.")]
Where = Annotated[str, typer.Argument(metavar="POOL[/NAMESPACE]", help="The pool.")]
Force = Annotated[bool, typer.Option("--force", help="Although it belongs to a claim.")]


class PoolRef(NamedTuple):
    pool: str
    namespace: str


class ImageRef(NamedTuple):
    pool: str
    namespace: str
    image: str

    @property
    def path(self) -> tuple[str, ...]:
        """Below /api/v1; the namespace is a parameter beside it."""
        return ("pools", self.pool, "images", self.image)


class SnapshotRef(NamedTuple):
    of: ImageRef
    snapshot: str

    @property
    def path(self) -> tuple[str, ...]:
        return (*self.of.path, "snapshots", self.snapshot)


def place(text: str) -> PoolRef:
    pool, _, namespace = text.partition("/")
    if not pool or "/" in namespace:
        raise UsageError(f"{text!r} is not POOL or POOL/NAMESPACE")
    return PoolRef(pool, namespace)


def image(text: str) -> ImageRef:
    match text.split("/"):
        case [pool, name] if pool and name:
            return ImageRef(pool, "", name)
        case [pool, namespace, name] if pool and namespace and name:
            return ImageRef(pool, namespace, name)
    raise UsageError(f"{text!r} is not POOL/IMAGE or POOL/NAMESPACE/IMAGE")


def snapshot(text: str) -> SnapshotRef:
    before, at, name = text.rpartition("@")
    if not at or not name:
        raise UsageError(f"{text!r} is not POOL/IMAGE@SNAPSHOT or POOL/NAMESPACE/IMAGE@SNAPSHOT")
    return SnapshotRef(image(before), name)


def size(text: str) -> int | str:
    """As the API takes it: a number for bytes, else a quantity."""
    return int(text) if text.isdecimal() else text


def claim(found: dict[str, Any] | None) -> str:
    """Which PersistentVolumeClaim, for a column."""
    if found is None:
        return "-"
    return f"{found['namespace']}/{found['name']}" if found["name"] else found["volume"] or found["uid"] or "-"
