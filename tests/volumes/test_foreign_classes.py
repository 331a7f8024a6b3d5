"""StorageClasses as other projects' examples have them: served as they are, or refused with what to write."""

from typing import Any

import pytest

from provisioner.volumes.cache_entries import class_entry
from provisioner.volumes.planning.secret_templates import SecretReference
from provisioner.volumes.planning.storage_class import ClassError, VolumeClass, parse_class
from sutler.volumes.locations import PoolLocation
from sutler.volumes.served_classes import pool_location, volume_source
from tests.volumes.objects import parsed, storage_class

CSI = "csi.storage.k8s.io/"


def secrets(*kinds: str, name: str = "csi-rbd-secret", namespace: str = "ceph-csi") -> dict[str, str]:
    return {
        f"{CSI}{kind}-secret-{part}": value
        for kind in kinds
        for part, value in (("name", name), ("namespace", namespace))
    }


CEPH_CSI = {"clusterID": "b9127830-b0cc-4e34-aa47-9d1a2e9949a8", "imageFeatures": "layering"} | secrets(
    "provisioner", "controller-expand", "controller-publish", "node-stage", "controller-modify", "node-publish"
)
IN_TREE = {
    "monitors": "10.16.153.105:6789",
    "adminId": "kube",
    "adminSecretName": "ceph-secret",
    "adminSecretNamespace": "kube-system",
    "userId": "kube",
    "userSecretName": "ceph-secret-user",
    "userSecretNamespace": "default",
    "imageFormat": "2",
    "imageFeatures": "layering",
}


@pytest.mark.parametrize(
    ("parameters", "more"),
    [
        (CEPH_CSI | {f"{CSI}fstype": "ext4"}, {"mountOptions": ["discard"]}),
        (CEPH_CSI | {"encrypted": "false", "thickProvision": "false", "tryOtherMounters": "false"}, {}),
        (CEPH_CSI | {"encrypted": "F", "encryptionKMSID": "vault", "encryptionType": "block"}, {}),
        (CEPH_CSI | {"encryptionSectorSize": "4096", "encryptionCipher": "aes-xts-plain64", "encryptionKeySize": "256",
                     "integrityMode": "hmac-sha512"}, {}),
        (CEPH_CSI | {"stripeUnit": "", "stripeCount": "", "objectSize": "", "dataPool": "", "mounter": ""}, {}),
        (CEPH_CSI | {"imageFeatures": "", "topologyConstrainedPools": "[]", "volumeNamePrefix": ""}, {}),
        (CEPH_CSI | {"imageFormat": "2", "snapshotNamePrefix": "snap-", "multiNodeWritable": "enabled"}, {}),
        (CEPH_CSI | secrets("node-expand", "resizer", "snapshotter"), {}),
        (CEPH_CSI | {"fsType": "xfs"}, {}),
        (CEPH_CSI | {f"{CSI}fstype": ""}, {}),
        (CEPH_CSI | {"extraDeploy": "[]"}, {"allowVolumeExpansion": True}),
        ({"clusterID": "rook-ceph", "imageFormat": "2", "imageFeatures": "layering", f"{CSI}fstype": "ext4"}
         | secrets("provisioner", "controller-expand", "node-stage", namespace="rook-ceph"), {}),
        ({"clusterID": "openshift-storage", "imageFormat": "2", "mounter": "rbd", "mapOptions": "krbd:rxbounce"}, {}),
        (IN_TREE, {"provisioner": "ceph.com/rbd", "annotations": {"sutler.dev/provision": "rbd"}}),
        ({name.lower(): value for name, value in IN_TREE.items()}, {}),
        (IN_TREE, {"allowVolumeExpansion": True}),
    ],
)  # fmt: skip
def test_class_is_served_as_it_stands(parameters: dict[str, str], more: dict[str, Any]) -> None:
    assert parsed(parameters, **more).pool == "rbd"


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"encrypted": "true"}, "does not serve encryption"),
        ({"encrypted": "T"}, "ceph-csi's own provisioner"),
        ({"encrypted": "yes"}, "'yes' is neither true nor false"),
        ({"thickProvision": "1"}, "does not serve thick provisioning"),
        ({"tryOtherMounters": "maybe"}, "neither true nor false"),
        ({"imageFormat": "1"}, "images have format 2: remove it"),
        ({"topologyConstrainedPools": '[{"poolName": "a"}]'}, "a class for each pool"),
        ({"baseReadIops": "100"}, "serves the limits maxReadIops, maxWriteIops, maxReadBps, maxWriteBps alone"),
        ({"mapOptions": "read_from_replica=localize,crush_location=zone:a"}, "begin with krbd: or nbd:"),
        ({"unmapOptions": "rbd:force"}, "begin with krbd: or nbd:"),
        ({"volumeNamePrefix": "a/"}, "letters, digits"),
        ({"volumeNamePrefix": "a-", "imageNameTemplate": "{uid}"}, "remove one"),
        ({"volumeNamePrefix": "a-", "journal": "ceph-csi", "clusterID": "c"}, "names the images itself"),
        ({"fsType": "xfs", f"{CSI}fstype": "ext4"}, "given twice"),
        ({"fsType": "ext2"}, "ext4, ext3, xfs, btrfs"),
        ({"monitors": "10.0.0.1:6789"}, "remove them and set clusterID"),
        ({"userSecretName": "s", "volumeSource": "csi"}, "node-stage-secret-name"),
        ({"monitors": "a,,b", "volumeSource": "rbd"}, "not a list of addresses"),
        (IN_TREE | secrets("node-stage"), "remove one"),
        ({"journalPool": "other"}, "Sutler writes the journal in rbd"),
        ({"csiDriver": "rbd csi"}, "not the name of a CSI driver"),
        ({f"{CSI}node-stage-secret-nam": "s"}, f"did you mean {CSI}node-stage-secret-name?"),
        ({"blockPool": "replicapool"}, "did you mean pool?"),
        ({"clusterNamespace": "rook-ceph"}, "did you mean clusterID?"),
        ({"secretRef": "ceph-secret"}, "did you mean userSecretName?"),
        ({"monValueFromSecret": "monitors"}, "remove it"),
        ({"csiNodeStageSecretName": "s"}, "belong together"),
        ({"radosNamespace": "${pvc.namespace}"}, "allowed only in names of Secrets"),
        ({"pool": "kube-${pvc.name}"}, "allowed only in names of Secrets"),
        ({"imageNameTemplate": "${pvc.name}-{uid}"}, "letters, digits"),
        ({"imageFeatures": "layering,exclusive-lock,journaling"}, "set mounter: rbd-nbd"),
        ({"poolName": "kube"}, "did you mean pool? otherwise remove it"),
        ({"dataBlockPool": "ec"}, "did you mean dataPool?"),
        (
            {"fsName": "cephfs", "kernelMountOptions": "ms_mode=secure"},
            "kernelMountOptions: Sutler serves RBD images only",
        ),
        ({"objectSize": "4M"}, "did you mean 4Mi?"),
        ({"objectSize": "4 MB"}, "did you mean 4Mi?"),
        ({"stripeUnit": "64K", "stripeCount": "8"}, "'64K' is not a size: did you mean 64Ki?"),
        ({"pool": "kube\0csi"}, "must not contain blanks, control characters"),
        ({"dataPool": "ec\x1b[2J"}, "must not contain blanks, control characters"),
        ({"radosNamespace": "\x7f"}, "must not contain blanks, control characters"),
    ],
)
def test_parameter_that_would_change_the_volume_is_refused_with_a_fix(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ClassError) as caught:
        parsed(parameters)
    assert says in str(caught.value)


