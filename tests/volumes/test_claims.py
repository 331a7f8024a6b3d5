"""The decision table for claims, by name of the case."""

from typing import Any

import pytest

from provisioner.volumes.planning.claims import IgnoreClaim, ProvisionClaim, RefuseClaim, decide, size_warning
from tests.volumes.objects import UID, claim, parsed

WAITING = parsed(volumeBindingMode="WaitForFirstConsumer")
OTHER = {"volume.kubernetes.io/storage-provisioner": "rbd.csi.ceph.com"}
NODE = {"volume.kubernetes.io/selected-node": "node-1"}


@pytest.mark.parametrize(
    ("case", "obj", "cls"),
    [
        ("plain", claim(), parsed()),
        ("named by the old annotation", claim(storageClassName="x", metadata={
            "annotations": {"volume.beta.kubernetes.io/storage-class": "fast"}}), parsed()),
        ("given to us by the old annotation", claim(metadata={
            "annotations": {"volume.beta.kubernetes.io/storage-provisioner": "rbd.sutler.dev"}}), parsed()),
        ("given to us by both annotations", claim(metadata={"annotations": {
            "volume.beta.kubernetes.io/storage-provisioner": "rbd.sutler.dev",
            "volume.kubernetes.io/storage-provisioner": "rbd.sutler.dev"}}), parsed()),
        ("annotated class of another name", claim(metadata={"annotations": OTHER}), parsed(
            annotations={"sutler.dev/provision": "rbd"}, provisioner="rbd.csi.ceph.com")),
        ("no node needed", claim(metadata={"annotations": NODE}), parsed()),
        ("node selected", claim(metadata={"annotations": NODE}), WAITING),
        ("block, by many nodes", claim(volumeMode="Block", accessModes=["ReadWriteMany"]), parsed()),
        ("read by many after being written by one", claim(accessModes=["ReadWriteOnce", "ReadOnlyMany"]), parsed()),
        ("one Pod only", claim(accessModes=["ReadWriteOncePod"]), parsed()),
        ("no volumeMode, as from old API servers", claim(volumeMode=None), parsed()),
        ("empty selector", claim(selector={}), parsed()),
        ("attributes", claim(volumeAttributesClassName="gold"), parsed()),
        ("no status yet", claim(status={}), parsed()),
        ("another claim's finalizers do not matter", claim(metadata={"finalizers": ["x"]}), parsed()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_claim_is_provisioned(case: str, obj: Any, cls: Any) -> None:
    decision = decide(obj, cls)
    assert isinstance(decision, ProvisionClaim), case
    assert decision.request.uid == UID
    assert decision.request.size == 1024**3


@pytest.mark.parametrize(
    ("case", "obj", "cls", "reason"),
    [
        ("other class", claim(storageClassName="slow"), parsed(), "another StorageClass"),
        ("no class", claim(storageClassName=""), parsed(), "another StorageClass"),
        ("class changed by the old annotation", claim(metadata={
            "annotations": {"volume.beta.kubernetes.io/storage-class": "slow"}}), parsed(), "another StorageClass"),
        ("bound", claim(volumeName="pvc-1", status={"phase": "Bound"}), parsed(), "has a volume"),
        ("names a volume that is not bound yet", claim(volumeName="by-hand"), parsed(), "has a volume"),
        ("being deleted", claim(metadata={"deletionTimestamp": "2030-01-01T00:00:00Z"}), parsed(), "deleted"),
        ("lost", claim(status={"phase": "Lost"}), parsed(), "lost"),
        ("another provisioner's", claim(metadata={"annotations": OTHER}), parsed(), "another provisioner"),
        ("waits for a Pod", claim(), WAITING, "first Pod"),
        ("its node was taken back", claim(metadata={
            "annotations": {"volume.kubernetes.io/selected-node": ""}}), WAITING, "first Pod"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_claim_is_ignored(case: str, obj: Any, cls: Any, reason: str) -> None:
    decision = decide(obj, cls)
    assert isinstance(decision, IgnoreClaim), case
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("case", "obj", "says"),
    [
        ("shared filesystem", claim(accessModes=["ReadWriteMany"]), "volumeMode Block, or CephFS"),
        ("shared filesystem among others", claim(accessModes=["ReadWriteOnce", "ReadWriteMany"]), "ReadWriteOnce"),
        ("only ever read", claim(accessModes=["ReadOnlyMany"]), "nothing to read"),
        ("selector", claim(selector={"matchLabels": {"a": "b"}}), "remove it"),
        ("nothing", claim(size="0"), "more than 0"),
        ("less than nothing", claim(size="-1Gi"), "more than 0"),
        ("no quantity", claim(size="much"), "like 10Gi"),
        ("no size at all", claim(resources={}), "spec.resources.requests.storage"),
        ("no requests", claim(resources={"requests": None}), "spec.resources.requests.storage"),
        ("too much", claim(size="8Ei"), "63 bits"),
        ("too much when rounded up", claim(size="9223372036854775807"), "63 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_impossible_claim_is_refused_with_what_to_do(case: str, obj: Any, says: str) -> None:
    decision = decide(obj, parsed())
    assert isinstance(decision, RefuseClaim), case
    assert says in decision.message


@pytest.mark.parametrize(
    ("parameters", "says"), [({"mounter": "rbd-nbd"}, "mounter rbd-nbd"), ({"volumeSource": "rbd"}, "volumeSource rbd")]
)
def test_attributes_that_nodes_would_not_apply_are_refused(parameters: dict[str, str], says: str) -> None:
    decision = decide(claim(volumeAttributesClassName="gold"), parsed(parameters))
    assert isinstance(decision, RefuseClaim)
    assert says in decision.message
    assert "remove it, or use another class" in decision.message


def test_no_event_on_an_invalid_claim_of_another_provisioner() -> None:
    assert isinstance(decide(claim(storageClassName="slow", accessModes=["ReadWriteMany"]), parsed()), IgnoreClaim)
    assert isinstance(decide(claim(accessModes=["ReadWriteMany"]), WAITING), IgnoreClaim)


@pytest.mark.parametrize(
    ("size", "bytes_"),
    [("1.5Gi", 1610612736), ("1", 512), ("1G", 10**9), ("100m", 512), ("0.1Gi", 107374592), ("12e6", 12 * 10**6 + 256)],
)
def test_size_is_exact_to_the_sector_and_never_less(size: str, bytes_: int) -> None:
    decision = decide(claim(size=size, volumeMode="Block"), parsed())
    assert isinstance(decision, ProvisionClaim)
    assert decision.request.size == bytes_


@pytest.mark.parametrize(
    ("filesystem", "size", "least"),
    [
        ("ext4", "512", "128Ki"),
        ("ext4", "131071", None),
        ("ext3", "1", "128Ki"),
        ("xfs", "64Ki", "128Ki"),
        ("xfs", "8Mi", None),
        ("btrfs", "1M", None),
    ],
)
def test_claim_too_small_for_a_filesystem_is_refused_with_the_least_size(
    filesystem: str, size: str, least: str | None
) -> None:
    cls = parsed({"csi.storage.k8s.io/fstype": filesystem})
    decision = decide(claim(size=size), cls)
    if least is None:
        # Rounded up to a sector it is large enough.
        assert isinstance(decision, ProvisionClaim)
        return
    assert isinstance(decision, RefuseClaim)
    assert f"too small for any filesystem: request {least} or more" in decision.message
    assert isinstance(decide(claim(size=size, volumeMode="Block"), cls), ProvisionClaim)
    # An image that is to be adopted already has its filesystem, of any size.
    assert isinstance(decide(claim(size=size), cls, formatted=True), ProvisionClaim)


@pytest.mark.parametrize(
    ("filesystem", "size", "mode", "says"),
    [
        ("xfs", "8Mi", "Filesystem", "mkfs.xfs create no filesystem of less than 300Mi"),
        ("xfs", "299Mi", "Filesystem", "mkfs.xfs create no filesystem of less than 300Mi"),
        ("btrfs", "64Mi", "Filesystem", "less than 109Mi"),
        ("xfs", "300Mi", "Filesystem", ""),
        ("xfs", "100Mi", "Block", ""),
        ("ext4", "1Mi", "Filesystem", ""),
    ],
)
def test_size_that_only_old_versions_can_format_is_served_with_a_word(
    filesystem: str, size: str, mode: str, says: str
) -> None:
    decision = decide(claim(size=size, volumeMode=mode), parsed({"csi.storage.k8s.io/fstype": filesystem}))
    assert isinstance(decision, ProvisionClaim)
    said = size_warning(decision.request, filesystem)
    assert says in said
    assert bool(said) is bool(says)


KEY = "${pvc.annotations['team.example.com/key']}"


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({}, "annotation team.example.com/key, which is missing: set it"),
        ({"team.example.com/other": "a"}, "annotation team.example.com/key, which is missing: set it"),
        ({"team.example.com/key": "Not A Name"}, "became 'rbd-Not A Name', which is not the name of a Secret"),
        ({"team.example.com/key": "${pvc.name}"}, "is not the name of a Secret"),
        ({"team.example.com/key": "../kube-system/x"}, "is not the name of a Secret"),
    ],
)
def test_claim_without_the_annotation_that_names_the_secret_is_refused(annotations: dict[str, str], says: str) -> None:
    cls = parsed(
        {
            "csi.storage.k8s.io/node-stage-secret-name": f"rbd-{KEY}",
            "csi.storage.k8s.io/node-stage-secret-namespace": "default",
        }
    )
    decision = decide(claim(metadata={"annotations": annotations}), cls)
    assert isinstance(decision, RefuseClaim)
    assert says in decision.message
    assert decision.message.startswith("StorageClass fast: ")
