"""Creates, reads and deletes the snapshots of VolumeSnapshotContents, as csi-snapshotter does for other drivers.

Before the snapshot is created, the content says so and names the image. Thus an attempt whose outcome is unknown is
repeated on the same image until its outcome is known, even if the claim and its volume are deleted meanwhile.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic

from provisioner.ceph.errors import (
    CephError,
    CephUnavailable,
    Denied,
    ImageMissing,
    ImageTaken,
    InUse,
    InvalidArgument,
    Missing,
    NoSpace,
    OutcomeUnknown,
    PoolMissing,
)
from provisioner.ceph.pool import RbdPool
from provisioner.ceph.volume_snapshots import VolumeSnapshot
from provisioner.volumes import metrics
from provisioner.volumes.image_locator import locate_image
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import snapshot_contents
from provisioner.volumes.planning.persistent_volume import VolumeRequest
from provisioner.volumes.planning.snapshot_contents import CreateSnapshot
from provisioner.volumes.snapshot_informers import SnapshotInformers
from sutler import well_known
from sutler.errors import SutlerError
from sutler.kube.errors import Conflict, Invalid, NotFound
from sutler.kube.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    VOLUME_SNAPSHOT_CONTENTS,
    VOLUME_SNAPSHOTS,
)
from sutler.typedefs import Json
from sutler.volumes import snapshot_keys
from sutler.volumes.locations import ids_of, is_sutler_volume, location_of, owner_of
from sutler.volumes.snapshot_handle import ImageHandle, SnapshotHandle

_CREATE = "/csi.v1.Controller/CreateSnapshot"
_DELETE = "/csi.v1.Controller/DeleteSnapshot"
_READ = "/csi.v1.Controller/ListSnapshots"
_FINAL = (Denied, ImageTaken, InUse, InvalidArgument, Missing, NoSpace)
"""Errors after which no snapshot exists that did not exist before."""
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (OutcomeUnknown, "DeadlineExceeded"),
    (CephUnavailable, "Unavailable"),
    (Missing, "NotFound"),
    (InUse, "FailedPrecondition"),
    (NoSpace, "ResourceExhausted"),
    (InvalidArgument, "InvalidArgument"),
    (Denied, "PermissionDenied"),
)
_TRIES = 3
"""Attempts to remove the finalizer while others change the list, too."""


class SnapshotObstacle(SutlerError):  # noqa: N818 - an obstacle, not an error
    """Why the snapshot can't be created, read or deleted now."""


