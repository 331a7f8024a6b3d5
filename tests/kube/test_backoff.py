import pytest

from sutler.kube.backoff import Backoff


def test_delay_doubles_up_to_the_cap_with_jitter() -> None:
    backoff = Backoff(first=0.2, most=300.0)
    for failures, nominal in ((1, 0.2), (2, 0.4), (5, 3.2), (11, 204.8), (12, 300.0), (10_000, 300.0)):
        delays = {backoff.delay(failures) for _ in range(200)}
        assert len(delays) > 100
        assert min(delays) >= nominal * 0.75
        assert max(delays) <= nominal
        assert max(delays) - min(delays) == pytest.approx(nominal * 0.25, rel=0.2)
