"""Whether the REST API and the volumes mean the same Ceph cluster: else every image would seem to be gone."""

from typing import Any

import pytest

from sutler.cli.api_client import ApiRefusedError
from sutler.cli.volumes import fetch
from sutler.cli.volumes.inventory import VolumeInventory, sort_out
from tests.volumes.objects import volume

HERE = "aaaaaaaa-0000-4000-8000-000000000001"
THERE = "bbbbbbbb-0000-4000-8000-000000000002"


class Console:
    def __init__(self, fsid: str | None) -> None:
        self.fsid = fsid

    def get(self, path: str, *_: str, **__: str) -> Any:
        if self.fsid == "refused":
            raise ApiRefusedError(403, "no")
        return {"status": {"ceph": {"fsid": self.fsid}}, "pools": {"pools": []}}[path]

    def items(self, *_: str, **__: str) -> list[Any]:
        return []


def made(cluster: str, named: str | None) -> Any:
    csi = {"driver": "rbd.csi.ceph.com", "volumeAttributes": {"clusterID": named}} if named else {}
    return volume(phase="Bound", annotations={"sutler.dev/cluster-id": cluster}, csi=csi)


@pytest.mark.parametrize(
    ("volumes", "fsid", "looked", "unseen"),
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
def test_images_are_looked_for_only_where_the_volumes_are(
    volumes: list[Any], fsid: str | None, looked: bool, unseen: str
) -> None:
    facts: VolumeInventory = sort_out(volumes, [], [], "ours")
    ceph = fetch.CephView.__new__(fetch.CephView)
    ceph._cluster_id, ceph._console, ceph.unseen = None, Console(fsid), ""  # type: ignore[assignment]
    ceph.look(facts)
    assert (bool(facts.images), unseen in facts.unseen, bool(facts.unseen)) == (looked, True, bool(unseen))
