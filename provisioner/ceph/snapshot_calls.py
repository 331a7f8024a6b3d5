"""The calls of a pool about snapshots, clones and parked images, for asynchronous callers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from provisioner.ceph import clone_intents, clones, flattening, parking, placement, volume_snapshots
from provisioner.ceph.clone_intents import CloneIntent
from provisioner.ceph.clones import ClonedImage, CloneOrigin
from provisioner.ceph.connection import Connection
from provisioner.ceph.images import Fence
from provisioner.ceph.model import ImageQuery, ImageSpec
from provisioner.ceph.parking import ParkedDependents
from provisioner.ceph.removal_progress import ReportProgress
from provisioner.ceph.thread_pool import LastActivity
from provisioner.ceph.volume_snapshots import VolumeSnapshot

T = TypeVar("T")


class SnapshotCalls(ABC):
    """A part of RbdPool. Images are addressed by their ids. Every method raises CephError."""

    _pool: str | int
    namespace: str

    @abstractmethod
    async def _with(
        self,
        operation: str,
        work: Callable[[Connection, Any], T],
        changes: str,
        *,
        slow: bool = False,
        last_activity: LastActivity | None = None,
    ) -> T:
        """Runs `work` in a thread; `changes` is what calls that change the same have in common."""

    async def create_snapshot(self, identifier: str, name: str, *, fence: Fence) -> VolumeSnapshot:
        """Creates the snapshot, or confirms that it exists."""

        def work(_: Connection, ioctx: Any) -> VolumeSnapshot:
            return volume_snapshots.create(ioctx, identifier, name, fence)

        return await self._with("snap_create", work, _by_id(identifier))

    async def find_snapshot(self, identifier: str, snapshot: int) -> VolumeSnapshot | None:
        return await self._with("snap_find", lambda _, ioctx: volume_snapshots.find(ioctx, identifier, snapshot), "")

    async def delete_snapshot(self, identifier: str, snapshot: int, *, fence: Fence) -> None:
        """A snapshot or an image that does not exist is a success."""

        def work(_: Connection, ioctx: Any) -> None:
            volume_snapshots.delete(ioctx, identifier, snapshot, fence)

        await self._with("snap_remove", work, _by_id(identifier))

    async def create_clone(self, spec: ImageSpec, origin: CloneOrigin, *, fence: Fence) -> tuple[int, ClonedImage]:
        """Creates the image as a clone, or finishes an interrupted call. Returns the pool's number with the clone."""

        def work(connection: Connection, _: Any) -> tuple[int, ClonedImage]:
            ioctx, shaped = placement.prepare_creation(connection, self._pool, self.namespace, spec)
            return ioctx.get_pool_id(), clones.create(connection, ioctx, shaped, origin, fence=fence)

        return await self._with("clone", work, spec.name)

    async def discard_clone(self, name: str, owner: str, kubernetes: str, *, fence: Fence) -> bool:
        """Removes what an interrupted `create_clone` has left that is not the claim's yet."""

        def work(connection: Connection, ioctx: Any) -> bool:
            return clones.discard(connection, ioctx, name, owner, kubernetes, fence=fence)

        return await self._with("clone_discard", work, name, slow=True)

    async def list_clone_intents(self) -> dict[str, CloneIntent]:
        return await self._with("clone_intents", lambda _, ioctx: clone_intents.list_all(ioctx), "")

    async def flatten(
        self, identifier: str, *, fence: Fence, progress: ReportProgress, last_activity: LastActivity
    ) -> bool:
        """Flattens the clone; see provisioner.ceph.flattening. `progress` is called by a thread.

        It takes long, and snapshots of the image can be created and deleted meanwhile.
        """

        def work(_: Connection, ioctx: Any) -> bool:
            return flattening.flatten_volume(ioctx, identifier, fence, progress)

        key = f"flatten/{identifier}"
        return await self._with("flatten", work, key, slow=True, last_activity=last_activity)

    async def park(self, sought: ImageQuery, trash_delay: int | None, *, fence: Fence) -> bool:
        """Parks the image that the query identifies. Returns False if nothing depends on it."""

        def work(_: Connection, ioctx: Any) -> bool:
            return parking.park(ioctx, sought, trash_delay, fence)

        return await self._with("park", work, sought.name)

    async def find_parked(self, identifier: str) -> ParkedDependents | None:
        """The image if it is parked, with what still needs it."""
        return await self._with("find_parked", lambda _, ioctx: parking.find_parked(ioctx, identifier), "")

    async def remove_parked(self, name: str, identifier: str, kubernetes: str, *, fence: Fence) -> str | None:
        """Removes a parked image; see provisioner.ceph.parking. Returns its id if it is to be purged from the trash.

        `name`: of the image, by which no adoption of it runs at the same time.
        """

        def work(connection: Connection, ioctx: Any) -> str | None:
            return parking.remove_parked(connection, ioctx, identifier, kubernetes, fence)

        return await self._with("remove_parked", work, name, slow=True)


def _by_id(identifier: str) -> str:
    """The key by which calls for one image are never run at the same time. No image's name contains a slash."""
    return f"id/{identifier}"
