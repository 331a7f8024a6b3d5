"""Metrics of the volumes controller, some by names that dashboards for provisioners already use.

Labels are bounded: none holds the name of a claim or a volume.
"""

import contextlib

from prometheus_client import Gauge

from sutler.metrics import counter, gauge, histogram
from sutler.volumes.locations import PoolLocation

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)

PROVISIONED = counter("controller_persistentvolumeclaim_provision_total", "Volumes provisioned", ["class", "source"])
PROVISION_FAILED = counter(
    "controller_persistentvolumeclaim_provision_failed_total",
    "Attempts to provision a volume that failed or whose outcome is unknown",
    ["class", "source"],
)
PROVISION_SECONDS = histogram(
    "controller_persistentvolumeclaim_provision_duration_seconds",
    "Duration of successful attempts to provision a volume",
    ["class", "source"],
    buckets=_SECONDS,
)
DELETED = counter("controller_persistentvolume_delete_total", "Volumes deleted", ["class"])
DELETE_FAILED = counter(
    "controller_persistentvolume_delete_failed_total", "Attempts to delete a volume that failed", ["class"]
)
DELETE_SECONDS = histogram(
    "controller_persistentvolume_delete_duration_seconds",
    "Duration of successful attempts to delete a volume",
    ["class"],
    buckets=_SECONDS,
)
RESIZED = counter("sutler_volume_resize_total", "Images resized", ["class"])
RESIZE_FAILED = counter("sutler_volume_resize_failed_total", "Attempts to resize an image that failed", ["class"])
MODIFIED = counter("sutler_volume_modify_total", "VolumeAttributesClasses applied to volumes", ["class"])
MODIFY_FAILED = counter(
    "sutler_volume_modify_failed_total", "Attempts to apply a VolumeAttributesClass that Ceph failed", ["class"]
)
ADOPTIONS = counter(
    "sutler_adoptions_total",
    "Adoptions requested by `sutler volumes adopt` and `restore`, by step: `asked`, `done` and `refused`; the "
    "remaining ones are pending or were cancelled",
    ["step"],
)
for _step in ("asked", "done", "refused"):
    ADOPTIONS.labels(_step)
SNAPSHOT_SECONDS = histogram(
    "csi_sidecar_operations_seconds",
    "Duration of operations on snapshots, by the names that csi-snapshotter uses",
    ["driver_name", "method_name", "grpc_status_code"],
    buckets=_SECONDS,
)
ORPHANS = gauge(
    "sutler_orphan_images",
    "Images created for claims of this Kubernetes cluster that have neither claim nor volume any more",
    ["cluster", "pool"],
)
PARKED = gauge(
    "sutler_parked_images",
    "Images whose volume is deleted and that snapshots or clones still need; Sutler deletes them after the last one",
    ["cluster", "pool"],
)
SUSPECTS = gauge(
    "sutler_suspected_orphan_images",
    "Images, or directory entries without an image, that belong to no claim: they match Sutler's naming scheme and "
    "name no owner, or they name one and may be copies",
    ["cluster", "pool"],
)
IMAGELESS = gauge(
    "sutler_volumes_without_image",
    "PersistentVolumes of Sutler's whose image does not exist any more",
    ["cluster", "pool"],
)
PURGES = gauge("sutler_purges", "Images that are being removed from the trash or wait for it", ["cluster", "pool"])
PURGE_PROGRESS = gauge(
    "sutler_purge_progress_ratio",
    "Progress of the removal from the trash that is least complete, 0 to 1",
    ["cluster", "pool"],
)
PURGE_LEFT = gauge(
    "sutler_purge_left_seconds",
    "Estimated time until the running removals from the trash are complete; 0 until it can be estimated",
    ["cluster", "pool"],
)
FLATTENING = gauge("sutler_flattening_images", "Clones that are being flattened, or wait for it")
FLATTENED = counter("sutler_image_flatten_total", "Clones flattened", ["class"])
FLATTEN_FAILED = counter("sutler_image_flatten_failed_total", "Attempts to flatten a clone that failed", ["class"])
IN_FLIGHT = gauge("sutler_volumes_in_progress", "Images requested whose PersistentVolume is not confirmed yet")
AVAILABLE = gauge("sutler_pool_available_bytes", "Bytes that can still be written to the pool", ["cluster", "pool"])
USED = gauge("sutler_pool_used_bytes", "Bytes that the pool's data occupies, including replicas", ["cluster", "pool"])
QUOTA = gauge("sutler_pool_quota_bytes", "The pool's quota, if it has one", ["cluster", "pool"])


def remove_series(gauge: Gauge, *labels: str) -> None:
    """Removes the series of these labels, if it exists."""
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)


class NamespaceSum:
    """A gauge of cluster and pool whose value is the sum over the pool's RADOS namespaces."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._counts: dict[PoolLocation, int] = {}

    def record(self, location: PoolLocation, count: int) -> None:
        self._counts[location] = count
        self._update(location)

    def retain(self, locations: set[PoolLocation]) -> None:
        """Drops the counts of all other locations, and the series of pools without a location."""
        for location in self._counts.keys() - locations:
            del self._counts[location]
            self._update(location)

    def _update(self, location: PoolLocation) -> None:
        pool = (location.cluster, location.pool)
        counts = [count for other, count in self._counts.items() if (other.cluster, other.pool) == pool]
        if counts:
            self._gauge.labels(*pool).set(sum(counts))
        else:
            remove_series(self._gauge, *pool)
