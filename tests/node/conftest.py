import pytest

from tests.cluster import machine


@pytest.fixture(scope="session")
def able_machine() -> None:
    """Skips, with the reason, where a node can't run."""
    if lacks := machine.missing():
        pytest.skip(f"this machine can't run a node; it lacks {'; '.join(lacks)}")
