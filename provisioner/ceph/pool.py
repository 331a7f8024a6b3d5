"""The images of one pool, or of one RADOS namespace in it, for asynchronous callers."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from provisioner.ceph import (
    adoption,
    csi_journal,
    directory,
    fast_create,
    image_lookup,
    image_metadata,
    images,
    metadata_update,
    placement,
    removal,
)
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import ImageMissing, PoolMissing, image_label
from provisioner.ceph.images import Fence
from provisioner.ceph.model import ImageQuery, ImageSpec, JournalEntry, ListedImage, MovedToTrash, PoolSpace, RbdImage
from provisioner.ceph.removal_progress import ReportProgress, ignore_progress
from provisioner.ceph.snapshot_calls import SnapshotCalls
from provisioner.ceph.thread_pool import LastActivity

if TYPE_CHECKING:
    from provisioner.ceph.cluster import CephCluster

T = TypeVar("T")


class RbdPool(SnapshotCalls):
    """Runs the blocking calls of this package in threads. Every method raises CephError."""

    def __init__(self, cluster: "CephCluster", name: str, namespace: str, number: int | None = None) -> None:
        """With a `number`, the pool is addressed by it, and `name` is used in errors only."""
        self._cluster = cluster
        self._pool = name if number is None else number
        self.name = name
        self.namespace = namespace

    async def number(self) -> int:
        return await self._do("number", lambda ioctx: int(ioctx.get_pool_id()))

    async def create(
        self, spec: ImageSpec, *, owner: str, fence: Fence, entry: JournalEntry | None = None
    ) -> tuple[int, str]:
        """Creates the image or confirms that it exists. Returns the number of the pool and the image's id."""

        def work(connection: Connection) -> tuple[int, str]:
            ioctx, shaped = placement.prepare_creation(connection, self._pool, self.namespace, spec)
            try:
                return ioctx.get_pool_id(), images.create(ioctx, shaped, owner, fence, entry)
            except ImageMissing:
                # ENOENT may be about the namespace or the data pool.
                images.require_namespace(ioctx, self.namespace)
                if shaped.data_pool is not None:
                    connection.ioctx(shaped.data_pool)
                raise

        return await self._cluster.run("create", work, key=self._key(spec.name), pool=self.name)

    async def describe(self, name: str) -> RbdImage:
        return await self._do("describe", lambda ioctx: images.describe(ioctx, name))

    async def get_metadata(self, identifier: str) -> dict[str, str]:
        return await self._do("metadata", lambda ioctx: image_metadata.read_metadata(ioctx, identifier))

    async def get_size(self, identifier: str) -> int:
        """Bytes of the image, in the trash or outside of it."""
        return await self._do("size", lambda ioctx: images.get_size(ioctx, identifier))

    async def list_images(self) -> list[ListedImage]:
        def work(connection: Connection) -> list[ListedImage]:
            found = images.list_images(connection.ioctx(self._pool, self.namespace))
            # librbd returns no images for a pool that was just deleted; the second call raises PoolMissing then.
            return found or images.list_images(connection.ioctx(self._pool, self.namespace))

        return await self._cluster.run("list", work, pool=self.name)

    async def resize(self, name: str, size: int, *, fence: Fence) -> int:
        return await self._do("resize", lambda ioctx: images.resize(ioctx, name, size, fence), name)

    async def set_limits(self, identifier: str, metadata: Mapping[str, str], *, fence: Fence) -> None:
        """Sets the limits of the image to those in the metadata, and removes all others; see sutler.volumes.limits."""

        def work(ioctx: Any) -> None:
            found = image_metadata.read_metadata(ioctx, identifier)
            metadata_update.update_limits(ioctx, identifier, found, metadata, fence)

        await self._do("limits", work, identifier)

    async def find(self, sought: ImageQuery) -> RbdImage | None:
        """The image that the query identifies, also after a rename; see provisioner.ceph.image_lookup."""
        return await self._do("find", lambda ioctx: image_lookup.find(ioctx, sought))

    async def list_claimants(self, kubernetes: str) -> dict[str, list[tuple[str, bool | None]]]:
        """The images that name each owner. Reads the headers of all images of the pool."""
        return await self._do("claimants", lambda ioctx: image_lookup.list_claimants(ioctx, kubernetes))

    async def has_image(self, sought: ImageQuery) -> bool:
        return await self._do("holds", lambda ioctx: image_lookup.has_image(ioctx, sought))

    async def remove(self, sought: ImageQuery, *, fence: Fence) -> str | None:
        """Removes the image that the query identifies, unless something depends on it.

        A large image is only moved to the trash. Its id is returned, for `purge`.
        """

        def work(connection: Connection, ioctx: Any) -> str | None:
            return removal.remove(connection, ioctx, sought, fence)

        return await self._with("remove", work, sought.name, slow=True)

    async def move_to_trash(self, sought: ImageQuery, *, delay: int, fence: Fence) -> None:
        await self._do("trash", lambda ioctx: removal.move_to_trash(ioctx, sought, fence, delay=delay), sought.name)

    async def remove_journal_entry(self, entry: JournalEntry, *, fence: Fence) -> None:
        """Removes the entry of a removed image from ceph-csi's journal."""

        def work(ioctx: Any) -> None:
            fence()
            csi_journal.remove(ioctx, entry)

        await self._do("drop", work, entry.image)

    async def list_trash(self) -> list[MovedToTrash]:
        return await self._do("trash_list", removal.list_trash)

    async def count_objects(self, identifier: str) -> int:
        """The number of objects that the image can have, in the trash or outside of it; 0 if it does not exist."""
        found = await self._do("objects", lambda ioctx: directory.find_header(ioctx, identifier))
        return found.max_objects if found is not None else 0

    async def purge(
        self,
        identifier: str,
        *,
        fence: Fence,
        progress: ReportProgress = ignore_progress,
        last_activity: LastActivity | None = None,
    ) -> None:
        """Removes an image from the trash. `progress` is called by a thread, `last_activity` tells when it last was."""

        def work(connection: Connection, ioctx: Any) -> None:
            removal.purge(connection, ioctx, identifier, fence, progress)

        await self._with("trash_remove", work, identifier, slow=True, last_activity=last_activity)

    async def restore(self, identifier: str, name: str, *, fence: Fence) -> None:
        await self._do("trash_restore", lambda ioctx: removal.restore(ioctx, identifier, name, fence), name)

    async def claim_ownership(
        self, name: str, judge: Callable[[RbdImage], None], metadata: Mapping[str, str], *, fence: Fence
    ) -> RbdImage:
        """Writes metadata to an existing image. `judge` gets the image right before, and raises to prevent it."""
        return await self._do("own", lambda ioctx: adoption.claim_ownership(ioctx, name, judge, metadata, fence), name)

    async def restore_with_metadata(
        self, identifier: str, name: str, judge: adoption.CheckMetadata, metadata: Mapping[str, str], *, fence: Fence
    ) -> None:
        """Restores the image from the trash. The metadata is written first."""
        await self._do(
            "restore",
            lambda ioctx: adoption.restore_with_metadata(ioctx, identifier, name, judge, metadata, fence=fence),
            name,
        )

    async def remove_metadata_key(self, name: str, identifier: str, key: str, *, fence: Fence) -> None:
        """Removes one key from the image's metadata."""
        await self._do("forget", lambda ioctx: adoption.remove_metadata_key(ioctx, identifier, key, fence), name)

    async def list_journal(self, wanted: Callable[[JournalEntry], bool]) -> list[tuple[JournalEntry, str | None]]:
        """The entries of ceph-csi's journal that are `wanted`; see provisioner.ceph.csi_journal."""
        return await self._do("entries", lambda ioctx: csi_journal.list_entries(ioctx, wanted))

    async def remove_incomplete(
        self, name: str, identifier: str, *, fence: Fence, entry: JournalEntry | None = None
    ) -> None:
        """Removes what an interrupted `create` has left without an image: a name, and an entry in the journal."""

        def work(ioctx: Any) -> None:
            fence()
            fast_create.remove_incomplete(ioctx, name, identifier, image_label(ioctx, name))
            if entry is not None:
                csi_journal.remove(ioctx, entry)

        await self._do("clear", work, name)

    async def space(self) -> PoolSpace:
        return await self._cluster.run("space", lambda connection: connection.pool_space(self.name))

    async def exists(self) -> bool:
        """Returns False only if the cluster's map has no such pool, not for a lack of permission."""
        try:
            await self._cluster.run("pool", lambda connection: connection.ioctx(self._pool))
        except PoolMissing:
            return False
        return True

    async def _do(self, operation: str, work: Callable[[Any], T], changes: str = "") -> T:
        return await self._with(operation, lambda _, ioctx: work(ioctx), changes)

    async def _with(
        self,
        operation: str,
        work: Callable[[Connection, Any], T],
        changes: str,
        *,
        slow: bool = False,
        last_activity: LastActivity | None = None,
    ) -> T:
        def run(connection: Connection) -> T:
            ioctx = connection.ioctx(self._pool, self.namespace)
            try:
                return work(connection, ioctx)
            except ImageMissing:
                # The pool or the namespace may have been deleted meanwhile, and everything in it.
                images.require_namespace(connection.ioctx(self._pool, self.namespace), self.namespace)
                raise

        key = self._key(changes) if changes else ""
        return await self._cluster.run(operation, run, key=key, pool=self.name, slow=slow, last_activity=last_activity)

    def _key(self, image: str) -> str:
        return f"image {self.name}/{self.namespace}/{image}"
