"""What tests of snapshots share: objects, and the data of images through librbd."""

import json
import secrets
from typing import Any

import rados
import rbd

from tests.cluster import wait_for
from tests.volumes.volume_env import Json, VolumeEnv

DRIVER = "rbd.sutler.dev"
GROUP = "snapshot.storage.k8s.io"
BLOCK = 4096


class SnapshotEnv:
    """The environment of a test, with snapshots."""

    def __init__(self, env: VolumeEnv, direct: Any) -> None:
        self.env = env
        self._direct = direct
        self._classes: list[str] = []

    def snapshot_class(self, policy: str = "Delete", driver: str = DRIVER) -> str:
        name = f"snapshots-{secrets.token_hex(4)}"
        kind = {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshotClass"}
        self.env.apply({**kind, "metadata": {"name": name}, "driver": driver, "deletionPolicy": policy})
        self._classes.append(name)
        return name

    def snapshot(self, name: str, claim: str, cls: str) -> None:
        spec = {"source": {"persistentVolumeClaimName": claim}, "volumeSnapshotClassName": cls}
        kind = {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot"}
        self.env.apply({**kind, "metadata": {"name": name}, "spec": spec})

    def is_ready(self, name: str) -> bool:
        return bool((self.env.get("volumesnapshot", name).get("status") or {}).get("readyToUse"))

    def wait_ready(self, name: str) -> Json:
        """The content of the snapshot, once it is ready."""
        wait_for(lambda: self.is_ready(name), f"snapshot {name} to be ready")
        return self.content(name)

    def content(self, name: str) -> Json:
        bound = self.env.get("volumesnapshot", name)["status"]["boundVolumeSnapshotContentName"]
        found: Json = self.env.get("volumesnapshotcontent", bound)
        return found

    def contents(self) -> list[str]:
        """Names of the contents of this test's namespace."""
        items = self.env.get("volumesnapshotcontent")["items"]
        return [
            one["metadata"]["name"]
            for one in items
            if one["spec"]["volumeSnapshotRef"].get("namespace") == self.env.namespace
        ]

    def image_of(self, claim: str) -> str:
        return str(self.env.volume_of(claim)["metadata"]["annotations"]["sutler.dev/image"].rpartition("/")[2])

    def write(self, claim: str, text: str, offset: int = 0) -> None:
        with self._direct.open_ioctx(self.env.pool) as ioctx, rbd.Image(ioctx, self.image_of(claim)) as image:
            image.write(text.encode().ljust(BLOCK, b"."), offset)

    def read(self, claim: str, offset: int = 0) -> str:
        with (
            self._direct.open_ioctx(self.env.pool) as ioctx,
            rbd.Image(ioctx, self.image_of(claim), read_only=True) as image,
        ):
            return bytes(image.read(offset, BLOCK)).decode().rstrip(".\0")

    def snapshots(self, image: str) -> list[str]:
        """Names of the image's snapshots, without those that only clones keep."""
        with self._direct.open_ioctx(self.env.pool) as ioctx, rbd.Image(ioctx, image, read_only=True) as opened:
            return [one["name"] for one in opened.list_snaps() if one["namespace"] == 0]

    def omap_keys(self, name: str) -> list[str]:
        """Keys of an object in the pool; none of one that does not exist."""
        with self._direct.open_ioctx(self.env.pool) as ioctx, rados.ReadOpCtx() as operation:
            found, _ = ioctx.get_omap_keys(operation, "", 1000)
            try:
                ioctx.operate_read_op(operation, name)
            except rados.ObjectNotFound:
                return []
            return [str(key) for key, _ in found]

    def trash(self) -> list[str]:
        return [one["name"] for one in json.loads(self.env.ceph.rbd("trash", "ls", self.env.pool, "--format", "json"))]

    def delete(self, kind: str, name: str) -> None:
        self.env.kubectl("delete", kind, name, "--wait=false")

    def wait_nothing_left(self, timeout: float = 60) -> None:
        env = self.env
        env.wait_gone(timeout)
        wait_for(lambda: not self.contents(), "the contents to be gone", timeout)
        wait_for(lambda: not self.trash(), "the trash to be empty", timeout)

    def clean_up(self) -> None:
        if names := [one["metadata"]["name"] for one in self.env.get("volumesnapshot")["items"]]:
            # One that a test has deleted may go meanwhile.
            self.env.kubectl("delete", "volumesnapshot", *names, "--wait=false", "--ignore-not-found")
        wait_for(lambda: not self.env.get("volumesnapshot")["items"], "the snapshots to be gone")
        if self._classes:
            self.env.control_plane.kubectl("delete", "volumesnapshotclass", *self._classes)
