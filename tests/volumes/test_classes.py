from typing import Any

import pytest

from provisioner.volumes.planning.image_name import image_name
from provisioner.volumes.planning.secret_templates import SecretReference
from provisioner.volumes.planning.storage_class import ClassError, parse_class
from sutler.volumes.served_classes import is_sutler_class
from tests.volumes.objects import UID, parsed, storage_class


@pytest.mark.parametrize(
    ("provisioner", "annotation", "ours"),
    [
        ("rbd.sutler.dev", None, True),
        ("rbd.sutler.dev", "rbd", True),
        ("kubernetes.io/no-provisioner", "rbd", True),
        ("ceph.com/rbd", "rbd", True),
        ("rbd.sutler.dev", "off", False),
        ("kubernetes.io/no-provisioner", None, False),
        ("rbd.csi.ceph.com", "cephfs", False),
        ("rbd.sutler.dev", "true", True),
        ("rbd.sutler.dev", "", True),
        ("rbd.sutler.dev", " RBD", True),
        ("rbd.sutler.dev", "cephfs", True),
        ("rbd.sutler.dev", "False", False),
        ("rbd.csi.ceph.com", "yes", True),
        ("rbd.csi.ceph.com", "", False),
    ],
)
def test_class_is_served_by_its_provisioner_or_by_its_annotation(
    provisioner: str, annotation: str | None, ours: bool
) -> None:
    annotations = {} if annotation is None else {"sutler.dev/provision": annotation}
    assert is_sutler_class(storage_class(annotations=annotations, provisioner=provisioner)) is ours


def test_class_with_nothing_but_a_pool_has_defaults_that_work() -> None:
    cls = parsed()
    assert (cls.pool, cls.cluster, cls.namespace, cls.data_pool) == ("rbd", "", "", None)
    assert (cls.features, cls.object_size, cls.stripe_unit) == (("layering",), 4 * 1024**2, None)
    assert (cls.filesystem, cls.volume_source, cls.deletion_policy) == ("ext4", "csi", "remove")
    assert not cls.waits_for_consumer


def test_class_by_ceph_csis_names_is_understood() -> None:
    cls = parsed(
        {
            "clusterID": "b9127830-b0cc-4e34-aa47-9d1a2e9949a8",
            "dataPool": "ec",
            "radosNamespace": "tenant",
            "imageFeatures": "layering, exclusive-lock,object-map,fast-diff",
            "objectSize": "8Mi",
            "stripeUnit": "65536",
            "stripeCount": "16",
            "csi.storage.k8s.io/fstype": "xfs",
            "csi.storage.k8s.io/node-stage-secret-name": "csi-rbd-secret",
            "csi.storage.k8s.io/node-stage-secret-namespace": "ceph-csi",
            "csi.storage.k8s.io/provisioner-secret-name": "csi-rbd-secret",
            "csi.storage.k8s.io/provisioner-secret-namespace": "ceph-csi",
            "csi.storage.k8s.io/controller-expand-secret-name": "csi-rbd-secret",
            "csi.storage.k8s.io/controller-expand-secret-namespace": "ceph-csi",
            "mounter": "rbd-nbd",
            "mapOptions": "krbd:rxbounce",
        },
        mountOptions=["discard"],
        reclaimPolicy="Retain",
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
    )
    assert (cls.data_pool, cls.namespace, cls.object_size) == ("ec", "tenant", 8 * 1024**2)
    assert (cls.stripe_unit, cls.stripe_count) == (65536, 16)
    assert cls.features == ("layering", "exclusive-lock", "object-map", "fast-diff")
    assert cls.options == (("mounter", "rbd-nbd"), ("mapOptions", "krbd:rxbounce"))
    assert (cls.filesystem, cls.secret) == ("xfs", SecretReference("csi-rbd-secret", "ceph-csi"))
    assert (cls.mount_options, cls.reclaim_policy, cls.waits_for_consumer) == (("discard",), "Retain", True)
    assert cls.expandable