class Snapshotter:
    def __init__(
        self,
        context: LeaderContext,
        informers: SnapshotInformers,
        *,
        release: Callable[[ImageHandle], Awaitable[None]],
    ) -> None:
        """`release`: called with an image after one of its snapshots was deleted."""
        self._context = context
        self._client = context.client
        self._informers = informers
        self._release = release

    async def sync(self, name: str) -> None:
        """Does what is due about the content of this name. Raises if it has to be tried again."""
        content = await self._context.get_or_none(VOLUME_SNAPSHOT_CONTENTS, name)
        if content is None:
            return
        decision = snapshot_contents.decide(content, self._informers.drivers)
        match decision:
            case snapshot_contents.CreateSnapshot():
                await self._create(content, decision)
            case snapshot_contents.ReadSnapshot(handle):
                await self._read(content, handle)
            case snapshot_contents.DeleteSnapshot(handle):
                await self._delete(content, handle)
            case snapshot_contents.ReleaseContent():
                await self._remove_finalizer(content)
            case snapshot_contents.CompleteContent():
                await self._announce(content, None, being_created=False)
            case snapshot_contents.ContentUnclear(message):
                await self._report(content, "SnapshotContentCheckandUpdateFailed", message)
                raise SnapshotObstacle(message)
            case snapshot_contents.KeepContent():
                pass

    async def _create(self, content: Json, decision: CreateSnapshot) -> None:
        try:
            with _measured(content, _CREATE):
                content, handle, snapshot = await self._create_in_ceph(content, decision)
        except (CephError, SnapshotObstacle) as error:
            await self._report(content, "SnapshotCreationFailed", str(error))
            if isinstance(error, (*_FINAL, SnapshotObstacle)):
                await self._announce(content, None, being_created=False)
            raise
        await self._save(content, handle.snapshot(snapshot.id), snapshot)
        await self._announce(content, handle, being_created=False)

    async def _create_in_ceph(
        self, content: Json, decision: CreateSnapshot
    ) -> tuple[Json, ImageHandle, VolumeSnapshot]:
        volume = None if decision.image is not None else await self._source_volume(content, decision)
        handle = decision.image or await self._image_of(volume or {})
        if decision.image is None or not decision.announced:
            content = await self._announce(content, handle, being_created=True, volume=volume)
        try:
            return content, handle, await self._snapshot(handle, decision.name)
        except ImageMissing:
            # A migration gives the image another id, which the volume records later.
            located = await self._locate(volume) if volume is not None else None
            if located is None or located == handle:
                raise
            content = await self._announce(content, located, being_created=True)
            return content, located, await self._snapshot(located, decision.name)

    async def _snapshot(self, handle: ImageHandle, name: str) -> VolumeSnapshot:
        pool = await self._pool(handle)
        return await pool.create_snapshot(handle.image, name, fence=self._context.fence)

    async def _source_volume(self, content: Json, decision: CreateSnapshot) -> Json:
        """Returns the volume of the claim that the VolumeSnapshot names. Raises SnapshotObstacle."""
        namespace, name = decision.snapshot
        snapshot = await self._context.get_or_none(VOLUME_SNAPSHOTS, name, namespace)
        if snapshot is None or snapshot["metadata"]["uid"] != content["spec"]["volumeSnapshotRef"]["uid"]:
            raise SnapshotObstacle(f"VolumeSnapshot {namespace}/{name} of this content does not exist")
        claim_name = (snapshot["spec"].get("source") or {}).get("persistentVolumeClaimName")
        if not claim_name:
            raise SnapshotObstacle(f"VolumeSnapshot {namespace}/{name} names no claim as its source")
        claim = await self._context.get_or_none(PERSISTENT_VOLUME_CLAIMS, claim_name, namespace)
        volume_name = claim["spec"].get("volumeName") if claim is not None else None
        volume = await self._context.get_or_none(PERSISTENT_VOLUMES, volume_name) if volume_name else None
        own = [volume] if volume is not None and is_sutler_volume(volume) else []
        found = snapshot_contents.source_volume(own, decision.volume_handle, claim)
        if isinstance(found, str):
            raise SnapshotObstacle(found)
        return found

    async def _image_of(self, volume: Json) -> ImageHandle:
        """Returns the image that the volume records by ids, else the one that is proven to be the volume's."""
        location, (pool, image) = location_of(volume), ids_of(volume)
        if location is not None and pool is not None and image:
            return ImageHandle(location.cluster, pool, location.namespace, image)
        found = await self._locate(volume)
        if found is None:
            raise SnapshotObstacle(f"volume {volume['metadata']['name']} has no image")
        return found

    async def _locate(self, volume: Json) -> ImageHandle | None:
        location = location_of(volume)
        if location is None:
            return None
        located = await locate_image(self._context, VolumeRequest(location, owner_of(volume), *ids_of(volume)))
        if located is None:
            return None
        pool, image = located
        return ImageHandle(location.cluster, await pool.number(), location.namespace, image.id)

    async def _read(self, content: Json, handle: SnapshotHandle) -> None:
        reason = "SnapshotContentCheckandUpdateFailed"
        try:
            with _measured(content, _READ):
                pool = await self._pool(handle.image)
                found = await pool.find_snapshot(handle.image.image, handle.snapshot)
                if found is None:
                    raise ImageMissing(f"snapshot {handle} does not exist in Ceph")
        except CephError as error:
            await self._report(content, reason, str(error))
            raise
        await self._save(content, handle, found)
        if snapshot_keys.BEING_CREATED in (content["metadata"].get("annotations") or {}):
            await self._announce(content, handle.image, being_created=False)

    async def _delete(self, content: Json, handle: SnapshotHandle) -> None:
        try:
            self._require_unshared(content, handle)
            with _measured(content, _DELETE):
                await self._delete_in_ceph(handle)
        except (CephError, SnapshotObstacle) as error:
            await self._report(content, "SnapshotDeleteError", str(error))
            raise
        await self._patch_status(content, snapshot_contents.deleted_status())
        await self._remove_finalizer(content)

    def _require_unshared(self, content: Json, handle: SnapshotHandle) -> None:
        """Raises SnapshotObstacle if another content has the snapshot, too: that one would lose it."""
        if not self._informers.contents_synced:
            raise SnapshotObstacle("Sutler has not read all VolumeSnapshotContents yet")
        name = content["metadata"]["name"]
        for other, cached in self._informers.contents.items():
            if other != name and cached.handle == str(handle) and not cached.deleting:
                raise SnapshotObstacle(
                    f"the snapshot is kept: VolumeSnapshotContent {other} has it, too. Set the deletionPolicy of this "
                    f"one to Retain, or delete {other} first, with deletionPolicy Retain"
                )

    async def _delete_in_ceph(self, handle: SnapshotHandle) -> None:
        # A pool that is missing in the cluster's map was deleted with all its snapshots.
        with suppress(PoolMissing):
            pool = await self._pool(handle.image)
            await pool.delete_snapshot(handle.image.image, handle.snapshot, fence=self._context.fence)
            await self._release(handle.image)

    async def _pool(self, handle: ImageHandle) -> RbdPool:
        return await self._context.clusters.get(handle.cluster).get_pool_by_number(handle.pool, handle.namespace)

    async def _save(self, content: Json, handle: SnapshotHandle, snapshot: VolumeSnapshot) -> None:
        nanoseconds = int(snapshot.created.timestamp()) * 10**9
        await self._patch_status(content, snapshot_contents.created_status(handle, snapshot.size, nanoseconds))

    async def _announce(
        self, content: Json, image: ImageHandle | None, *, being_created: bool, volume: Json | None = None
    ) -> Json:
        """Says on the content whether its snapshot is being created, and of which image. Returns the new content.

        `volume`: that has the image; its filesystem is recorded for claims that restore the snapshot.
        """
        metadata = content["metadata"]
        annotations: Json = {snapshot_keys.BEING_CREATED: "yes" if being_created else None}
        if image is not None:
            annotations[well_known.SNAPSHOT_SOURCE] = str(image)
        if filesystem := ((volume or {}).get("spec", {}).get("csi") or {}).get("fsType"):
            annotations[well_known.FILESYSTEM] = filesystem
        patch: Json = {"metadata": {"annotations": annotations}}
        if being_created:
            # A deletion that was released meanwhile would not wait for this attempt.
            patch["metadata"]["resourceVersion"] = metadata["resourceVersion"]
        return await self._client.merge_patch(VOLUME_SNAPSHOT_CONTENTS, metadata["name"], patch)

    async def _patch_status(self, content: Json, patch: Json) -> None:
        name = content["metadata"]["name"]
        await self._client.merge_patch(VOLUME_SNAPSHOT_CONTENTS, name, patch, subresource="status")

    async def _report(self, content: Json, reason: str, message: str) -> None:
        """Emits an event, and writes the error into the status if it says something else: each write is a change."""
        self._context.events.warning(content, reason, message)
        error = (content.get("status") or {}).get("error") or {}
        if "deletionTimestamp" not in content["metadata"] and error.get("message") != message:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            with suppress(NotFound):
                await self._patch_status(content, snapshot_contents.failed_status(message, now))

    async def _remove_finalizer(self, content: Json) -> None:
        name, uid = content["metadata"]["name"], content["metadata"]["uid"]
        for _ in range(_TRIES):
            finalizers = content["metadata"].get("finalizers") or []
            if content["metadata"]["uid"] != uid or snapshot_keys.CONTENT_FINALIZER not in finalizers:
                return
            patch = snapshot_contents.finalizer_removal(content["metadata"], snapshot_keys.CONTENT_FINALIZER)
            try:
                await self._client.json_patch(VOLUME_SNAPSHOT_CONTENTS, name, patch)
            except NotFound:
                return
            except (Conflict, Invalid):
                found = await self._context.get_or_none(VOLUME_SNAPSHOT_CONTENTS, name)
                if found is None:
                    return
                content = found
            else:
                return
        raise Conflict(409, "Conflict", f"VolumeSnapshotContent {name}: its finalizers keep changing")


@contextmanager
def _measured(content: Json, method: str) -> Iterator[None]:
    """Records the operation in the histogram that csi-snapshotter's users know."""
    started, code = monotonic(), "OK"
    try:
        yield
    except Exception as error:
        code = next((name for kind, name in _CODES if isinstance(error, kind)), "Internal")
        raise
    finally:
        metrics.SNAPSHOT_SECONDS.labels(content["spec"]["driver"], method, code).observe(monotonic() - started)
