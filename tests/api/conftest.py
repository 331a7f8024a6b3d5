"""The service as it runs outside any cluster: a token file, a certificate of its own, a real Ceph."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import TOKENS, Api
from tests.cluster import Ceph, Place, SutlerProcess


class Service:
    """One `python -m provisioner api`."""

    def __init__(self, place: Place, ceph: Ceph, state: Path, *flags: str) -> None:
        self.tokens = state / "tokens"
        self.tokens.write_text(TOKENS)
        self.tls = state / "tls"
        words = ["provisioner", "api", "--ceph-conf", str(ceph.conf), "--pools-user", "admin"]
        words += ["--token-file", str(self.tokens), "--tls-folder", str(self.tls), *flags]
        self.process = SutlerProcess(words, kubeconfig=Path("/dev/null"), place=place, state=state)
        self.url = self.process.url

    def start(self) -> None:
        self.process.start()

    @property
    def api(self) -> Api:
        return Api(self.url, self.tls / "ca.crt")


@pytest.fixture
def ioctx(direct: Any, pool: str) -> Iterator[Any]:
    """The pool without the service between."""
    with direct.open_ioctx(pool) as opened:
        yield opened


@pytest.fixture(scope="session")
def service(place: Place, ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(place, ceph, tmp_path_factory.mktemp("api"))
    started.start()
    yield started
    started.process.stop()


@pytest.fixture(scope="module")
def own_ceph(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """For modules that stop it, or that list all that is in it."""
    started = Ceph(tmp_path_factory.mktemp("own-ceph"), place)
    started.start()
    started.pool("rbd")
    yield started
    started.stop()


@pytest.fixture
def api(service: Service) -> Api:
    """As an administrator."""
    return service.api