def test_what_is_given_twice_and_can_not_be_read_is_not_called_missing() -> None:
    with pytest.raises(ClassError) as caught:
        parsed({"stripeUnit": "64K", "stripeCount": "8"})
    assert "belong together" not in str(caught.value)


@pytest.mark.parametrize("options", [["ro"], ["noatime,ro"], ["discard", " ro"]])
def test_read_only_mount_of_new_images_is_refused(options: list[str]) -> None:
    with pytest.raises(ClassError, match="mountOptions: with ro, no node can format"):
        parsed(mountOptions=options)
    assert parsed(mountOptions=["errors=remount-ro", "rw"]).mount_options == ("errors=remount-ro", "rw")


@pytest.mark.parametrize("parameters", [{"mounter": "rbd-nbd"}, {"tryOtherMounters": "true"}])
def test_journaling_is_served_where_nodes_can_map_it(parameters: dict[str, str]) -> None:
    assert "journaling" in parsed({"imageFeatures": "exclusive-lock,journaling"} | parameters).features


def test_in_tree_class_asks_for_in_tree_volumes() -> None:
    cls = parsed(IN_TREE | {"fsType": "xfs"})
    assert (cls.volume_source, cls.monitors, cls.user) == ("rbd", ("10.16.153.105:6789",), "kube")
    assert (cls.secret, cls.filesystem) == (SecretReference("ceph-secret-user", "default"), "xfs")
    assert volume_source(storage_class(IN_TREE)) == "rbd"
    assert volume_source(storage_class({"USERSECRETNAME": "s"})) == "rbd"
    assert volume_source(storage_class()) == "csi"


