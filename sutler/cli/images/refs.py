"""Pools, images and snapshots as arguments, in the notation of the rbd command."""

from typing import Annotated, Any, NamedTuple

import typer

from sutler.cli.exit_codes import UsageError

Image = Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE", help="The image.")]
Snapshot = Annotated[str, typer.Argument(metavar="POOL/[NAMESPACE/]IMAGE@SNAPSHOT", help="The snapshot.")]
Pool = Annotated[str, typer.Argument(metavar="POOL[/NAMESPACE]", help="The pool.")]
Force = Annotated[bool, typer.Option("--force", help="Apply the change even if the image belongs to a claim.")]


class PoolRef(NamedTuple):
    """A pool, and a namespace in it, which may be empty."""

    pool: str
    namespace: str


class ImageRef(NamedTuple):
    """The address of an image; the namespace may be empty."""

    pool: str
    namespace: str
    image: str

    @property
    def path(self) -> tuple[str, ...]:
        """The path below /api/v1; the namespace is a query parameter."""
        return ("pools", self.pool, "images", self.image)


class SnapshotRef(NamedTuple):
    image: ImageRef
    snapshot: str

    @property
    def path(self) -> tuple[str, ...]:
        return (*self.image.path, "snapshots", self.snapshot)


def parse_pool(text: str) -> PoolRef:
    pool, _, namespace = text.partition("/")
    if not pool or "/" in namespace:
        raise UsageError(f"{text!r} is not POOL or POOL/NAMESPACE")
    return PoolRef(pool, namespace)


def parse_image(text: str) -> ImageRef:
    match text.split("/"):
        case [pool, name] if pool and name:
            return ImageRef(pool, "", name)
        case [pool, namespace, name] if pool and namespace and name:
            return ImageRef(pool, namespace, name)
    raise UsageError(f"{text!r} is not POOL/IMAGE or POOL/NAMESPACE/IMAGE")


def parse_snapshot(text: str) -> SnapshotRef:
    before, at, name = text.rpartition("@")
    if not at or not name:
        raise UsageError(f"{text!r} is not POOL/IMAGE@SNAPSHOT or POOL/NAMESPACE/IMAGE@SNAPSHOT")
    return SnapshotRef(parse_image(before), name)


def parse_size(text: str) -> int | str:
    """A size for a request body: a number of bytes, or a quantity as text."""
    return int(text) if text.isdecimal() else text


def render_claim(found: dict[str, Any] | None) -> str:
    """The PersistentVolumeClaim of an image, for a column."""
    if found is None:
        return "-"
    return f"{found['namespace']}/{found['name']}" if found["name"] else found["volume"] or found["uid"] or "-"
