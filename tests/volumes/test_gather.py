"""Whether the REST API and the volumes mean the same Ceph cluster: else every image would seem to be gone."""

from typing import Any

import pytest

from sutler.cli.api_client import ApiRefusedError
from sutler.cli.volumes import fetch
from sutler.cli.volumes.inventory import VolumeInventory, build_inventory
from tests.volumes.objects import volume

HERE = "aaaaaaaa-0000-4000-8000-000000000001"
THERE = "bbbbbbbb-0000-4000-8000-000000000002"


class FakeApi:
    def __init__(self, fsid: str | None) -> None:
        self.fsid = fsid

    def get(self, path: str, *_: str, **__: str) -> Any:
        if self.fsid == "refused":
            raise ApiRefusedError(403, "no")
        return {"status": {"ceph": {"fsid": self.fsid}}, "pools": {"pools": []}}[path]

    def list_all(self, *_: str, **__: str) -> list[Any]:
        return []


def made(cluster: str, named: str | None) -> Any:
    csi = {"driver": "rbd.csi.ceph.com", "volumeAttributes": {"clusterID": named}} if named else {}
    return volume(phase="Bound", annotations={"sutler.dev/cluster-id": cluster}, csi=csi)


@pytest.mark.parametrize(
    ("volumes", "fsid", "read", "reason"),
    [
        ([made("", HERE)], HERE, True, ""),
        ([made("", HERE)], THERE, False, f"serves Ceph cluster {THERE}, and the volumes are in {HERE}"),
        ([made(THERE, THERE)], HERE, False, f"the volumes are in {THERE}"),
        ([made("rook-ceph", "rook-ceph")], HERE, True, ""),
        ([made("", None)], HERE, True, ""),
        ([made("", HERE)], None, False, "has not reached Ceph yet"),
        ([made("", HERE)], "refused", False, "no"),
        ([made("", None)], "refused", True, ""),
    ],
)
def test_images_are_read_only_from_the_cluster_of_the_volumes(
    volumes: list[Any], fsid: str | None, read: bool, reason: str
) -> None:
    inventory: VolumeInventory = build_inventory(volumes, [], [], "ours")
    ceph = fetch.CephView.__new__(fetch.CephView)
    ceph._cluster_id, ceph._api, ceph.unread_reason = None, FakeApi(fsid), ""  # type: ignore[assignment]
    ceph.read_into(inventory)
    result = (bool(inventory.images), reason in inventory.unread_reason, bool(inventory.unread_reason))
    assert result == (read, True, bool(reason))