def test_growth_of_in_tree_volumes_is_for_kubernetes_which_needs_a_user() -> None:
    with pytest.raises(ClassError) as caught:
        parsed({"volumeSource": "rbd"}, allowVolumeExpansion=True)
    assert """kubectl patch storageclass fast -p '{"allowVolumeExpansion":false}'""" in str(caught.value)
    assert not parsed({"volumeSource": "rbd"}, allowVolumeExpansion=False).expandable


def test_provisioner_of_kubernetes_itself_is_refused() -> None:
    with pytest.raises(ClassError, match=r"create a class with the same parameters and provisioner rbd\.sutler\.dev"):
        parsed(IN_TREE, {"sutler.dev/provision": "rbd"}, provisioner="kubernetes.io/rbd")
    parsed(None, {"sutler.dev/provision": "rbd"}, provisioner="kubernetes.io/no-provisioner")


def test_what_the_node_plugin_reads_is_passed_on_as_it_is_written() -> None:
    written = {
        "mounter": "rbd-nbd",
        "mapOptions": "krbd:lock_on_read,queue_depth=1024;nbd:try-netlink",
        "unmapOptions": "force",
        "tryOtherMounters": "T",
        "mkfsOptions": "-m0 -Ediscard -i1024",
        "cephLogDir": "/var/log/ceph",
        "cephLogStrategy": "compress",
    }
    assert dict(parsed(CEPH_CSI | written).options) == written
    assert parsed(CEPH_CSI | {"mounter": "", "cephLogDir": ""}).options == ()


def test_prefix_of_image_names_is_ceph_csis() -> None:
    assert parsed({"volumeNamePrefix": "team-"}).template == "team-{uid}"
    assert parsed({"volumeNamePrefix": "csi-vol-", "journal": "ceph-csi", "clusterID": "c"}).journal


@pytest.mark.parametrize(
    ("parameters", "secret"),
    [
        (secrets("node-stage"), SecretReference("csi-rbd-secret", "ceph-csi")),
        ({f"{CSI}secret-name": "all", f"{CSI}secret-namespace": "ns"}, SecretReference("all", "ns")),
        (secrets("node-stage") | {f"{CSI}secret-name": "all", f"{CSI}secret-namespace": "ns"},
         SecretReference("csi-rbd-secret", "ceph-csi")),
        ({"csiNodeStageSecretName": "old", "csiNodeStageSecretNamespace": "ns"}, SecretReference("old", "ns")),
        ({"csiProvisionerSecretName": "old", "csiProvisionerSecretNamespace": "ns"}, None),
        (secrets("provisioner", "node-publish"), None),
    ],
)  # fmt: skip
def test_nodes_secret_is_found_under_each_of_its_names(
    parameters: dict[str, str], secret: SecretReference | None
) -> None:
    assert parsed(parameters).secret == secret


