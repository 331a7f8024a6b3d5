"""From a request to adopt an image to a volume of ours. Each step can be killed, and is done again.

1. The image's metadata says that it is the claim's, and that the adoption is not complete.
2. A PersistentVolume is made for the claim. Whatever becomes of the claim now, the volume keeps its image (Retain).
3. When Kubernetes has bound the two, the volume gets the class's reclaim policy, the mark goes, the request goes.

An image whose adoption is not complete is deleted by nobody: it has no volume that would, and no comparison of images
with volumes touches what bears the mark.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from provisioner.ceph.cluster_config import CephClusters
from provisioner.ceph.errors import CephError, CephUnavailable, ImageTaken, InUse, NoSpace, OutcomeUnknown
from provisioner.ceph.model import MovedToTrash, RbdImage
from provisioner.ceph.pool import RbdPool
from provisioner.volumes.cache_entries import CachedClass
from provisioner.volumes.event_deduplication import AN_HOUR, EventDeduplicator
from provisioner.volumes.image_locator import pool_of
from provisioner.volumes.metrics import ADOPTIONS
from provisioner.volumes.planning import adoption
from provisioner.volumes.planning.adoption import AdoptionObstacle
from provisioner.volumes.planning.deletion import is_ours
from provisioner.volumes.planning.persistent_volume import (
    CephSource,
    ImageLocation,
    VolumeRequest,
    ids_of,
    metadata,
    place_of,
    render,
)
from provisioner.volumes.planning.storage_class import VolumeClass
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, BadRequest, Forbidden, Invalid, NotFound
from sutler.kube.events import EventRecorder
from sutler.kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from sutler.typedefs import Json
from sutler.volumes import well_known
from sutler.volumes import well_known as shared
from sutler.volumes.adoption_request import AdoptionRequest, AdoptionState, RequestError, claim_key, outcome, read

SOON = 1.0
"""Seconds until the next look at what is under way."""
PATIENCE = 5.0
"""Seconds until the next look at what is in the way."""


class Adopter:
    def __init__(
        self,
        client: Client,
        clusters: CephClusters,
        events: EventRecorder,
        *,
        kubernetes: str,
        classes: Callable[[str], CachedClass | None],
        in_progress: Callable[[str], bool],
        fence: Callable[[], None],
    ) -> None:
        """`in_progress`: whether an image is being made for the volume of this name; the others as elsewhere."""
        self._client = client
        self._clusters = clusters
        self._events = events
        self._kubernetes = kubernetes
        self._classes = classes
        self._in_progress = in_progress
        self._fence = fence
        # Two requests for one image must not both find that it is nobody's.
        self._one = asyncio.Lock()
        self._told = EventDeduplicator(AN_HOUR)

    async def adopt(self, name: str) -> float | None:
        """Takes the request of this name a step further. Returns the seconds after which to look again."""
        request = await self._get(name)
        if request is None or "deletionTimestamp" in request["metadata"]:
            return None
        if self._one.locked():
            return SOON
        async with self._one:
            try:
                return await self._adopt(request)
            except (AdoptionObstacle, RequestError, CephError, Invalid, BadRequest, Forbidden) as error:
                passing = isinstance(error, InUse | NoSpace | OutcomeUnknown | CephUnavailable) or (
                    isinstance(error, AdoptionObstacle) and error.passing
                )
                await self._report(request, AdoptionState.WAITING if passing else AdoptionState.REFUSED, str(error))
                await self._tell_claim(request, str(error))
                if isinstance(error, OutcomeUnknown | CephUnavailable):
                    raise
                return PATIENCE if passing else None

    async def _adopt(self, request: Json) -> float | None:
        wanted = read(request)
        cls = adoption.fitted(self._class(wanted.storage_class), wanted)
        place = wanted.place(cls.cluster)
        if place is None:
            return await self._choose(request, wanted, cls)
        adoption.check_place(place, cls)
        claim = await self._claim(wanted.namespace, wanted.claim)
        made = await self._get(well_known.volume_name(claim["metadata"]["uid"])) if claim else None
        if claim is not None and made is not None and place_of(made) == place:
            return await self._complete(request, claim, made, cls)
        pool = self._clusters.get(place.cluster).pool(place.pool, place.namespace)
        number, identifier = await pool.number(), wanted.restore_id or (await pool.describe(place.image)).id
        await self._check_others(request, wanted, place, (number, identifier), csi=cls.volume_source == "csi")
        if wanted.restore_id and claim is not None:
            size = await pool.size_of(identifier)
            adoption.for_claim(claim, cls, size, place.path)
        await self._bring_back(request, wanted, place, pool)
        image = await pool.describe(place.image)
        if wanted.restore_id not in {"", image.id}:
            raise AdoptionObstacle(
                f"{place.path} is not the image {wanted.restore_id} out of the trash: rename it first"
            )
        owner = image.metadata.get(well_known.OWNER)
        adoption.check_image(image, place.path, self._kubernetes, owner)
        await self._check_owner(image, place, claim)
        if claim is None:
            text = f"{place.path} can be adopted as soon as there is a claim {wanted.key} of {image.size} bytes or less"
            await self._report(request, AdoptionState.CHECKED, text, image.size)
            return None
        return await self._make(request, claim, image, cls, place)

    def _class(self, name: str) -> VolumeClass:
        view = self._classes(name)
        if view is None or view.parsed is None:
            problem = f"StorageClass {name} does not exist" if view is None else view.problem
            raise AdoptionObstacle(problem or f"StorageClass {name} is not Sutler's: name one that is")
        return view.parsed

    async def _make(self, request: Json, claim: Json, image: RbdImage, cls: VolumeClass, place: ImageLocation) -> float:
        name = request["metadata"]["name"]
        wanted = adoption.for_claim(claim, cls, image.size, place.path)
        volume = well_known.volume_name(wanted.uid)
        if self._in_progress(volume):
            raise AdoptionObstacle(f"a new image is being made for claim {wanted.key}", passing=True)
        cluster = self._clusters.get(place.cluster)
        monitors = await cluster.monitors() if cls.volume_source == "rbd" else ()
        pool = cluster.pool(place.pool, place.namespace)
        ceph = CephSource(place.cluster or await cluster.fsid(), await pool.number(), image.id, monitors)
        body = render(wanted, adoption.with_features(cls, image), place, ceph)
        # Until it is bound, nothing that happens to the claim may cost the image.
        body["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
        body["metadata"]["annotations"][well_known.ADOPTING] = name
        owner = image.metadata.get(well_known.OWNER)

        def judge(found: RbdImage) -> None:
            adoption.check_image(found, place.path, self._kubernetes, owner)
            if (found.id, found.size) != (image.id, image.size):
                raise AdoptionObstacle(f"{place.path} has changed meanwhile", passing=True)

        marked = metadata(wanted, self._kubernetes) | {well_known.ADOPTING: name}
        await pool.own(place.image, judge, marked, fence=self._fence)
        try:
            await self._client.create(PERSISTENT_VOLUMES, body)
        except AlreadyExists:
            existing = await self._get(volume)
            if existing is not None and place_of(existing) != place:
                raise AdoptionObstacle(
                    f"claim {wanted.key} has got volume {volume} meanwhile: delete the claim"
                ) from None
        await self._report(
            request, AdoptionState.BINDING, f"volume {volume} is made for claim {wanted.key}", image.size
        )
        return SOON

    async def _complete(self, request: Json, claim: Json, volume: Json, cls: VolumeClass) -> float | None:
        name, place = volume["metadata"]["name"], place_of(volume)
        key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        if "deletionTimestamp" in volume["metadata"]:
            raise AdoptionObstacle(f"volume {name} is being deleted", passing=True)
        if "deletionTimestamp" in claim["metadata"] or claim["spec"].get("volumeName") not in {None, "", name}:
            await self._dismantle(request, volume["metadata"])
            raise AdoptionObstacle(f"claim {key} is being deleted, or has another volume", passing=True)
        if (claim.get("status") or {}).get("phase") != "Bound":
            return SOON
        if well_known.ADOPTING in (volume["metadata"].get("annotations") or {}):
            change = {
                "metadata": {
                    "resourceVersion": volume["metadata"]["resourceVersion"],
                    "annotations": {well_known.ADOPTING: None},
                },
                "spec": {"persistentVolumeReclaimPolicy": cls.reclaim_policy},
            }
            await self._client.merge_patch(PERSISTENT_VOLUMES, name, change)
        if place is not None:
            pool = self._clusters.get(place.cluster).pool(place.pool, place.namespace)
            image = await pool.describe(place.image)
            await pool.forget(place.image, image.id, well_known.ADOPTING, fence=self._fence)
            self._events.normal(claim, "ProvisioningSucceeded", f"Adopted RBD image {place.path} as volume {name}")
        await self._delete(request["metadata"])
        ADOPTIONS.labels("done").inc()
        return None

    async def _dismantle(self, request: Json, volume: Json) -> None:
        """Deletes an unfinished volume of this very request, which keeps its image."""
        if (volume.get("annotations") or {}).get(well_known.ADOPTING) == request["metadata"]["name"]:
            await self._delete(volume)

    async def _check_others(
        self, request: Json, wanted: AdoptionRequest, place: ImageLocation, ids: tuple[int, str], *, csi: bool
    ) -> None:
        found, _ = await self._client.collect(
            PERSISTENT_VOLUMES, keep=lambda volume: adoption.other(volume, place, csi=csi, ids=ids), query=[]
        )
        for other in found:
            if other is None:
                continue
            if other.request == request["metadata"]["name"]:
                # Made for an earlier claim of this name, which has gone before it was bound.
                await self._delete({"name": other.name, "uid": other.uid})
                raise AdoptionObstacle(f"the claim that volume {other.name} was made for is gone", passing=True)
            elsewhere = other.same_image and await self._elsewhere(other.cluster, place.cluster)
            adoption.check_other(other, place.path, wanted.key, elsewhere=elsewhere)

    async def _elsewhere(self, cluster: str | None, ours: str) -> bool:
        """Whether a clusterID is known to be another Ceph cluster than ours."""
        if cluster is None or cluster == ours:
            return False
        try:
            there = await self._clusters.get(cluster).fsid()
        except CephError:
            return False
        return there != await self._clusters.get(ours).fsid()

    async def _check_owner(self, image: RbdImage, place: ImageLocation, claim: Json | None) -> None:
        """Raises if the image is being made for somebody else's claim: its volume may come at any moment."""
        owner = image.metadata.get(well_known.OWNER)
        if owner is None or (claim is not None and claim["metadata"]["uid"] == owner):
            return
        namespace, name = (
            image.metadata.get(key) for key in (well_known.METADATA_NAMESPACE, well_known.METADATA_CLAIM)
        )
        await self._check_volume(image, place, owner)
        theirs = await self._claim(namespace, name) if namespace and name else None
        waits = theirs is not None and theirs["metadata"]["uid"] == owner and not theirs["spec"].get("volumeName")
        if waits or self._in_progress(well_known.volume_name(owner)):
            raise AdoptionObstacle(f"{place.path} is being made for claim {namespace}/{name}", passing=True)

    async def _check_volume(self, image: RbdImage, place: ImageLocation, owner: str) -> None:
        """Raises if it may be the image of the owner's volume, under another name than that volume knows."""
        volume = await self._get(well_known.volume_name(owner))
        theirs = place_of(volume) if volume is not None and is_ours(volume) else None
        if volume is None or theirs is None:
            return
        wanted = VolumeRequest(theirs, owner, *ids_of(volume))
        try:
            pool = await pool_of(self._clusters, wanted, self._kubernetes)
            found = await pool.find(wanted.sought(self._kubernetes)) if pool is not None else None
        except ImageTaken as error:
            raise AdoptionObstacle(
                f"{place.path} may be the image of PersistentVolume {well_known.volume_name(owner)}: {error}"
            ) from error
        if found is not None and found.id == image.id:
            raise AdoptionObstacle(
                f"{place.path} is the image of PersistentVolume {well_known.volume_name(owner)}, which knows it as "
                f"{theirs.path}: set that one's persistentVolumeReclaimPolicy to Retain, then delete its claim and it"
            )

    async def _choose(self, request: Json, wanted: AdoptionRequest, cls: VolumeClass) -> float:
        """Finds the image in the trash and writes down which one it is, before anything is done with it."""
        pool_name, _, namespace = wanted.restore_from.partition("/")
        pool = self._clusters.get(cls.cluster).pool(pool_name, namespace)
        entries = sorted(await pool.trash_list(), key=lambda entry: entry.deleted, reverse=True)
        for entry in entries:
            if wanted.restore_id == entry.id or (not wanted.restore_id and await self._was(pool, entry, wanted)):
                image = f"{wanted.restore_from}/{entry.name}"
                found = {shared.ADOPT: image, shared.RESTORE_ID: entry.id}
                await self._client.merge_patch(
                    PERSISTENT_VOLUMES, request["metadata"]["name"], {"metadata": {"annotations": found}}
                )
                return SOON
        what = f"id {wanted.restore_id}" if wanted.restore_id else f"no image that was claim {wanted.key}'s"
        raise AdoptionObstacle(
            f"the trash of {wanted.restore_from} has {'no ' if wanted.restore_id else ''}{what}: "
            f"look there with sutler images trash list {wanted.restore_from}, or rbd trash ls {wanted.restore_from}"
        )

    async def _was(self, pool: RbdPool, entry: MovedToTrash, wanted: AdoptionRequest) -> bool:
        found = {}
        with contextlib.suppress(CephError):
            found = await pool.metadata(entry.id)
        claim = (found.get(well_known.METADATA_NAMESPACE), found.get(well_known.METADATA_CLAIM))
        return found.get(well_known.KUBERNETES) == self._kubernetes and claim == (wanted.namespace, wanted.claim)

    async def _bring_back(self, request: Json, wanted: AdoptionRequest, place: ImageLocation, pool: RbdPool) -> None:
        """Out of the trash, if it is there: it may be back already."""
        if not wanted.restore_id or not any(entry.id == wanted.restore_id for entry in await pool.trash_list()):
            return
        await pool.restore(
            wanted.restore_id,
            place.image,
            lambda found: adoption.check_metadata(found, wanted.restore_id, place.path, self._kubernetes),
            {well_known.ADOPTING: request["metadata"]["name"]},
            fence=self._fence,
        )

    async def _report(self, request: Json, state: AdoptionState, message: str, size: int | None = None) -> None:
        """On the request, for whoever waits for it, and as an event; nothing if it has been said."""
        before, said_before = outcome(request)
        if (before, said_before) == (state, message):
            return
        said = {shared.ADOPTION: f"{state}: {message}"} | ({} if size is None else {shared.ADOPTED_SIZE: str(size)})
        with contextlib.suppress(NotFound):
            await self._client.merge_patch(
                PERSISTENT_VOLUMES, request["metadata"]["name"], {"metadata": {"annotations": said}}
            )
        # By what the request itself says, so that one is counted once, whichever process looks at it.
        if before is None:
            ADOPTIONS.labels("asked").inc()
        if state is AdoptionState.REFUSED and before is not AdoptionState.REFUSED:
            ADOPTIONS.labels("refused").inc()
        tell = self._events.warning if state in {AdoptionState.WAITING, AdoptionState.REFUSED} else self._events.normal
        tell(request, f"Adoption{state}", message)

    async def _tell_claim(self, request: Json, message: str) -> None:
        """Whoever wonders why the claim gets no new image."""
        namespace, _, name = claim_key(request).partition("/")
        claim = await self._claim(namespace, name) if namespace else None
        if claim is None or claim["spec"].get("volumeName"):
            return
        if not self._told.is_news(claim["metadata"]["uid"], message, time.monotonic()):
            return
        what = f"an image is to be adopted for it (PersistentVolume {request['metadata']['name']}), and {message}"
        self._events.warning(claim, "ProvisioningFailed", what)

    async def _delete(self, meta: Json) -> None:
        with contextlib.suppress(NotFound):
            await self._client.delete(PERSISTENT_VOLUMES, meta["name"], uid=meta["uid"])

    async def _get(self, name: str) -> Json | None:
        try:
            return await self._client.get(PERSISTENT_VOLUMES, name)
        except NotFound as error:
            if not error.reason:
                raise  # not the API server's own word
            return None

    async def _claim(self, namespace: str, name: str) -> Json | None:
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except NotFound as error:
            if not error.reason:
                raise
            return None
