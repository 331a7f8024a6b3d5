"""SIGKILL at every call while a claim's attributes change: they are applied once, and nothing else changes."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.attributes_env import limits, request, with_attributes
from tests.volumes.volume_env import VolumeEnv

pytestmark = [
    pytest.mark.needs(kubernetes="1.34", why="older servers know no VolumeAttributesClass"),
    pytest.mark.usefixtures("attributes_classes"),
]


class AttributesLife:
    """A claim whose attributes change, under a process that may kill itself and is replaced then."""

    def __init__(self, env: VolumeEnv, start: Callable[[str], SutlerProcess], kill: str) -> None:
        self.env = env
        self._start = start
        self.env.process = start(kill)
        self.killed = False

    def run(self, cls: str) -> str:
        """The whole life; the log of the first process comes back."""
        env, first = self.env, self.env.process
        env.apply(with_attributes("data", cls, "gold", size="1Mi", volumeMode="Block"))
        self._until(lambda: env.all_bound(1), "Bound")
        assert limits(env, "data") == {"read_iops": "1000", "write_iops": "8", "read_bps": "52428800"}
        request(env, "silver")
        self._until(lambda: self._current() == ("silver", None), "silver")
        assert limits(env, "data") == {"read_iops": "500", "write_iops": "8"}
        assert env.volume_of("data")["spec"]["volumeAttributesClassName"] == "silver"
        assert len(env.images()) == len(env.volumes()) == 1
        env.delete_claims()
        self._until(lambda: not env.volumes() and not env.claims() and not env.images(), "gone")
        env.process.stop()
        return first.log_text()

    def _current(self) -> tuple[str | None, Any]:
        status = self.env.get("pvc", "data")["status"]
        return status.get("currentVolumeAttributesClassName"), status.get("modifyVolumeStatus")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        def true() -> bool:
            if not self.env.process.process.alive:
                assert not self.killed, self.env.process.log_text()[-2000:]
                self.killed = True
                self.env.process = self._start("0:never")
            return condition()

        try:
            wait_for(true, f"the claim to be {what}", 60)
        except TimeoutError as error:
            raise AssertionError(self.env.process.log_text()[-3000:]) from error


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "step", [pytest.param(30, id="every thirtieth call"), pytest.param(1, id="every call", marks=pytest.mark.long)]
)
def test_killed_at_every_call_the_attributes_are_applied_once(
    step: int,
    control_plane: ControlPlane,
    ceph: Ceph,
    start_killable: Callable[..., SutlerProcess],
    namespace: str,
    pool: str,
) -> None:
    def start(kill: str) -> SutlerProcess:
        return start_killable(kill, "--reconcile-interval=1000")

    env = VolumeEnv(control_plane, ceph, start("0:never"), namespace, pool)
    env.process.stop()
    cls = env.storage_class({"maxWriteIops": "8"})
    whole = AttributesLife(env, start, "0:never").run(cls)
    calls = [line.split(maxsplit=2)[2] for line in whole.splitlines() if line.startswith("point ")]
    assert "ceph replace_metadata" in calls, calls
    reached = 0
    points = range(1, len(calls) + 1)[step - 1 :: step]
    for point in points:
        life = AttributesLife(env, start, f"{point}:before")
        life.run(cls)
        reached += life.killed
    print(f"killed at {reached} points of {', '.join(calls)}")
    assert reached >= len(points) - (3 if step == 1 else 1)
    env.clean_up()
