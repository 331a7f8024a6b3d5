"""What is said on claims that are not served, once and then once an hour. The oldest Kubernetes lacks the fields."""

import time
from typing import Any

import pytest

from provisioner.volumes.refuser import ClaimRefuser
from sutler.kube.errors import NotFound
from sutler.kube.events import EVENT_LIFETIME
from tests.volumes.objects import claim


class Api:
    """Has one claim, or none, and takes note of what is said on it."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.said: list[tuple[str, str]] = []

    async def get(self, *_: Any) -> Any:
        if self.found is None:
            raise NotFound(404, "NotFound", "")
        return self.found

    def warning(self, _: Any, reason: str, message: str) -> None:
        self.said.append((reason, message))

    def refuser(self) -> ClaimRefuser:
        fake: Any = self
        return ClaimRefuser(fake, fake)


def test_event_is_emitted_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(None)
    refuser = api.refuser()
    for _ in range(3):
        assert refuser.emit(claim(), "VolumeModifyFailed", "no such class") == EVENT_LIFETIME
    assert api.said == [("VolumeModifyFailed", "no such class")]
    later = time.monotonic() + EVENT_LIFETIME
    monkeypatch.setattr(time, "monotonic", lambda: later)
    refuser.emit(claim(), "VolumeModifyFailed", "no such class")
    assert len(api.said) == 2


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (claim(), 1),
        (claim(volumeName="by-hand"), 0),
        (claim(metadata={"deletionTimestamp": "2030-01-01T00:00:00Z"}), 0),
        (claim(status={"phase": "Lost"}), 0),
        (None, 0),
    ],
)
async def test_problem_of_the_class_is_reported_on_claims_that_wait_for_it(found: Any, says: int) -> None:
    api = Api(found)
    refuser = api.refuser()
    for _ in range(2):
        assert await refuser.refuse("shop/data", "StorageClass fast: pool is missing") == (
            EVENT_LIFETIME if says else None
        )
    assert api.said == [("ProvisioningFailed", "StorageClass fast: pool is missing")] * says