def test_annotations_set_what_may_change_and_nothing_else() -> None:
    annotations = {"sutler.dev/deletionPolicy": "trash", "sutler.dev/trashDelay": "7d"}
    cls = parsed({"deletionPolicy": "remove"}, annotations)
    assert (cls.deletion_policy, cls.trash_delay) == ("trash", 7 * 86400)
    with pytest.raises(ClassError, match="pool can't be changed by an annotation"):
        parsed(annotations={"sutler.dev/pool": "other"})


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"pool": ""}, "must not contain blanks"),
        ({"pool": "a/b"}, "must not contain blanks, control characters, / or @"),
        ({"dataPool": "a b"}, "dataPool"),
        ({"radosNamespace": "a@b"}, "radosNamespace"),
        ({"imageFeatures": "layerin"}, "'layerin' is not one of layering, exclusive-lock"),
        ({"imageFeatures": "object-map"}, "object-map requires exclusive-lock"),
        ({"objectSize": "3Mi"}, "power of two"),
        ({"objectSize": "64Mi"}, "4Ki to 32Mi"),
        ({"objectSize": "1Ki"}, "4Ki to 32Mi"),
        ({"objectSize": "big"}, "like 10Gi"),
        ({"stripeUnit": "65536"}, "set both or neither"),
        ({"stripeUnit": "3000", "stripeCount": "2"}, "does not divide"),
        ({"stripeUnit": "65536", "stripeCount": "0"}, "whole number of 1 or more"),
        ({"csi.storage.k8s.io/fstype": "ntfs"}, "ext4, ext3, xfs, btrfs"),
        ({"volumeSource": "iscsi"}, "csi, rbd"),
        (
            {"volumeSource": "rbd", "radosNamespace": "a"},
            "radosNamespace: in-tree rbd volumes do not support RADOS namespaces: remove it",
        ),
        ({"deletionPolicy": "shred"}, "remove, trash"),
        ({"flattenPolicy": "sync"}, "flattenPolicy: 'sync' is not one of none, async"),
        ({"trashDelay": "soon"}, "24h or 7d"),
        ({"imageNameTemplate": "vol-{claim}"}, "lacks {uid}"),
        ({"imageNameTemplate": "a/{uid}"}, "letters, digits"),
        ({"imageNameTemplate": "{uid}{x}"}, "letters, digits"),
        ({"imageNameTemplate": "{uid}{claim}{claim}"}, "twice"),
        ({"imageNameTemplate": "x" * 80 + "{uid}"}, "too long"),
        ({"csi.storage.k8s.io/node-stage-secret-name": "s"}, "belong together"),
        ({"journal": "yes"}, "none, ceph-csi"),
        ({"journal": "ceph-csi"}, "requires a clusterID"),
        ({"journal": "ceph-csi", "clusterID": "b", "volumeSource": "rbd"}, "volumeSource csi"),
        ({"journal": "ceph-csi", "clusterID": "b", "imageNameTemplate": "{uid}"}, "names the images itself"),
        ({"encrypted": "true"}, "does not serve encryption"),
        ({"imageFeature": "layering"}, "did you mean imageFeatures?"),
        ({"colour": "red"}, "unknown parameter colour"),
    ],
)
def test_invalid_parameter_is_named_with_the_accepted_values(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ClassError) as caught:
        parsed(parameters)
    assert says in str(caught.value)
    assert "StorageClass fast" in str(caught.value)


def test_all_problems_of_a_class_are_reported_at_once() -> None:
    with pytest.raises(ClassError) as caught:
        parse_class(storage_class({"objectSize": "3", "deletionPolicy": "x"}) | {"parameters": {"objectSize": "3"}})
    assert "pool is missing" in str(caught.value)
    assert "objectSize" in str(caught.value)


@pytest.mark.parametrize("missing", [None, {}])
def test_class_without_parameters_shows_the_first_one_it_needs(missing: Any) -> None:
    with pytest.raises(ClassError, match="pool is missing"):
        parse_class(storage_class() | {"parameters": missing})


@pytest.mark.parametrize(
    ("template", "namespace", "claim", "name"),
    [
        ("{namespace}-{claim}-{uid}", "shop", "data", f"shop-data-{UID}"),
        ("csi-{uid}", "shop", "data", f"csi-{UID}"),
        ("{uid}.{claim}", "shop", "data", f"{UID}.data"),
        ("{namespace}-{claim}-{uid}", "n" * 63, "data", f"{'n' * 63}-data-{UID}"),
    ],
)
def test_image_name_is_readable(template: str, namespace: str, claim: str, name: str) -> None:
    assert image_name(template, namespace=namespace, claim=claim, uid=UID) == name


@pytest.mark.parametrize(
    "template", ["{namespace}-{claim}-{uid}", "{claim}-{uid}", "{uid}{namespace}", "{claim}.{uid}.{namespace}"]
)
@pytest.mark.parametrize(("namespace", "claim"), [("n" * 63, "c" * 253), ("n", "c" * 253), ("n" * 63, "c")])
def test_image_name_is_cut_without_losing_the_uid(template: str, namespace: str, claim: str) -> None:
    name = image_name(template, namespace=namespace, claim=claim, uid=UID)
    assert UID in name
    assert len(name) <= 128
