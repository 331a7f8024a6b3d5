"""The images of one pool, or of one RADOS namespace in it, for asynchronous callers."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from provisioner.ceph import adoption, csi_journal, directory, fast_create, image_lookup, images, placement, removal
from provisioner.ceph.connection import Connection
from provisioner.ceph.errors import ImageMissing, PoolMissing
from provisioner.ceph.errors import image_label as image_text
from provisioner.ceph.images import Fence
from provisioner.ceph.model import ImageQuery, ImageSpec, JournalEntry, ListedImage, MovedToTrash, PoolSpace, RbdImage
from provisioner.ceph.removal_progress import ReportProgress, ignore_progress
from provisioner.ceph.thread_pool import LastActivity

if TYPE_CHECKING:
    from provisioner.ceph.cluster import CephCluster

T = TypeVar("T")


class RbdPool:
    """Every method raises CephError; see provisioner.ceph.images for what each one promises."""

    def __init__(self, cluster: "CephCluster", name: str, namespace: str, number: int | None = None) -> None:
        """`number`: the pool is found by it, and `name` is what people know it by."""
        self._cluster = cluster
        self._pool = name if number is None else number
        self.name = name
        self.namespace = namespace

    async def number(self) -> int:
        """The pool's id."""
        return await self._do("number", lambda ioctx: int(ioctx.get_pool_id()))

    async def create(
        self, spec: ImageSpec, *, owner: str, fence: Fence, entry: JournalEntry | None = None
    ) -> tuple[int, str]:
        """The number of the pool, and the image's id."""

        def work(connection: Connection) -> tuple[int, str]:
            ioctx, shaped = placement.prepare_creation(connection, self._pool, self.namespace, spec)
            try:
                return ioctx.get_pool_id(), images.create(ioctx, shaped, owner, fence, entry)
            except ImageMissing:
                # Ceph says "no such file" of whatever is not there; find out what.
                images.require_namespace(ioctx, self.namespace)
                if shaped.data_pool is not None:
                    connection.ioctx(shaped.data_pool)
                raise

        return await self._cluster.run("create", work, key=self._key(spec.name), pool=self.name)

    async def describe(self, name: str) -> RbdImage:
        return await self._do("describe", lambda ioctx: images.describe(ioctx, name))

    async def get_metadata(self, identifier: str) -> dict[str, str]:
        return await self._do("metadata", lambda ioctx: images.get_metadata(ioctx, identifier))

    async def get_size(self, identifier: str) -> int:
        """Of an image, in the trash as well."""
        return await self._do("size", lambda ioctx: images.get_size(ioctx, identifier))

    async def list_images(self) -> list[ListedImage]:
        def work(connection: Connection) -> list[ListedImage]:
            found = images.list_images(connection.ioctx(self._pool, self.namespace))
            # To librbd a pool that has just been deleted is one without images.
            return found or images.list_images(connection.ioctx(self._pool, self.namespace))

        return await self._cluster.run("list", work, pool=self.name)

    async def resize(self, name: str, size: int, *, fence: Fence) -> int:
        return await self._do("resize", lambda ioctx: images.resize(ioctx, name, size, fence), name)

    async def find(self, sought: ImageQuery) -> RbdImage | None:
        """The image that is meant, under whatever name; see provisioner.ceph.image_lookup."""
        return await self._do("find", lambda ioctx: image_lookup.find(ioctx, sought))

    async def list_claimants(self, kubernetes: str) -> dict[str, list[tuple[str, bool | None]]]:
        """Of each owner; reads the headers of all images of the pool."""
        return await self._do("claimants", lambda ioctx: image_lookup.list_claimants(ioctx, kubernetes))

    async def has_image(self, sought: ImageQuery) -> bool:
        return await self._do("holds", lambda ioctx: image_lookup.has_image(ioctx, sought))

    async def remove(self, sought: ImageQuery, *, fence: Fence) -> str | None:
        """The image goes if it is the one that is meant, and nothing needs it.

        A large one is only moved to the trash; its id comes back, for `trash_remove`.
        """

        def work(connection: Connection, ioctx: Any) -> str | None:
            return removal.remove(connection, ioctx, sought, fence)

        return await self._with("remove", work, sought.name, slow=True)

    async def move_to_trash(self, sought: ImageQuery, *, delay: int, fence: Fence) -> None:
        await self._do("trash", lambda ioctx: removal.move_to_trash(ioctx, sought, fence, delay=delay), sought.name)

    async def remove_journal_entry(self, entry: JournalEntry, *, fence: Fence) -> None:
        """Removes the entry from ceph-csi's journal; that of an image that is gone."""

        def work(ioctx: Any) -> None:
            fence()
            csi_journal.remove(ioctx, entry)

        await self._do("drop", work, entry.image)

    async def list_trash(self) -> list[MovedToTrash]:
        return await self._do("trash_list", removal.list_trash)

    async def count_objects(self, identifier: str) -> int:
        """How many the image, which may be in the trash, can have; 0 if it is gone."""
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
        """`progress`: see provisioner.ceph.removal_progress; called by a thread. `alive`: when it last was."""

        def work(connection: Connection, ioctx: Any) -> None:
            removal.purge(connection, ioctx, identifier, fence, progress)

        await self._with("trash_remove", work, identifier, slow=True, last_activity=last_activity)

    async def restore(self, identifier: str, name: str, *, fence: Fence) -> None:
        await self._do("trash_restore", lambda ioctx: removal.restore(ioctx, identifier, name, fence), name)

    async def claim_ownership(
        self, name: str, judge: Callable[[RbdImage], None], metadata: Mapping[str, str], *, fence: Fence
    ) -> RbdImage:
        """Writes metadata onto an image that somebody else has made, if `judge`, told of it right before, lets it."""
        return await self._do("own", lambda ioctx: adoption.claim_ownership(ioctx, name, judge, metadata, fence), name)

    async def restore_with_metadata(
        self, identifier: str, name: str, judge: adoption.CheckMetadata, metadata: Mapping[str, str], *, fence: Fence
    ) -> None:
        """Out of the trash, with the metadata written first."""
        await self._do(
            "restore",
            lambda ioctx: adoption.restore_with_metadata(ioctx, identifier, name, judge, metadata, fence=fence),
            name,
        )

    async def remove_metadata_key(self, name: str, identifier: str, key: str, *, fence: Fence) -> None:
        """Takes one key out of the image's metadata."""
        await self._do("forget", lambda ioctx: adoption.remove_metadata_key(ioctx, identifier, key, fence), name)

    async def list_journal(self, wanted: Callable[[JournalEntry], bool]) -> list[tuple[JournalEntry, str | None]]:
        """What is in ceph-csi's journal and `wanted`; see provisioner.ceph.csi_journal."""
        return await self._do("entries", lambda ioctx: csi_journal.list_entries(ioctx, wanted))

    async def remove_incomplete(
        self, name: str, identifier: str, *, fence: Fence, entry: JournalEntry | None = None
    ) -> None:
        """Removes what our own create has left half-way: a name, or an entry in the journal, and no image."""

        def work(ioctx: Any) -> None:
            fence()
            fast_create.remove_incomplete(ioctx, name, identifier, image_text(ioctx, name))
            if entry is not None:
                csi_journal.remove(ioctx, entry)

        await self._do("clear", work, name)

    async def space(self) -> PoolSpace:
        return await self._cluster.run("space", lambda connection: connection.pool_space(self.name))

    async def exists(self) -> bool:
        """False only if the cluster's own map has no such pool, not because we may not see it."""
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
                images.require_namespace(ioctx, self.namespace)
                raise

        key = self._key(changes) if changes else ""
        return await self._cluster.run(operation, run, key=key, pool=self.name, slow=slow, last_activity=last_activity)

    def _key(self, image: str) -> str:
        return f"image {self.name}/{self.namespace}/{image}"
