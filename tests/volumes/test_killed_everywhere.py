"""SIGKILL at every call of a volume's life, one by one, and a new start: nothing doubled, lost or left behind."""

from collections.abc import Callable

import pytest

from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.volume_env import VolumeEnv, claim

MIB = 1024**2


class Life:
    """A claim from its creation to its deletion, under a process that may kill itself and is replaced then."""

    def __init__(self, env: VolumeEnv, start: Callable[[str], SutlerProcess], kill: str) -> None:
        self.env = env
        self._start = start
        self.env.process = start(kill)
        self.killed = False
        self.name = f"data-{kill.replace(':', '-')}"

    def run(self, storage_class: str) -> str:
        """The whole life; the log of the first process comes back."""
        env, name, first = self.env, self.name, self.env.process
        env.apply(claim(name, storage_class, "1Mi", volumeMode="Block"))
        self._until(lambda: env.get("pvc", name)["status"]["phase"] == "Bound", "Bound")
        self._check(MIB)
        env.kubectl("patch", "pvc", name, "-p", '{"spec":{"resources":{"requests":{"storage":"3Mi"}}}}')
        self._until(lambda: env.get("pvc", name)["status"]["capacity"]["storage"] == "3Mi", "grown")
        self._check(3 * MIB)
        env.delete_claims(name)
        self._until(lambda: not env.volumes(), "gone")
        # A remove that was killed in the middle leaves a watcher, until Ceph sees that it is dead.
        self._until(lambda: not env.images(), "gone from Ceph", 60)
        self.env.process.stop()
        return first.log_text()

    def _until(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        def true() -> bool:
            if not self.env.process.process.alive:
                assert not self.killed, self.env.process.log_text()[-2000:]
                self.killed = True
                self.env.process = self._start("0:never")
            return condition()

        wait_for(true, f"the claim {self.name} to be {what}", timeout)

    def _check(self, size: int) -> None:
        """At most one image per claim, one volume per image, the same size everywhere, both naming the claim."""
        (volume,) = self.env.volumes()
        (image,) = self.env.images()
        uid = volume["spec"]["claimRef"]["uid"]
        assert self.env.metadata(image)["sutler.dev/uid"] == uid
        assert self.env.image(image)["size"] == size
        assert volume["spec"]["capacity"]["storage"] == f"{size // MIB}Mi"


@pytest.fixture
def start(start_killable: Callable[..., SutlerProcess]) -> Callable[[str], SutlerProcess]:
    return lambda kill: start_killable(kill, "--reconcile-interval=1000")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "step", [pytest.param(40, id="every fortieth call"), pytest.param(1, id="every call", marks=pytest.mark.long)]
)
def test_killed_at_every_call_everything_recovers(
    step: int, control_plane: ControlPlane, ceph: Ceph, start: Callable[[str], SutlerProcess], namespace: str, pool: str
) -> None:
    env = VolumeEnv(control_plane, ceph, start("0:never"), namespace, pool)
    env.process.stop()
    cls = env.storage_class({"journal": "ceph-csi", "clusterID": "b"}, allowVolumeExpansion=True)
    whole = Life(env, start, "0:never").run(cls)
    calls = [line.split(maxsplit=2)[2] for line in whole.splitlines() if line.startswith("point ")]
    assert len(calls) > 15, calls
    # After a call is before the next one: what counts is done by the calls, and a killed process remembers nothing.
    points = [*(f"{number}:before" for number in range(1, len(calls) + 1)), f"{len(calls)}:after"][::step]
    reached = 0
    for point in points:
        life = Life(env, start, point)
        life.run(cls)
        reached += life.killed
    print(f"killed at {reached} points of {', '.join(calls)}")
    # A look more or less, at what the watch has not shown yet, is made in some lives only.
    assert reached >= len(points) - (3 if step == 1 else 1)
    env.clean_up()
