"""Tests skip what a release lacks, by one marker that says why."""

import pytest

from tests.cluster import needs


@pytest.mark.parametrize(
    ("needed", "reason"),
    [
        ({"ceph": "18"}, ""),
        ({"ceph": "19.2"}, "needs ceph 19.2 or newer, and this is 18: it can"),
        ({"ceph": "20"}, "needs ceph 20 or newer, and this is 18: it can"),
        ({"before_ceph": "20"}, ""),
        ({"before_ceph": "18"}, "needs ceph before 18, and this is 18: it can"),
        ({"kubernetes": "1.37"}, ""),
        ({"kubernetes": "1.38"}, "needs kubernetes 1.38 or newer, and this is 1.37: it can"),
        ({"kubernetes": "1.9", "before_kubernetes": "1.100"}, ""),
        ({"kubernetes": "1.36", "ceph": "20"}, "needs ceph 20 or newer, and this is 18: it can"),
    ],
)
def test_reason_names_the_release_that_is_and_the_one_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, needed: dict[str, str], reason: str
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("KUBERNETES", "1.37")
    monkeypatch.setenv("CEPH", "18")
    assert needs.lacking("it can", **needed) == reason


@pytest.mark.needs(kubernetes="9.9", why="there is none yet")
def test_marked_test_does_not_run() -> None:
    pytest.fail("it ran")
