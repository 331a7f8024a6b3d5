"""`python -m provisioner volumes`: an RBD image and a PersistentVolume for every claim of our StorageClasses."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from provisioner.ceph.cluster_config import CephClusters, ClusterSources
from provisioner.ceph.connection import ClusterSettings
from provisioner.volumes.adopter import Adopter
from provisioner.volumes.capacity_publisher import CapacityPublisher
from provisioner.volumes.controller import VolumesController
from provisioner.volumes.deleter import Deleter
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.orphan_scanner import OrphanPolicy, OrphanScanner
from provisioner.volumes.planning.image_users import needed
from provisioner.volumes.provisioner import Provisioner
from provisioner.volumes.refuser import ClaimRefuser
from provisioner.volumes.resizer import Resizer
from provisioner.volumes.trash_purger import TrashPurger
from sutler import probes
from sutler.kube.client import Client, connect
from sutler.kube.events import EventRecorder
from sutler.kube.lease import Elector
from sutler.kube.resources import NAMESPACES, STORAGE_CLASSES
from sutler.runtime import guard
from sutler.settings import ProcessSettings, Seconds

COMPONENT = "sutler-volumes"
"""The source of events, and the name of the lease."""


class VolumesSettings(ProcessSettings):
    lease_duration: Seconds = 15.0
    """For how many seconds the lease holds: the longest time without a leader after one was killed."""

    renew_deadline: Seconds = 10.0
    """After how many seconds without renewing it a leader stops; less than the duration."""

    retry_period: Seconds = 2.0
    """Seconds between two tries to get or renew the lease."""

    workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Volumes worked on at a time."""

    ceph_conf: str = Field(default_factory=lambda: os.environ.get("CEPH_CONF", ""))
    """Path of the ceph.conf. Default: CEPH_CONF, else Ceph's own places. CEPH_ARGS is obeyed, too."""

    ceph_user: str = "admin"
    """The Ceph user, without "client."."""

    ceph_timeout: Seconds = 15.0
    """Seconds that an OSD or a monitor has for one operation; Ceph itself would wait for ever."""

    ceph_connect_timeout: Seconds = 10.0
    """Seconds for connecting to a Ceph cluster."""

    ceph_clusters: Path | None = None
    """Folder with a mounted Secret for each clusterID: userID, userKey and, without --ceph-csi-config, ceph.conf."""

    ceph_csi_config: Path | None = None
    """Path of ceph-csi's config.json: clusterIDs and monitors."""

    reconcile_interval: Seconds = 600.0
    """Seconds between two comparisons of the images with the volumes and claims."""

    capacity_interval: Seconds = 60.0
    """Seconds between two measurements of the room in the pools."""

    orphans: Literal["report", "trash"] = "report"
    """What becomes of images of ours with neither claim nor volume: report counts and logs them only."""

    orphan_grace: Seconds = 3600.0
    """Seconds for which an image must have existed, and been seen to be an orphan, before it is moved to the trash."""

    orphan_trash_delay: Annotated[int, Field(ge=0)] = 7 * 24 * 3600
    """Seconds for which an orphan in the trash can be restored at least."""


async def main(settings: VolumesSettings) -> None:
    clusters = CephClusters(_sources(settings))
    async with connect(settings.kubeconfig, settings.context, component=COMPONENT) as client:
        watches = VolumeInformers(client)
        events = EventRecorder(client, COMPONENT)
        elector = Elector(
            client,
            COMPONENT,
            settings.namespace,
            duration=settings.lease_duration,
            renew_deadline=settings.renew_deadline,
            retry_period=settings.retry_period,
        )

        async def lead() -> None:
            await (await _controller(settings, client, clusters, watches, events, elector=elector)).run()

        ready = {"watches": watches.not_synced, "ceph": clusters.key_problem}
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, ready)),
            ("events", events.run()),
            ("lease", elector.run(lead)),
            *watches.tasks(),
        )


async def _controller(
    settings: VolumesSettings,
    client: Client,
    clusters: CephClusters,
    watches: VolumeInformers,
    events: EventRecorder,
    *,
    elector: Elector,
) -> VolumesController:
    fenced, fence = client.fenced(elector.check), elector.check
    # The identity of a Kubernetes cluster, by convention: pools may serve several.
    kubernetes = (await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"]
    # What others did as leaders, they did before: they have surely stopped by now.
    _, since = await client.collect(STORAGE_CLASSES, keep=lambda _: None, query=[])
    capacity = CapacityPublisher(
        fenced, clusters, watches.classes, namespace=settings.namespace, interval=settings.capacity_interval
    )
    refuser = ClaimRefuser(fenced, events)
    provisioner = Provisioner(
        fenced,
        clusters,
        events,
        kubernetes=kubernetes,
        fence=fence,
        absent=lambda volume: watches.surely_absent(volume, since),
        why_full=capacity.why_full,
        refuser=refuser,
    )
    policy = OrphanPolicy(
        interval=settings.reconcile_interval,
        orphans=settings.orphans,
        grace=settings.orphan_grace,
        trash_delay=settings.orphan_trash_delay,
    )
    purger = TrashPurger(clusters, fence)
    reconciler = OrphanScanner(
        fenced,
        clusters,
        watches,
        events,
        kubernetes=kubernetes,
        in_progress=provisioner.attempts.__contains__,
        purger=purger,
        policy=policy,
        fence=fence,
    )
    return VolumesController(
        watches,
        clusters,
        events,
        provisioner=provisioner,
        refuser=refuser,
        expander=Resizer(fenced, clusters, events, kubernetes=kubernetes, fence=fence),
        adopter=Adopter(
            fenced,
            clusters,
            events,
            kubernetes=kubernetes,
            classes=watches.classes.get,
            in_progress=provisioner.attempts.__contains__,
            fence=fence,
        ),
        remover=Deleter(
            fenced,
            clusters,
            events,
            kubernetes=kubernetes,
            attachments=watches.attachments,
            fence=fence,
            purge=purger.add,
            needed=lambda volume, image: needed(volume, image, watches.claims, watches.volumes),
        ),
        purger=purger,
        reconciler=reconciler,
        capacity=capacity,
        workers=settings.workers,
        # Another may lead after the whole difference.
        settle=(settings.lease_duration - settings.renew_deadline) / 2,
    )


def _sources(settings: VolumesSettings) -> ClusterSources:
    default = ClusterSettings(
        conf=settings.ceph_conf,
        user=settings.ceph_user,
        timeout=settings.ceph_timeout,
        connect_timeout=settings.ceph_connect_timeout,
        threads=max(16, settings.workers),
    )
    return ClusterSources(default, settings.ceph_clusters, settings.ceph_csi_config)
