"""What is remembered of the objects that are watched."""

from typing import Any

import pytest

from provisioner.volumes.cache_entries import view_attachment, view_claim
from tests.volumes.objects import claim

BOUND = {"phase": "Bound", "capacity": {"storage": "1Gi"}}


@pytest.mark.parametrize(
    ("name", "status", "modifies"),
    [
        (None, BOUND, False),
        ("", BOUND, False),
        ("gold", {"phase": "Pending"}, False),
        ("gold", BOUND, True),
        ("gold", BOUND | {"currentVolumeAttributesClassName": "gold"}, False),
        ("gold", BOUND | {"currentVolumeAttributesClassName": "silver"}, True),
    ],
)
def test_bound_claim_that_asks_for_other_attributes_is_seen(name: Any, status: Any, modifies: bool) -> None:
    assert view_claim(claim(status=status, volumeAttributesClassName=name)).modifies is modifies
    assert not view_claim(claim(status=status)).modifies


def test_attachment_names_volume_and_node() -> None:
    spec = {"attacher": "a", "nodeName": "node-1", "source": {"persistentVolumeName": "pvc-1"}}
    found = view_attachment({"metadata": {"name": "csi-1"}, "spec": spec})
    assert (found.name, found.volume, found.node) == ("csi-1", "pvc-1", "node-1")
    assert not view_attachment({"metadata": {"name": "x"}, "spec": {"source": {"inlineVolumeSpec": {}}}}).volume
