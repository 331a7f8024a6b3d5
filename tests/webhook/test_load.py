"""What the webhook promises under load and while it is replaced: short forms of `python -m tests.webhook.load`."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from certs import pki
from certs.pki import KeyPair, ServerNames
from sutler.kube.client import connect
from tests.certs.cluster_objects import Stored
from tests.certs.mounts import mount
from tests.cluster import ControlPlane, Place, SutlerProcess, wait_for_async
from tests.webhook.clients import Pool, Report, trusting_anybody
from tests.webhook.load_rolling import rolling, rolling_by_api_server
from tests.webhook.load_rotation import rotations
from tests.webhook.load_speed import at_full_speed
from tests.webhook.pods import body, pod
from tests.webhook.replicas import Replicas, port_of

BODY = body(pod("quay.io/acme/app:1"))


@pytest.fixture(scope="module")
def replicas(control_plane: ControlPlane, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    replicas = Replicas(control_plane, place, tmp_path_factory.mktemp("replicas"))
    replicas.apply()
    replicas.register()
    replicas.map("quay", "quay.io/acme")
    yield replicas
    replicas.stop()


@asynccontextmanager
async def behind_balancer(replicas: Replicas, count: int, *flags: str) -> AsyncIterator[None]:
    """So many replicas for the length of a test."""
    async with replicas.balancer.serving():
        try:
            await asyncio.gather(*(replicas.add(*flags) for _ in range(count)))
            yield
        finally:
            await asyncio.to_thread(replicas.end_all)


@pytest.mark.long
async def test_rolling_restart_under_load_loses_no_request(replicas: Replicas) -> None:
    async with behind_balancer(replicas, 2):
        report = await rolling(replicas, rate=100, replaced=1)
    assert report.failed == {}, report
    assert report.outcomes["200"] > 100


@pytest.mark.long
async def test_rolling_restart_of_three_under_200_requests_a_second_loses_none(replicas: Replicas) -> None:
    async with behind_balancer(replicas, 3):
        report = await rolling(replicas, rate=200, replaced=3)
    assert report.failed == {}, report


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_twenty_certificates_and_three_authorities_change_without_a_failed_request(
    replicas: Replicas, control_plane: ControlPlane
) -> None:
    stored = Stored(control_plane)
    async with behind_balancer(replicas, 3), connect(str(control_plane.kubeconfig), component="test") as client:
        report = await rotations(replicas, stored, client, rate=20, certificates=20, authorities=3)
    assert report.failed == {}, report


async def test_rotations_and_damage_under_load_lose_no_request(replicas: Replicas, control_plane: ControlPlane) -> None:
    stored = Stored(control_plane)
    async with behind_balancer(replicas, 2), connect(str(control_plane.kubeconfig), component="test") as client:
        report = await rotations(replicas, stored, client, rate=10, certificates=3, authorities=1)
    assert report.failed == {}, report
    assert report.outcomes["200"] > 20


@pytest.mark.long
async def test_pods_created_during_a_rolling_restart_get_their_pull_secrets(
    replicas: Replicas, control_plane: ControlPlane, namespace: str
) -> None:
    async with behind_balancer(replicas, 2):
        found = await rolling_by_api_server(replicas, control_plane, namespace, creators=2, replaced=1)
    assert set(found) == {"with its pull secret", "a second"}, found


@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(240)])])
async def test_full_speed_has_no_answer_but_200_and_no_line_in_the_log(replicas: Replicas, seconds: float) -> None:
    async with behind_balancer(replicas, 1):
        (process,) = replicas.running
        before = process.log_text().count("\n")
        report = await at_full_speed(process, connections=16, seconds=seconds)
        assert report.failed == {}, report
        assert report.outcomes["200"] > 50 * seconds
        assert process.log_text().count("\n") - before < 5


async def test_certificate_directory_is_followed_through_every_state_without_a_failed_request(
    replicas: Replicas, tmp_path: Path
) -> None:
    async with behind_balancer(replicas, 0):
        kept, process = Kept(), await asyncio.to_thread(replicas.launch, "--certificate-dir", str(tmp_path))

        async def says(text: str) -> bool:
            status, found = await asyncio.to_thread(process.probe, "readyz")
            return status == 503 and text in found

        await wait_for_async(lambda: says(f"{tmp_path}/tls.crt: No such file"), "the log of what is missing")
        mount(tmp_path, KeyPair(kept.pair().certificate, kept.pair().key))
        await wait_for_async(lambda: says("holds a certificate that can't be served"), "the log of a torn pair")
        mount(tmp_path, current := kept.pair())
        await asyncio.to_thread(process.wait_ready, 60)

        report, context = Report(), trusting_anybody()
        pool = Pool(port_of(process), lambda: context, report, keeps=False, patience=10)
        load = asyncio.create_task(pool.at_rate([BODY], 20, 3600))
        for damage in (b"", current.certificate[:300], None):
            file = tmp_path / "..data" / "tls.crt"
            file.unlink() if damage is None else file.write_bytes(damage)
            await asyncio.sleep(1)  # two looks
            assert await serves(process, current)
            mount(tmp_path, current := kept.pair())
            await wait_for_async(partial(serves, process, current), "the new pair to be served")
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        assert report.failed == {}, report
        assert report.outcomes["200"] > 20


class Kept:
    """Makes pairs for a directory that another program maintains."""

    def __init__(self) -> None:
        self._now = dt.datetime.now(dt.UTC)
        self._authority = pki.new_authority(self._now)

    def pair(self) -> KeyPair:
        return pki.new_leaf(self._authority, ServerNames(("localhost",)), self._now)


async def serves(process: SutlerProcess, pair: KeyPair) -> bool:
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(process), ssl=trusting_anybody())
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bool(found == ssl.PEM_cert_to_DER_cert(pair.certificate.decode()))
