"""What `sutler snapshots` shows of VolumeSnapshots and their contents."""

from typing import Any

import pytest

from sutler.cli.snapshots.snapshot_rows import snapshot_rows

HANDLE = "sutler-1//2//5a1b/4"
LEAVING = {"deletionTimestamp": "2030-01-01T00:00:00Z"}


def snapshot(name: str = "monday", *, metadata: Any = None, **status: Any) -> Any:
    bound = {"boundVolumeSnapshotContentName": f"content-{name}", "readyToUse": True, "restoreSize": "1Gi"}
    return {
        "metadata": {"namespace": "shop", "name": name} | (metadata or {}),
        "spec": {"source": {"persistentVolumeClaimName": "data"}, "volumeSnapshotClassName": "rbd"},
        "status": bound | status,
    }


def content(name: str = "monday", *, metadata: Any = None, driver: str = "rbd.sutler.dev", **status: Any) -> Any:
    done = {"snapshotHandle": HANDLE, "creationTime": 1_700_000_000 * 10**9, "restoreSize": 1 << 30, "readyToUse": True}
    return {
        "metadata": {"name": f"content-{name}"} | (metadata or {}),
        "spec": {"driver": driver, "deletionPolicy": "Delete", "source": {"volumeHandle": "x"}},
        "status": done | status,
    }


def test_row_has_all_of_a_snapshot() -> None:
    (row,) = snapshot_rows([snapshot()], [content()])
    assert row.as_json() == {
        "snapshot": "shop/monday",
        "claim": "shop/data",
        "content": "content-monday",
        "class": "rbd",
        "deletionPolicy": "Delete",
        "handle": HANDLE,
        "size": 1 << 30,
        "created": "2023-11-14T22:13:20Z",
        "state": "Ready",
        "message": None,
    }


@pytest.mark.parametrize(
    ("case", "snapshots", "contents", "state", "says"),
    [
        ("ready", [snapshot()], [content()], "Ready", ""),
        ("being created", [snapshot(readyToUse=False)], [content(snapshotHandle=None)], "Pending", "being created"),
        ("nothing serves it", [snapshot(boundVolumeSnapshotContentName=None, readyToUse=False)], [], "Pending",
         "no snapshot-controller"),
        ("failed", [snapshot(readyToUse=False)], [content(snapshotHandle=None, error={"message": "pool full"})],
         "Failed", "pool full"),
        ("leaves", [snapshot(metadata=LEAVING)], [content()], "Deleting", "events"),
        ("content leaves", [], [content(metadata=LEAVING)], "Deleting", "events"),
        ("kept", [], [content()], "Kept", "is deleted"),
        ("driver of the volumes", [snapshot()], [content(driver="rbd.csi.ceph.com")], "Ready", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_state_says_what_became_of_it(case: str, snapshots: Any, contents: Any, state: str, says: str) -> None:
    (row,) = snapshot_rows(snapshots, contents)
    assert row.state == state, case
    assert says in row.message


def test_snapshots_of_other_drivers_are_left_out() -> None:
    other = content("other", driver="rbd.csi.ceph.com", snapshotHandle="0001-x")
    rows = snapshot_rows([snapshot("other"), snapshot()], [other, content()])
    assert [row.snapshot for row in rows] == ["shop/monday"]
