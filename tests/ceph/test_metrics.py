"""The values of the label `result`, which dashboards and alerts of users contain."""

import pytest

from provisioner.ceph import errors
from provisioner.ceph.metrics import result_of


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (errors.CephUnavailable, "Unavailable"),
        (errors.InvalidArgument, "BadRequest"),
        (errors.OutcomeUnknown, "OutcomeUnknown"),
        (errors.Denied, "Denied"),
        (errors.ImageMissing, "ImageMissing"),
        (errors.PoolMissing, "PoolMissing"),
        (errors.ImageTaken, "ImageTaken"),
        (errors.InUse, "InUse"),
        (errors.NoSpace, "NoSpace"),
        (errors.NotConnected, "NotConnected"),
    ],
)
def test_result_of_an_error_keeps_the_value_that_alerts_know(error: type[errors.CephError], result: str) -> None:
    assert result_of(error("why")) == result
