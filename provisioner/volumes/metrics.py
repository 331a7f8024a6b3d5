"""The names that dashboards for provisioners already know, and ours. Labels are bounded: no claim's name, ever."""

import contextlib

from prometheus_client import Counter, Gauge, Histogram

from sutler.metrics import REGISTRY

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)

PROVISIONED = Counter(
    "controller_persistentvolumeclaim_provision_total", "Volumes made", ["class", "source"], registry=REGISTRY
)
PROVISION_FAILED = Counter(
    "controller_persistentvolumeclaim_provision_failed_total",
    "Tries to make a volume that failed, or whose outcome is unknown",
    ["class", "source"],
    registry=REGISTRY,
)
PROVISION_SECONDS = Histogram(
    "controller_persistentvolumeclaim_provision_duration_seconds",
    "Of a try that succeeded",
    ["class", "source"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
DELETED = Counter("controller_persistentvolume_delete_total", "Volumes deleted", ["class"], registry=REGISTRY)
DELETE_FAILED = Counter(
    "controller_persistentvolume_delete_failed_total",
    "Tries to delete a volume that failed",
    ["class"],
    registry=REGISTRY,
)
DELETE_SECONDS = Histogram(
    "controller_persistentvolume_delete_duration_seconds",
    "Of a try that succeeded",
    ["class"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
RESIZED = Counter("sutler_volume_resize_total", "Images grown", ["class"], registry=REGISTRY)
RESIZE_FAILED = Counter(
    "sutler_volume_resize_failed_total", "Tries to grow an image that failed", ["class"], registry=REGISTRY
)
ADOPTIONS = Counter(
    "sutler_adoptions_total",
    "Images asked for by `sutler volumes adopt` and `restore`: `asked`, `done` and `refused`; the rest still waits, or "
    "was taken back",
    ["step"],
    registry=REGISTRY,
)
for _step in ("asked", "done", "refused"):
    ADOPTIONS.labels(_step)
ORPHANS = Gauge(
    "sutler_orphan_images",
    "Images made for claims of this Kubernetes cluster that have neither claim nor volume any more",
    ["cluster", "pool"],
    registry=REGISTRY,
)
SUSPECTS = Gauge(
    "sutler_suspected_orphan_images",
    "Images, or names without one, that belong to no claim: called like ours, they say nothing of their owner, or they "
    "name one and may be copies",
    ["cluster", "pool"],
    registry=REGISTRY,
)
IMAGELESS = Gauge(
    "sutler_volumes_without_image",
    "PersistentVolumes of ours whose image is gone",
    ["cluster", "pool"],
    registry=REGISTRY,
)
PURGES = Gauge(
    "sutler_purges", "Images that are removed from the trash, or wait for it", ["cluster", "pool"], registry=REGISTRY
)
PURGE_PROGRESS = Gauge(
    "sutler_purge_progress_ratio",
    "How far the removal is that has most before it, 0 to 1",
    ["cluster", "pool"],
    registry=REGISTRY,
)
PURGE_LEFT = Gauge(
    "sutler_purge_left_seconds",
    "How long the removals under way take yet, estimated; 0 while there is too little to go by",
    ["cluster", "pool"],
    registry=REGISTRY,
)
IN_FLIGHT = Gauge(
    "sutler_volumes_in_progress",
    "Images asked for whose PersistentVolume is not known to be there yet",
    registry=REGISTRY,
)
AVAILABLE = Gauge(
    "sutler_pool_available_bytes",
    "What can be written to the pool yet",
    ["cluster", "pool"],
    registry=REGISTRY,
)
USED = Gauge(
    "sutler_pool_used_bytes", "What the pool's data takes, copies included", ["cluster", "pool"], registry=REGISTRY
)
QUOTA = Gauge("sutler_pool_quota_bytes", "The pool's quota, if it has one", ["cluster", "pool"], registry=REGISTRY)


def take_back(gauge: Gauge, *labels: str) -> None:
    """Say nothing any more of what nobody looks at now; nothing if nothing was said."""
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)
