"""SIGKILL at every call of a snapshot's life, and of its restored and cloned claims: nothing doubled, lost or left."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.snapshot_env import SnapshotEnv
from tests.volumes.test_restore import of_claim, of_snapshot
from tests.volumes.volume_env import VolumeEnv, claim

pytestmark = pytest.mark.usefixtures("snapshot_controller")


class SnapshotLife:
    """A claim with a snapshot, from which others come, under a process that may kill itself and is replaced then."""

    def __init__(self, snapshots: SnapshotEnv, start: Callable[[str], SutlerProcess], kill: str) -> None:
        self.snapshots = snapshots
        self.env = snapshots.env
        self._start = start
        self.env.process = start(kill)
        self.killed = False

    def run(self, cls: str, flattening: str, by_snapshot: str) -> str:
        """The whole life; the log of the first process comes back. `flattening`: a class whose clones are flattened."""
        env, snapshots, first = self.env, self.snapshots, self.env.process
        env.apply(claim("data", cls, "1Mi", volumeMode="Block"))
        self._until(lambda: env.all_bound(1), "the claim to be Bound")
        snapshots.write("data", "first")
        snapshots.snapshot("monday", "data", by_snapshot)
        self._until(lambda: snapshots.is_ready("monday"), "the snapshot to be ready")
        snapshots.write("data", "second")
        env.apply(claim("restored", cls, "2Mi", volumeMode="Block", **of_snapshot("monday")))
        env.apply(claim("clone", flattening, "1Mi", volumeMode="Block", **of_claim("data")))
        self._until(lambda: env.all_bound(3), "all claims to be Bound", 90)
        self._until(lambda: not self._flattens(), "the clone to be flattened", 90)
        self._check()
        env.delete_claims("data")
        self._until(lambda: len(env.volumes()) == 2, "the first volume to be gone", 90)
        snapshots.delete("volumesnapshot", "monday")
        self._until(lambda: not snapshots.contents(), "the content to be gone", 90)
        assert [snapshots.read(name) for name in ("restored", "clone")] == ["first", "second"]
        env.delete_claims()
        self._until(lambda: not env.volumes() and not env.claims(), "the volumes to be gone", 90)
        # A removal that was killed in the middle leaves a watcher, until Ceph sees that it is dead.
        self._until(lambda: not env.images() and not snapshots.trash(), "nothing to be left in Ceph", 90)
        assert self._intents() == []
        self.env.process.stop()
        return first.log_text()

    def _check(self) -> None:
        """One image for each claim, one snapshot on the first, no temporary ones, and the right data everywhere."""
        snapshots, env = self.snapshots, self.env
        assert [snapshots.read(name) for name in ("data", "restored", "clone")] == ["second", "first", "second"]
        assert len(env.images()) == len(env.volumes()) == 3
        uid = env.get("volumesnapshot", "monday")["metadata"]["uid"]
        assert snapshots.snapshots(snapshots.image_of("data")) == [f"sutler-{uid}"]
        assert len(snapshots.contents()) == 1

    def _flattens(self) -> bool:
        return any("sutler.dev/flatten-policy" in one["metadata"]["annotations"] for one in self.env.volumes())

    def _intents(self) -> list[str]:
        return self.snapshots.omap_keys("sutler.clones")

    def _until(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        def true() -> bool:
            if not self.env.process.process.alive:
                assert not self.killed, self.env.process.log_text()[-2000:]
                self.killed = True
                self.env.process = self._start("0:never")
            return condition()

        wait_for(true, what, timeout)


@pytest.fixture
def start(start_killable: Callable[..., SutlerProcess]) -> Callable[[str], SutlerProcess]:
    return lambda kill: start_killable(kill, "--reconcile-interval=5")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "step", [pytest.param(75, id="every 75th call"), pytest.param(1, id="every call", marks=pytest.mark.long)]
)
def test_killed_at_every_call_snapshots_and_clones_recover(
    step: int,
    control_plane: ControlPlane,
    ceph: Ceph,
    direct: Any,
    start: Callable[[str], SutlerProcess],
    namespace: str,
    pool: str,
) -> None:
    env = VolumeEnv(control_plane, ceph, start("0:never"), namespace, pool)
    env.process.stop()
    snapshots = SnapshotEnv(env, direct)
    cls, by_snapshot = env.storage_class(), snapshots.snapshot_class()
    flattening = env.storage_class({"flattenPolicy": "async"})
    whole = SnapshotLife(snapshots, start, "0:never").run(cls, flattening, by_snapshot)
    calls = [line.split(maxsplit=2)[2] for line in whole.splitlines() if line.startswith("point ")]
    assert len(calls) > 60, calls
    points = [*(f"{number}:before" for number in range(1, len(calls) + 1)), f"{len(calls)}:after"][::step]
    reached = 0
    for point in points:
        life = SnapshotLife(snapshots, start, point)
        life.run(cls, flattening, by_snapshot)
        reached += life.killed
    print(f"killed at {reached} points of {', '.join(calls)}")
    # Some calls are made in some lives only: a second look at what the watch has not shown yet, or at a parked image.
    assert reached >= len(points) * 0.8 - 1
    env.clean_up()
    snapshots.clean_up()
