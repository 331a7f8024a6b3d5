"""SIGKILL at every call of an adoption, one by one: it ends well, or, given up by all, the image is still there."""

import json
from collections.abc import Callable, Iterator

import pytest

from sutler.volumes.adoption_request import AdoptionRequest, render, request_name
from tests.cluster import Ceph, ControlPlane, SutlerProcess, wait_for
from tests.volumes.test_killed_everywhere import MIB
from tests.volumes.world import World, claim

# As harsh as can be: what looks like an orphan is thrown away at once, and what is in the trash removed.
HARSH = ["--reconcile-interval=0.5", "--orphans=trash", "--orphan-grace=0.1", "--orphan-trash-delay=0"]
CALM = ["--reconcile-interval=1000"]

Start = Callable[[str], SutlerProcess]


@pytest.fixture
def start(start_killable: Callable[..., SutlerProcess]) -> Start:
    return lambda kill: start_killable(kill, *(HARSH if kill == "0:never" else CALM))


class Adopting:
    """An image and a request for it, under a process that kills itself at one of its calls."""

    def __init__(self, world: World, start: Start, kill: str, cls: str) -> None:
        self.world = world
        self.start = start
        self.kill = kill
        self.cls = cls
        self.name = f"disk-{kill.replace(':', '-')}"
        self.claim = f"data-{kill.replace(':', '-')}"
        self.process: SutlerProcess

    def begin(self, *, trashed: bool = False) -> None:
        world, path = self.world, f"{self.world.pool}/{self.name}"
        world.ceph.rbd("create", path, "--size", "4M")
        if trashed:
            world.ceph.rbd("trash", "mv", path, "--expires-at", "tomorrow")
            (entry,) = json.loads(world.ceph.rbd("trash", "ls", world.pool, "--format", "json"))
            wanted = {"restore_from": world.pool, "restore_id": entry["id"]}
        else:
            wanted = {"image": path}
        self.request = AdoptionRequest(namespace=world.namespace, claim=self.claim, storage_class=self.cls, **wanted)
        world.apply(render(self.request))
        self.process = self.start(self.kill)
        # The request has to be known before the claim, or a new image is made for it.
        self.until(lambda: self.asked() is None or self.said().startswith(("Checked", "Binding")), "looked at")
        world.apply(claim(self.claim, self.cls, "3Mi", volumeMode="Block"))

    def asked(self) -> str | None:
        names = [pv["metadata"]["name"] for pv in self.world.get("pv")["items"]]
        name = request_name(self.request.key)
        return name if name in names else None

    def said(self) -> str:
        annotations = self.world.get("pv", request_name(self.request.key))["metadata"]["annotations"]
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
        phase: str = self.world.get("pvc", self.claim)["status"]["phase"]
        return phase == "Bound"

    def end(self) -> None:
        """Adopted, once, whole, and gone with its claim."""
        world = self.world
        self.until(self.bound, "Bound")
        self.until(lambda: self.asked() is None, "complete")
        (volume,) = world.volumes()
        uid = world.get("pvc", self.claim)["metadata"]["uid"]
        assert (volume["spec"]["claimRef"]["uid"], volume["spec"]["persistentVolumeReclaimPolicy"]) == (uid, "Delete")
        metadata = world.metadata(self.name)
        assert (metadata["sutler.dev/uid"], "sutler.dev/adopting" in metadata) == (uid, False)
        assert "sutler.dev/adopting" not in volume["metadata"]["annotations"]
        assert world.image(self.name)["size"] == 4 * MIB
        assert world.images() == [self.name]
        world.delete_claims(self.claim)
        self.until(lambda: not world.volumes() and not world.images(), "gone")
        self.process.stop()

    def give_up(self) -> bool:
        """Request and claim are deleted while nobody works; False when the adoption had been complete before.

        It is when the bound volume has the class's policy: from then on it is a volume like any other.
        """
        world = self.world
        wait_for(lambda: not self.process.process.alive or self.asked() is None, "the process to be killed")
        name = self.asked()
        complete = any(pv["spec"]["persistentVolumeReclaimPolicy"] == "Delete" for pv in world.volumes())
        if name is not None:
            world.kubectl("delete", "pv", name)
        world.kubectl("delete", "pvc", self.claim)
        self.process.stop()
        self.process = self.start("0:never")
        if complete:
            wait_for(lambda: not world.volumes() and not world.images(), "the volume to go")
        else:
            for pv in world.volumes():
                assert pv["spec"]["persistentVolumeReclaimPolicy"] == "Retain", pv
                world.kubectl("delete", "pv", pv["metadata"]["name"])
            seen = self.comparisons()
            wait_for(lambda: self.comparisons() >= seen + 3, "comparisons of the pool with its volumes")
            assert world.image(self.name)["size"] == 4 * MIB
            world.ceph.rbd("rm", f"{world.pool}/{self.name}")
        self.process.stop()
        return not complete

    def comparisons(self) -> float:
        counted = self.process.metrics()
        name = "sutler_ceph_operation_duration_seconds_count{"
        return sum(count for key, count in counted.items() if key.startswith(name) and 'operation="list"' in key)


def follow(world: World, start: Start, cls: str, *, trashed: bool) -> list[str]:
    """The calls of an adoption that nobody disturbs, up to the deletion of the request."""
    whole = Adopting(world, start, "0:never", cls)
    whole.begin(trashed=trashed)
    process = whole.process
    whole.end()
    calls = [line.split(maxsplit=2)[2] for line in process.log_text().splitlines() if line.startswith("point ")]
    last = max(i for i, call in enumerate(calls) if call.startswith("DELETE persistentvolumes adopt-"))
    return calls[: last + 1]


def life(world: World, start: Start, kill: str, cls: str, how: str) -> bool:
    one = Adopting(world, start, kill, cls)
    one.begin(trashed=how == "restored")
    if how == "given up":
        return one.give_up()
    one.end()
    return False


@pytest.fixture
def world(control_plane: ControlPlane, ceph: Ceph, start: Start, namespace: str, pool: str) -> Iterator[World]:
    process = start("0:never")
    made = World(control_plane, ceph, process, namespace, pool)
    process.stop()
    yield made
    made.clean_up()


def test_killed_at_its_turning_points_no_image_is_lost(world: World, start: Start) -> None:
    cls = world.storage_class()
    calls = follow(world, start, cls, trashed=False)
    marked = calls.index("ceph _write") + 1
    made = next(i for i, call in enumerate(calls, 1) if call.startswith("POST persistentvolumes"))
    # Written onto the image, and no volume yet; a volume, and nobody there who binds it.
    assert life(world, start, f"{marked}:after", cls, "given up")
    assert life(world, start, f"{made}:after", cls, "given up")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", ["adopted", "given up", "restored"])
def test_killed_at_every_call_no_image_is_lost(how: str, world: World, start: Start) -> None:
    cls = world.storage_class()
    calls = follow(world, start, cls, trashed=how == "restored")
    points = [*(f"{number}:before" for number in range(1, len(calls) + 1)), f"{len(calls)}:after"]
    kept = sum(life(world, start, point, cls, how) for point in points)
    print(f"{how}: killed at {len(points)} points of {', '.join(calls)}; given up and kept: {kept}")
