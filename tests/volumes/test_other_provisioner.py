"""What happens to an image if the claim gets another volume meanwhile. The API server and Ceph are fakes.

Another provisioner that serves the same class can't be made to come in between on the real ones.
"""

from typing import Any

import pytest

from provisioner.ceph.errors import ImageTaken
from provisioner.ceph.model import ImageQuery
from provisioner.volumes.claim_reader import ClaimReader
from provisioner.volumes.leader_context import LeaderContext
from provisioner.volumes.planning import deletion
from provisioner.volumes.planning.claims import ProvisionClaim, decide
from provisioner.volumes.provisioner import ProvisionAttempt, Provisioner
from sutler.kube.errors import AlreadyExists, NotFound
from sutler.volumes.identity import image_id
from sutler.volumes.locations import ImageLocation
from tests.volumes.objects import UID, claim, parsed, volume

NAME = f"shop-data-{UID}"
PLACE = ImageLocation("", "rbd", "", NAME)
THEIRS = {"pv.kubernetes.io/provisioned-by": "rbd.csi.ceph.com"}


def theirs(**source: Any) -> Any:
    body = volume(phase="Bound", **source)
    body["metadata"]["annotations"] = THEIRS
    return body


def csi(handle: str, driver: str = "rbd.csi.ceph.com", **attributes: str) -> Any:
    return theirs(csi={"driver": driver, "volumeHandle": handle, "volumeAttributes": attributes})


@pytest.mark.parametrize(
    ("existing", "another"),
    [
        (csi(f"0001-0001-c-0000000000000001-{UID[::-1]}", pool="rbd", imageName="csi-vol-x"), True),
        (theirs(nfs={"server": "a", "path": "/b"}), True),
        (theirs(rbd={"pool": "rbd", "image": "other"}), True),
        (theirs(rbd={"pool": "rbd", "image": NAME}), False),
        (csi(NAME, pool="rbd", staticVolume="true"), False),
        (csi(NAME, driver="block.example.com"), False),
        (volume(), False),
        (volume(annotations={"sutler.dev/cluster-id": "b"}), False),
        (volume(annotations={"sutler.dev/image": ""}, csi={"driver": "block.example.com"}), False),
        (volume(annotations={"sutler.dev/image": "rbd/adopted"}), True),
    ],
)
def test_volume_has_another_image_only_if_that_is_sure(existing: Any, *, another: bool) -> None:
    assert deletion.has_other_image(existing, PLACE) == another


class FakeCluster:
    """One claim, whose volume exists already, and a pool that records what is removed."""

    def __init__(self, existing: Any) -> None:
        self.existing = existing
        self.removed: list[ImageQuery] = []
        self.said: list[tuple[str, str]] = []

    async def get(self, resource: Any, *_: Any) -> Any:
        if resource.kind == "PersistentVolumeClaim":
            return claim()
        if self.existing is None:
            raise NotFound(404, "NotFound", "")
        return self.existing

    async def create(self, *_: Any) -> Any:
        raise AlreadyExists(409, "AlreadyExists", "")

    def warning(self, _: Any, reason: str, message: str) -> None:
        self.said.append((reason, message))

    def normal(self, _: Any, reason: str, message: str) -> None:
        self.said.append((reason, message))

    def pool(self, *_: Any) -> "FakeCluster":
        return self

    async def fsid(self) -> str:
        return "fsid"

    async def remove(self, sought: ImageQuery, **_: Any) -> None:
        self.removed.append(sought)

    def provisioner(self, *, absent: bool) -> Provisioner:
        fake: Any = self
        clusters: Any = type("Clusters", (), {"get": lambda *_: fake})()

        async def describe_pools(_: Any) -> str:
            return ""

        context = LeaderContext(fake, clusters, fake, kubernetes="k", fence=lambda: None)
        return Provisioner(
            context,
            claim_reader=ClaimReader(fake, lambda _: (1, 0)),
            is_absent=lambda _: absent,
            describe_pools=describe_pools,
            refuser=fake,
            sources=fake,
        )


class FakeCreate(FakeCluster):
    async def create(self, *words: Any, **named: Any) -> Any:
        """Of the pool: the image is made. Of the API server: the volume is there already."""
        if "owner" in named:
            return 1, image_id("k", NAME)
        return await super().create(*words)


OURS = ImageQuery(NAME, UID, "k", image_id("k", NAME))


async def test_image_is_removed_and_claim_gets_an_event_when_another_provisioner_was_faster() -> None:
    env = FakeCreate(theirs(nfs={"server": "a", "path": "/b"}))
    assert await env.provisioner(absent=True).provision("shop/data", parsed(), lambda: None) is None
    assert env.removed == [OURS]
    ((reason, message),) = env.said
    assert reason == "ProvisioningFailed"
    assert f"another provisioner (rbd.csi.ceph.com) has created volume pvc-{UID}" in message
    assert "let only one of the two serve StorageClass fast" in message


async def test_image_stays_when_the_volume_that_was_saved_has_it() -> None:
    env = FakeCreate(volume(phase="Bound"))
    assert await env.provisioner(absent=True).provision("shop/data", parsed(), lambda: None) is None
    assert env.removed == []
    assert env.said == [
        ("ProvisioningSucceeded", f"Provisioned volume pvc-{UID} with RBD image rbd/{NAME} of StorageClass fast")
    ]


@pytest.mark.parametrize("gone", [False, True])
async def test_abandoned_attempt_is_removed_by_its_id_and_no_adopted_image(*, gone: bool) -> None:
    """By its owner, the adopted image would be found."""
    env = FakeCluster(None if gone else volume(annotations={"sutler.dev/image": "rbd/adopted"}))
    provisioner = env.provisioner(absent=False)
    decision = decide(claim(), parsed())
    assert isinstance(decision, ProvisionClaim)
    provisioner._attempts[f"pvc-{UID}"] = ProvisionAttempt(decision.request, PLACE, journal=False)
    if gone:
        await provisioner.clean_up(f"pvc-{UID}")
    else:
        await provisioner.provision("shop/data", parsed(), lambda: None)
    assert env.removed == [OURS]
    assert not provisioner._attempts


class FakeOtherOwner(FakeCluster):
    async def remove(self, sought: ImageQuery, **named: Any) -> None:
        await super().remove(sought, **named)
        raise ImageTaken("it is another's")


async def test_attempt_for_an_image_with_another_owner_ends_with_its_claim() -> None:
    env = FakeOtherOwner(None)
    provisioner = env.provisioner(absent=False)
    decision = decide(claim(), parsed())
    assert isinstance(decision, ProvisionClaim)
    provisioner._attempts[f"pvc-{UID}"] = ProvisionAttempt(decision.request, PLACE, journal=False)
    await provisioner.clean_up(f"pvc-{UID}")
    assert (env.removed, provisioner._attempts) == ([OURS], {})
