"""SIGKILL at every call of an adoption, one by one: it ends well, or, given up by all, the image is still there."""

import json
from collections.abc import Callable, Iterator

import pytest

from sutler.volumes.adoption_request import AdoptionRequest, render, request_name
from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.test_killed_everywhere import MIB
from tests.volumes.volume_env import VolumeEnv, claim

# As harsh as can be: what looks like an orphan is thrown away at once, and what is in the trash removed.
HARSH = ["--reconcile-interval=0.5", "--orphans=trash", "--orphan-grace=0.1", "--orphan-trash-delay=0"]
CALM = ["--reconcile-interval=1000"]

Start = Callable[[str], SutlerProcess]


@pytest.fixture
def start(start_killable: Callable[..., SutlerProcess]) -> Start:
    return lambda kill: start_killable(kill, *(HARSH if kill == "0:never" else CALM))


class Adopting:
    """An image and a request for it, under a process that kills itself at one of its calls."""

    def __init__(self, env: VolumeEnv, start: Start, kill: str, cls: str) -> None:
        self.env = env
        self.start = start
        self.kill = kill
        self.cls = cls
        self.name = f"disk-{kill.replace(':', '-')}"
        self.claim = f"data-{kill.replace(':', '-')}"
        self.process: SutlerProcess

    def begin(self, *, trashed: bool = False) -> None:
        env, path = self.env, f"{self.env.pool}/{self.name}"
        env.ceph.rbd("create", path, "--size", "4M")
        if trashed:
            env.ceph.rbd("trash", "mv", path, "--expires-at", "tomorrow")
            (entry,) = json.loads(env.ceph.rbd("trash", "ls", env.pool, "--format", "json"))
            wanted = {"restore_from": env.pool, "restore_id": entry["id"]}
        else:
            wanted = {"image": path}
        self.request = AdoptionRequest(namespace=env.namespace, claim=self.claim, storage_class=self.cls, **wanted)
        env.apply(render(self.request))
        self.process = self.start(self.kill)
        # The request has to be known before the claim, or a new image is made for it.
        self.until(lambda: self.asked() is None or self.said().startswith(("Checked", "Binding")), "looked at")
        env.apply(claim(self.claim, self.cls, "3Mi", volumeMode="Block"))

    def asked(self) -> str | None:
        names = [pv["metadata"]["name"] for pv in self.env.get("pv")["items"]]
        name = request_name(self.request.key)
        return name if name in names else None

    def said(self) -> str:
        annotations = self.env.get("pv", request_name(self.request.key))["metadata"]["annotations"]
        return str(annotations.get("sutler.dev/adoption", ""))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def true() -> bool:
            if not self.process.process.alive:
                assert self.kill != "0:never", self.process.log_text()[-2000:]
                self.kill = "0:never"
                self.process = self.start(self.kill)
            return condition()

        wait_for(true, f"{self.claim} to be {what}")

    def bound(self) -> bool:
        phase: str = self.env.get("pvc", self.claim)["status"]["phase"]
        return phase == "Bound"

    def end(self) -> None:
        """Adopted, once, whole, and gone with its claim."""
        env = self.env
        self.until(self.bound, "Bound")
        self.until(lambda: self.asked() is None, "complete")
        (volume,) = env.volumes()
        uid = env.get("pvc", self.claim)["metadata"]["uid"]
        assert (volume["spec"]["claimRef"]["uid"], volume["spec"]["persistentVolumeReclaimPolicy"]) == (uid, "Delete")
        metadata = env.metadata(self.name)
        assert (metadata["sutler.dev/uid"], "sutler.dev/adopting" in metadata) == (uid, False)
        assert "sutler.dev/adopting" not in volume["metadata"]["annotations"]
        assert env.image(self.name)["size"] == 4 * MIB
        assert env.images() == [self.name]
        env.delete_claims(self.claim)
        self.until(lambda: not env.volumes() and not env.images(), "gone")
        self.process.stop()

    def give_up(self) -> bool:
        """Request and claim are deleted while no controller runs; False when the adoption had been complete before.

        It is when the bound volume has the class's policy: from then on it is a volume like any other.
        """
        env = self.env
        wait_for(lambda: not self.process.process.alive or self.asked() is None, "the process to be killed")
        name = self.asked()
        complete = any(pv["spec"]["persistentVolumeReclaimPolicy"] == "Delete" for pv in env.volumes())
        if name is not None:
            env.kubectl("delete", "pv", name)
        env.kubectl("delete", "pvc", self.claim)
        self.process.stop()
        self.process = self.start("0:never")
        if complete:
            wait_for(lambda: not env.volumes() and not env.images(), "the volume to go")
        else:
            for pv in env.volumes():
                assert pv["spec"]["persistentVolumeReclaimPolicy"] == "Retain", pv
                env.kubectl("delete", "pv", pv["metadata"]["name"])
            seen = self.comparisons()
            wait_for(lambda: self.comparisons() >= seen + 3, "comparisons of the pool with its volumes")
            assert env.image(self.name)["size"] == 4 * MIB
            env.ceph.rbd("rm", f"{env.pool}/{self.name}")
        self.process.stop()
        return not complete

    def comparisons(self) -> float:
        counted = self.process.metrics()
        name = "sutler_ceph_operation_duration_seconds_count{"
        return sum(count for key, count in counted.items() if key.startswith(name) and 'operation="list"' in key)


def follow(env: VolumeEnv, start: Start, cls: str, *, trashed: bool) -> list[str]:
    """The calls of an adoption without interruption, up to the deletion of the request."""
    whole = Adopting(env, start, "0:never", cls)
    whole.begin(trashed=trashed)
    process = whole.process
    whole.end()
    calls = [line.split(maxsplit=2)[2] for line in process.log_text().splitlines() if line.startswith("point ")]
    last = max(i for i, call in enumerate(calls) if call.startswith("DELETE persistentvolumes adopt-"))
    return calls[: last + 1]


def life(env: VolumeEnv, start: Start, kill: str, cls: str, how: str) -> bool:
    one = Adopting(env, start, kill, cls)
    one.begin(trashed=how == "restored")
    if how == "given up":
        return one.give_up()
    one.end()
    return False


@pytest.fixture
def env(control_plane: ControlPlane, ceph: Ceph, start: Start, namespace: str, pool: str) -> Iterator[VolumeEnv]:
    process = start("0:never")
    made = VolumeEnv(control_plane, ceph, process, namespace, pool)
    process.stop()
    yield made
    made.clean_up()


def test_killed_at_its_turning_points_no_image_is_lost(env: VolumeEnv, start: Start) -> None:
    cls = env.storage_class()
    calls = follow(env, start, cls, trashed=False)
    marked = calls.index("ceph replace_metadata") + 1
    made = next(i for i, call in enumerate(calls, 1) if call.startswith("POST persistentvolumes"))
    # Written onto the image, and no volume yet; a volume, and no controller manager that binds it.
    assert life(env, start, f"{marked}:after", cls, "given up")
    assert life(env, start, f"{made}:after", cls, "given up")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ["adopted", "given up", "restored"])
def test_killed_at_every_call_no_image_is_lost(how: str, env: VolumeEnv, start: Start) -> None:
    cls = env.storage_class()
    calls = follow(env, start, cls, trashed=how == "restored")
    points = [*(f"{number}:before" for number in range(1, len(calls) + 1)), f"{len(calls)}:after"]
    kept = sum(life(env, start, point, cls, how) for point in points)
    print(f"{how}: killed at {len(points)} points of {', '.join(calls)}; given up and kept: {kept}")
