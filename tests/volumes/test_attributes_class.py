"""Limits: what classes may give, which of them applies, and how images and volumes record them."""

from dataclasses import replace
from typing import Any

import pytest

from provisioner.volumes.planning.attributes_class import (
    AttributesClassError,
    AttributesClassMissing,
    VolumeAttributes,
    effective_limits,
    parse_attributes_class,
)
from provisioner.volumes.planning.claims import ProvisionClaim, decide
from provisioner.volumes.planning.persistent_volume import CephSource, image_metadata, render
from provisioner.volumes.planning.storage_class import ClassError, VolumeClass
from sutler.volumes.limits import (
    limits_in_metadata,
    limits_metadata,
    outdated_limits,
    parse_limits,
    render_limits,
)
from sutler.volumes.locations import ImageLocation
from tests.volumes.objects import claim, parsed

KEY = ".rbd.csi.ceph.com/cgroup_qos_max_"


def attributes(driver: str = "rbd.sutler.dev", **parameters: str) -> Any:
    return {"metadata": {"name": "gold"}, "driverName": driver, "parameters": parameters}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1000", 1000), ("1k", 1000), ("50Mi", 50 * 2**20), ("1e9", 10**9), ("1", 1), (str(2**63 - 1), 2**63 - 1)],
)
def test_limit_is_any_whole_quantity(text: str, value: int) -> None:
    assert parsed({"maxReadIops": text}).limits == {"maxReadIops": value}
    assert parse_attributes_class("gold", attributes(maxReadBps=text)).limits == {"maxReadBps": value}


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "100m", "lots", " 5", "10 MB", "unlimited", str(2**63)])
def test_other_values_are_refused_with_parameter_value_and_way_out(text: str) -> None:
    says = f"maxWriteBps: {text!r} is not a whole number greater than 0, such as 1000 or 50Mi, nor max (no limit)"
    for parse in (
        lambda: parsed({"maxWriteBps": text}),
        lambda: parsed(annotations={"sutler.dev/maxWriteBps": text}),
        lambda: parse_attributes_class("gold", attributes(maxWriteBps=text)),
    ):
        with pytest.raises((ClassError, AttributesClassError)) as caught:
            parse()
        assert says in str(caught.value)


def test_max_is_no_limit() -> None:
    assert parsed({"maxReadIops": "max", "maxReadBps": "5"}).limits == {"maxReadBps": 5}
    assert parse_attributes_class("gold", attributes(maxReadIops="max")).limits == {"maxReadIops": None}


def test_annotations_of_a_class_set_limits_of_later_volumes() -> None:
    assert parsed({"maxReadIops": "5"}, {"sutler.dev/max-read-iops": "7"}).limits == {"maxReadIops": 7}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"volumeSource": "rbd"}, "maxReadIops: the class has volumeSource rbd"),
        ({"mounter": "rbd-nbd"}, "maxReadIops: the class has mounter rbd-nbd"),
    ],
)
def test_limits_that_nodes_would_not_apply_are_refused(more: dict[str, str], says: str) -> None:
    with pytest.raises(ClassError, match=says):
        parsed({"maxReadIops": "5"} | more)
    assert parsed({"maxReadIops": "max"} | more).limits == {}


@pytest.mark.parametrize(
    ("obj", "says"),
    [
        (attributes("rbd.csi.ceph.com", maxReadIops="5"), "use one whose driverName is rbd.sutler.dev"),
        (attributes(iops="5"), "unknown parameter iops: known are maxReadIops, maxWriteIops, maxReadBps, maxWriteBps"),
        (attributes(maxReadIops="5", maxreadiops="6"), "maxReadIops is given twice, with different values"),
        (attributes(colour="red", maxReadIops="0"), "so use another VolumeAttributesClass"),
    ],
)
def test_attributes_that_can_not_be_applied_are_refused(obj: Any, says: str) -> None:
    with pytest.raises(AttributesClassError) as caught:
        parse_attributes_class("gold", obj)
    assert says in str(caught.value)
    assert "VolumeAttributesClass gold" in str(caught.value)
    assert not isinstance(caught.value, AttributesClassMissing)


