"""Wires up `python -m provisioner volumes`."""

from collections.abc import Coroutine
from typing import Any

from provisioner.ceph.cluster_config import CephClusters, ClusterSources
from provisioner.ceph.connection import ClusterSettings
from provisioner.volumes.adopter import Adopter
from provisioner.volumes.capacity_publisher import CapacityPublisher
from provisioner.volumes.claim_reader import ClaimReader
from provisioner.volumes.controller import VolumesController
from provisioner.volumes.deleter import Deleter
from provisioner.volumes.flattener import Flattener
from provisioner.volumes.informers import VolumeInformers
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.modifier import VolumeModifier
from provisioner.volumes.orphan_images import OrphanPolicy
from provisioner.volumes.orphan_scanner import OrphanScanner
from provisioner.volumes.parked_images import ParkedImages
from provisioner.volumes.provisioner import Provisioner
from provisioner.volumes.refuser import ClaimRefuser
from provisioner.volumes.resizer import Resizer
from provisioner.volumes.settings import VolumesSettings
from provisioner.volumes.snapshot_controller import SnapshotController
from provisioner.volumes.snapshot_informers import SnapshotInformers
from provisioner.volumes.snapshotter import Snapshotter
from provisioner.volumes.source_finder import SourceFinder
from provisioner.volumes.source_protector import SourceProtector
from provisioner.volumes.trash_purger import TrashPurger
from sutler import probes, well_known
from sutler.kube.client import connect
from sutler.kube.events import EventRecorder
from sutler.kube.lease import Elector
from sutler.kube.resources import NAMESPACES, STORAGE_CLASSES
from sutler.runtime import guard

COMPONENT = "sutler-volumes"
"""The source of the events, and the name of the lease."""


async def main(settings: VolumesSettings) -> None:
    clusters = CephClusters(_cluster_sources(settings))
    async with connect(settings.kubeconfig, settings.context, component=COMPONENT) as client:
        informers = VolumeInformers(client)
        drivers = frozenset(filter(None, (well_known.PROVISIONER, settings.snapshot_driver)))
        snapshots = SnapshotInformers(client, drivers, notify_source=informers.notify_source)
        events = EventRecorder(client, COMPONENT)
        elector = Elector.from_settings(client, COMPONENT, settings)

        async def lead() -> None:
            kubernetes = (await client.get(NAMESPACES, "kube-system"))["metadata"]["uid"]
            # This is read after the lease was acquired: all writes of former leaders are older.
            _, version = await client.list_transformed(STORAGE_CLASSES, transform=lambda _: None, query=[])
            context = LeaderContext(client.fenced(elector.check), clusters, events, kubernetes, elector.check)
            await guard(*_controllers(settings, context, informers, snapshots, version))

        ready = {"watches": informers.sync_problem, "ceph": clusters.key_problem}
        await guard(
            ("probes", probes.serve(settings.probe_host, settings.probe_port, ready)),
            ("events", events.run()),
            ("lease", elector.run(lead)),
            *informers.tasks(),
            *snapshots.tasks(),
        )


def _controllers(
    settings: VolumesSettings,
    context: LeaderContext,
    informers: VolumeInformers,
    snapshots: SnapshotInformers,
    version: str,
) -> list[tuple[str, Coroutine[Any, Any, None]]]:
    """The tasks of a leadership. `version`: a resourceVersion that is newer than all writes of former leaders."""
    purger = TrashPurger(context.clusters, context.fence)
    parked = ParkedImages(context, purge=purger.add)
    snapshotter = Snapshotter(context, snapshots, release=parked.release)
    capacity = CapacityPublisher(
        context.client,
        context.clusters,
        informers.classes,
        namespace=settings.namespace,
        interval=settings.capacity_interval,
    )
    refuser = ClaimRefuser(context.client, context.events)
    provisioner = Provisioner(
        context,
        claim_reader=ClaimReader(context.client, informers.count_claims),
        is_absent=lambda volume: informers.is_surely_absent(volume, version),
        describe_pools=capacity.describe_pools,
        refuser=refuser,
        sources=SourceFinder(context, snapshots.drivers),
    )
    policy = OrphanPolicy(
        interval=settings.reconcile_interval,
        orphans=settings.orphans,
        grace=settings.orphan_grace,
        trash_delay=settings.orphan_trash_delay,
    )
    volumes = VolumesController(
        informers,
        context.clusters,
        context.events,
        provisioner=provisioner,
        refuser=refuser,
        resizer=Resizer(context),
        modifier=VolumeModifier(context, refuser),
        adopter=Adopter(context, get_class=informers.classes.get, is_pending=provisioner.is_pending),
        deleter=Deleter(context, informers, purge=purger.add, release=parked.release),
        flattener=Flattener(context, informers, release=parked.release),
        purger=purger,
        orphan_scanner=OrphanScanner(
            context, informers, is_pending=provisioner.is_pending, purger=purger, parked=parked, policy=policy
        ),
        capacity=capacity,
        workers=settings.workers,
        # Another replica may lead after the whole difference.
        settle_seconds=(settings.lease_duration - settings.renew_deadline) / 2,
    )
    return [
        ("snapshots", SnapshotController(snapshots, snapshotter).run()),
        ("sources", SourceProtector(context, informers, snapshots).run()),
        ("volumes", volumes.run()),
    ]


def _cluster_sources(settings: VolumesSettings) -> ClusterSources:
    default = ClusterSettings(
        conf=settings.ceph_conf,
        user=settings.ceph_user,
        timeout=settings.ceph_timeout,
        connect_timeout=settings.ceph_connect_timeout,
        threads=max(16, settings.workers),
    )
    return ClusterSources(default, settings.ceph_clusters, settings.ceph_csi_config)
