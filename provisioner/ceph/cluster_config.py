"""Maps a clusterID to the addresses and credentials of a Ceph cluster, from mounted files in the formats of ceph-csi.

- Default: one ceph.conf and one user, for a single cluster.
- A folder with one folder for each clusterID, each a mounted Secret: `userID` and `userKey` as in ceph-csi's Secrets,
  and `ceph.conf` unless `config.json` names the monitors.
- ceph-csi's `config.json`: ``[{"clusterID": "...", "monitors": ["..."]}]``.

Files change when Secrets are rotated, so they are read again every few seconds while they are in use.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.ceph.cluster import CephCluster
from provisioner.ceph.connection import ClusterSettings
from provisioner.ceph.errors import InvalidArgument

CACHE_SECONDS = 5.0
"""Seconds for which settings are cached."""


@dataclass(frozen=True, slots=True)
class ClusterSources:
    default: ClusterSettings
    """For a single cluster, and for what the files leave out."""
    folder: Path | None = None
    """The folder with one folder for each clusterID."""
    config_json: Path | None = None
    """ceph-csi's config.json."""


class CephClusters:
    def __init__(self, sources: ClusterSources) -> None:
        self._sources = sources
        self._known: dict[str, tuple[float, CephCluster]] = {}

    def get(self, cluster_id: str) -> CephCluster:
        """The cluster, connected or not. Raises InvalidArgument for a clusterID that is not configured."""
        read_at, cluster = self._known.get(cluster_id, (0.0, None))
        now = time.monotonic()
        if cluster is None or now - read_at > CACHE_SECONDS:
            settings = read_settings(self._sources, cluster_id)
            if cluster is None or cluster.settings != settings:
                cluster = CephCluster(settings)
            self._known[cluster_id] = (now, cluster)
        return cluster

    def key_problem(self) -> str | None:
        """The key errors of all clusters in use, for the readiness probe; None without any."""
        return "; ".join(filter(None, (cluster.key_problem for _, cluster in self._known.values()))) or None

    async def wait_idle(self, seconds: float) -> bool:
        """Waits until no call runs. Returns False if some still run after `seconds`."""
        return all([await cluster.wait_idle(seconds) for _, cluster in self._known.values()])


def read_settings(sources: ClusterSources, cluster_id: str) -> ClusterSettings:
    """Reads the files. Raises InvalidArgument."""
    monitors = _read_config_json(sources.config_json)
    folders = _find_folders(sources.folder)
    if not cluster_id or not (monitors or folders):
        # With a single cluster the clusterID is ceph-csi's name of it, and there is nothing to look it up in.
        return sources.default
    if cluster_id not in monitors and cluster_id not in folders:
        known = ", ".join(sorted({*monitors, *folders}))
        raise InvalidArgument(f"clusterID {cluster_id} is not configured: the configured ones are {known}")
    settings = replace(sources.default, name=cluster_id, monitors=monitors.get(cluster_id, ()))
    folder = folders.get(cluster_id)
    if folder is None:
        return settings
    conf = folder / "ceph.conf"
    return replace(
        settings,
        conf=str(conf) if conf.exists() else settings.conf,
        monitors=() if conf.exists() else settings.monitors,
        user=_read_text(folder / "userID") or settings.user,
        key=_read_text(folder / "userKey") or settings.key,
    )


def _read_config_json(path: Path | None) -> dict[str, tuple[str, ...]]:
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_text())
        return {entry["clusterID"]: tuple(entry["monitors"]) for entry in entries}
    except FileNotFoundError:
        raise InvalidArgument(f"ceph-csi's configuration {path} does not exist") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(
            f'{path} is not ceph-csi\'s config.json ([{{"clusterID", "monitors"}}, ...]): {error}'
        ) from error


def _find_folders(path: Path | None) -> dict[str, Path]:
    if path is None:
        return {}
    if not path.is_dir():
        raise InvalidArgument(f"the folder of Ceph clusters {path} does not exist")
    # Kubernetes keeps the versions of a mounted volume under names that begin with dots.
    return {entry.name: entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")}


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