def test_missing_attributes_class_is_known_as_such() -> None:
    with pytest.raises(AttributesClassMissing, match="gold does not exist: create it"):
        parse_attributes_class("gold", None)


def test_attributes_override_the_class_and_leave_its_other_limits() -> None:
    gold = VolumeAttributes("gold", {"maxReadIops": 9, "maxReadBps": None})
    of_class = {"maxReadIops": 5, "maxWriteIops": 6, "maxReadBps": 7}
    assert effective_limits(of_class, gold.limits) == {"maxReadIops": 9, "maxWriteIops": 6}
    assert effective_limits(of_class, {}) == of_class


def test_image_and_volume_record_the_limits() -> None:
    limits = {"maxWriteBps": 4, "maxReadIops": 1, "maxReadBps": 3, "maxWriteIops": 2}
    metadata = limits_metadata(limits)
    assert metadata == {f"{KEY}read_iops": "1", f"{KEY}write_iops": "2", f"{KEY}read_bps": "3", f"{KEY}write_bps": "4"}
    assert limits_in_metadata(metadata | {"other": "5"}) == limits
    assert limits_in_metadata({f"{KEY}read_iops": "max", f"{KEY}write_bps": "x"}) == {}
    assert render_limits(limits) == "maxReadIops=1,maxWriteIops=2,maxReadBps=3,maxWriteBps=4"
    assert parse_limits(render_limits(limits)) == limits
    assert parse_limits("") == parse_limits("maxReadIops,colour=3,maxReadBps=x") == {}


def test_limits_that_are_not_wanted_any_more_are_found() -> None:
    found = {f"{KEY}read_iops": "1", f"{KEY}write_iops": "2", "sutler.dev/uid": "u", ".rbd.csi.ceph.com/other": "o"}
    assert outdated_limits(found, {f"{KEY}read_iops": "9"}) == [f"{KEY}write_iops"]


def rendered(cls: VolumeClass, attributes: VolumeAttributes | None = None) -> tuple[Any, dict[str, str]]:
    """The claim's volume, and the limits in the metadata of its image."""
    decision = decide(claim(volumeAttributesClassName=attributes.name if attributes else None), cls)
    assert isinstance(decision, ProvisionClaim)
    request = replace(decision.request, attributes=attributes)
    body = render(request, cls, ImageLocation("", "rbd", "", "i"), CephSource("ceph-1", 2, "5a1bd2c3e4f506"))
    metadata = image_metadata(request, cls, "cluster-uid")
    return body, {key: value for key, value in metadata.items() if key.startswith(KEY)}


def secrets(use: str) -> dict[str, str]:
    return {f"csi.storage.k8s.io/{use}-secret-{part}": f"{use}-{part}" for part in ("name", "namespace")}


def test_volume_has_limits_attributes_and_the_secret_to_read_them_with() -> None:
    stage = secrets("node-stage")
    body, metadata = rendered(parsed({"maxReadIops": "5"} | stage), VolumeAttributes("gold", {"maxReadBps": 6}))
    assert metadata == {f"{KEY}read_iops": "5", f"{KEY}read_bps": "6"}
    assert body["metadata"]["annotations"]["sutler.dev/class-limits"] == "maxReadIops=5"
    assert body["metadata"]["annotations"]["sutler.dev/limits"] == "maxReadIops=5,maxReadBps=6"
    assert body["spec"]["volumeAttributesClassName"] == "gold"
    assert body["spec"]["csi"]["nodePublishSecretRef"] == {
        "name": "node-stage-name",
        "namespace": "node-stage-namespace",
    }


def test_volume_without_limits_has_the_secret_if_the_class_names_it() -> None:
    body, metadata = rendered(parsed(secrets("node-stage")))
    assert metadata == {}
    assert not {"sutler.dev/limits", "sutler.dev/class-limits"} & set(body["metadata"]["annotations"])
    assert "volumeAttributesClassName" not in body["spec"]
    assert "nodePublishSecretRef" not in body["spec"]["csi"]
    body, _ = rendered(parsed(secrets("node-stage") | secrets("node-publish")))
    assert body["spec"]["csi"]["nodePublishSecretRef"]["name"] == "node-publish-name"
