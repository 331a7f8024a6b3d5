"""The parts of watched objects that are kept in memory."""

from typing import Any

import pytest

from provisioner.volumes.cache_entries import attachment_entry, claim_entry
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
    assert claim_entry(claim(status=status, volumeAttributesClassName=name)).requests_modify is modifies
    assert not claim_entry(claim(status=status)).requests_modify


def test_attachment_names_volume_and_node() -> None:
    spec = {"attacher": "a", "nodeName": "node-1", "source": {"persistentVolumeName": "pvc-1"}}
    found = attachment_entry({"metadata": {"name": "csi-1"}, "spec": spec})
    assert (found.name, found.volume, found.node) == ("csi-1", "pvc-1", "node-1")
    assert not attachment_entry({"metadata": {"name": "x"}, "spec": {"source": {"inlineVolumeSpec": {}}}}).volume