@pytest.mark.parametrize(
    ("name", "namespace", "says"),
    [
        ("s", "${pvc.name}", "because the claim's author could choose it"),
        ("s", "team-${pvc.name}", "or ${pvc.namespace}"),
        ("s", "${pvc.annotations['ns']}", "is not allowed in a Secret's namespace"),
        ("s", "${pvc.labels['ns']}", "is not allowed in a Secret's namespace"),
        ("${pvc.uid}", "default", "${pvc.uid} is not known in a Secret's name; known are ${pv.name}, ${pvc.namespace}"),
        ("${pvc.annotations[key]}", "default", "${pvc.annotations['KEY']}"),
        ("$pvc.name", "default", "'$pvc.name' is not the name of a Secret"),
        ("${pvc.name", "default", "is not the name of a Secret"),
        ("s", "Default", "is not the name of a namespace"),
        ("s", "a.b", "is not the name of a namespace"),
        ("", "default", "is not the name of a Secret"),
        ("S", "default", "is not the name of a Secret"),
    ],
)
@pytest.mark.parametrize("kind", ["node-stage", "controller-expand"])
def test_template_of_a_secret_that_no_claim_can_fill_is_refused(
    name: str, namespace: str, says: str, kind: str
) -> None:
    given = {f"{CSI}{kind}-secret-name": name, f"{CSI}{kind}-secret-namespace": namespace}
    if name == "":
        # Left away, as ceph-csi has it: the other half is alone.
        says = "belong together"
    with pytest.raises(ClassError) as caught:
        parsed(given)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "key", ["deletionPolicy", "deletion-policy", "deletionpolicy", "DeletionPolicy", "deletion_policy"]
)
@pytest.mark.parametrize("prefix", ["sutler.dev", "Sutler.dev"])
def test_annotation_is_read_in_every_spelling(prefix: str, key: str) -> None:
    assert parsed(annotations={f"{prefix}/{key}": "trash"}).deletion_policy == "trash"


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"sutler.dev/deletionPolcy": "trash"}, "write sutler.dev/deletionPolicy"),
        ({"sutler.dev/trash_delays": "7d"}, "write sutler.dev/trashDelay"),
        ({"rbd.sutler.dev/deletionPolicy": "trash"}, "write sutler.dev/deletionPolicy"),
        ({"sutler.dev/cluster-id": "b"}, "clusterID can't be changed by an annotation"),
        ({"sutler.dev/journal": "ceph-csi"}, "journal can't be changed by an annotation"),
        ({"sutler.dev/adopt": "rbd/a"}, "known are deletionPolicy, flattenPolicy, imageFeatures"),
        ({"sutler.dev/provison": "rbd"}, "write sutler.dev/provision"),
        ({"sutler.dev/provision": "cephfs"}, "'cephfs' is not understood: write rbd, or off"),
        ({"sutler.dev/deletion-policy": "Trash"}, "'Trash' is not one of remove, trash"),
        ({"sutler.dev/deletion-policy": "trash", "sutler.dev/deletionPolicy": "remove"}, "twice, in two spellings"),
        ({"deletionPolicy": "trash"}, "annotation deletionPolicy is not known: write sutler.dev/deletionPolicy"),
        ({"sutler.io/trash-delay": "7d"}, "write sutler.dev/trashDelay"),
        ({"sutler.dev/owner": "team-a"}, "remove it; known are"),
        ({"sutler.dev/mount": "x"}, "or remove it"),
        ({"sutler.dev/trash-delay": "1 week"}, "write for example 90s, 30m, 24h or 7d"),
    ],
)
def test_annotation_that_is_not_understood_is_refused(annotations: dict[str, str], says: str) -> None:
    with pytest.raises(ClassError) as caught:
        parsed(annotations=annotations)
    assert says in str(caught.value)


def test_label_in_place_of_an_annotation_is_refused_and_others_are_not_looked_at() -> None:
    obj = storage_class(
        annotations={
            "example.com/deletionPolicy": "x",
            "sutler.example.com/team": "a",
            "storageclass.kubernetes.io/is-default": "true",
        }
    )
    parse_class(obj)
    obj["metadata"]["labels"] = {"sutler.dev/deletion-policy": "trash", "sutler.dev/team": "a"}
    with pytest.raises(ClassError, match=r"label sutler\.dev/deletion-policy has no effect: write it as an annotation"):
        parse_class(obj)
    obj["metadata"]["labels"] = {"trashDelay": "7d"}
    with pytest.raises(ClassError, match=r"as an annotation, sutler\.dev/trashDelay"):
        parse_class(obj)


def test_class_with_an_unclear_annotation_is_reported_and_not_served() -> None:
    cached = class_entry(storage_class(annotations={"sutler.dev/provision": "ceph"}, provisioner="rbd.csi.ceph.com"))
    assert not cached.served
    assert "'ceph' is not understood" in str(cached.problem)
    foreign = storage_class(provisioner="rbd.csi.ceph.com")
    assert class_entry(foreign).problem is None
    foreign["metadata"]["labels"] = {"sutler.dev/provision": "rbd"}
    assert "label sutler.dev/provision has no effect" in str(class_entry(foreign).problem)
    assert class_entry(
        storage_class(annotations={"Sutler.dev/Provision": "rbd"}, provisioner="rbd.csi.ceph.com")
    ).served


def test_location_of_images_is_found_in_any_case_of_the_names() -> None:
    obj = storage_class() | {"parameters": {"clusterId": "c", "Pool": "p", "radosnamespace": "n"}}
    assert pool_location(obj) == PoolLocation("c", "p", "n")
    cls: VolumeClass = parse_class(obj)
    assert (cls.cluster, cls.pool, cls.namespace) == ("c", "p", "n")


@pytest.mark.parametrize("name", ["fast", "n" * 253])
def test_problems_of_a_class_fit_into_an_event_and_none_loses_its_end(name: str) -> None:
    wrong = {f"unknown-parameter-with-a-long-name-{n}": "x" for n in range(40)} | {
        f"{name}": "x" * 100
        for name in ("objectSize", "stripeUnit", "trashDelay", "deletionPolicy", "dataPool", "journal")
    }
    with pytest.raises(ClassError) as caught:
        parsed({key: value.replace("xx", "x ") for key, value in wrong.items()}, metadata={"name": name, "uid": "u"})
    text = str(caught.value)
    assert len(text.encode()) <= 1024
    assert text.endswith(" more")
    assert "and 35 more: remove it; known are" in text
