"""Settings of `python -m provisioner volumes`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sutler.settings import LeaderElectionSettings, Seconds


class VolumesSettings(LeaderElectionSettings):
    """Provisions Ceph RBD images and PersistentVolumes for claims, resizes them and deletes them."""

    workers: Annotated[int, Field(ge=1, le=256)] = 8
    """Volumes that are processed at the same time."""

    ceph_conf: str = Field(default_factory=lambda: os.environ.get("CEPH_CONF", ""))
    """Path of the ceph.conf. Default: CEPH_CONF, else Ceph's default paths. CEPH_ARGS is also applied."""

    ceph_user: str = "admin"
    """The Ceph user, without "client."."""

    ceph_timeout: Seconds = 15.0
    """Time-out in seconds for one operation of an OSD or a monitor; Ceph itself has none."""

    ceph_connect_timeout: Seconds = 10.0
    """Time-out in seconds for connecting to a Ceph cluster."""

    ceph_clusters: Path | None = None
    """Folder with a mounted Secret for each clusterID: userID, userKey and, without --ceph-csi-config, ceph.conf."""

    ceph_csi_config: Path | None = None
    """Path of ceph-csi's config.json, which lists clusterIDs and monitors."""

    reconcile_interval: Seconds = 600.0
    """Seconds between two scans that compare the images with the volumes and claims."""

    capacity_interval: Seconds = 60.0
    """Seconds between two measurements of the pools' capacity."""

    orphans: Literal["report", "trash"] = "report"
    """What to do with Sutler's images that have neither claim nor volume. With report, Sutler only counts and logs
    them; with trash, it also moves them to the trash."""

    snapshot_driver: str = ""
    """A driver whose VolumeSnapshotContents Sutler serves besides rbd.sutler.dev: rbd.csi.ceph.com, if no
    csi-snapshotter of ceph-csi runs. Tools that choose a VolumeSnapshotClass by the volume's driver need it."""

    orphan_grace: Seconds = 3600.0
    """Seconds for which an image must have existed, and been known as an orphan, before it is moved to the trash."""

    orphan_trash_delay: Annotated[int, Field(ge=0)] = 7 * 24 * 3600
    """Minimum number of seconds for which an orphan in the trash can be restored."""
