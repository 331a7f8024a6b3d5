"""The webhook's certificate against a real API server, with the rights of the webhook's own account."""

import asyncio
import base64
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs import pki
from certs.ca_bundle import BundlePublisher
from certs.managed_source import ManagedSource
from certs.pki import ServerNames
from certs.rotation import CertificateSecret, next_step
from certs.stores import SecretStore
from sutler.kube.client import Client, connect
from tests.certs.cluster_objects import SECRET, Stored, configuration
from tests.certs.handshake import handshake, trusting, unverified
from tests.cluster import ControlPlane, wait_for_async
from tests.conftest import REPOSITORY

Json = dict[str, Any]

HOST = "sutler-webhook.sutler-system.svc"
NAMES = ServerNames((HOST,))
POLL = 0.2


@asynccontextmanager
async def serving(client: Client) -> AsyncIterator[ManagedSource]:
    """One replica's certificate, kept up to date until the end of the block."""
    publisher = BundlePublisher(client, "sutler-webhook", settle_seconds=POLL)
    store = SecretStore(client, "sutler-system", SECRET)
    certificate = ManagedSource(store, NAMES, is_trusted=publisher.is_trusted, publisher=publisher, poll_interval=POLL)
    running = asyncio.create_task(certificate.run())
    try:
        yield certificate
    finally:
        running.cancel()
        await asyncio.wait([running])


async def until(condition: Callable[[], bool], what: str) -> None:
    async def ask() -> bool:
        return await asyncio.to_thread(condition)

    await wait_for_async(ask, what)


def served(certificate: ManagedSource) -> bytes | None:
    """What a client gets to see, DER."""
    return handshake(certificate.context, unverified(), HOST).getpeercert(binary_form=True)


def verifies(certificate: ManagedSource, bundle: bytes) -> bool:
    try:
        handshake(certificate.context, trusting(bundle), HOST)
    except ssl.SSLCertVerificationError:
        return False
    return True


async def test_first_start_makes_publishes_and_serves(stored: Stored, client: Client) -> None:
    before = stored.configuration()
    async with serving(client) as certificate:
        assert certificate.ready() == "no certificate is loaded"
        await until(lambda: certificate.ready() is None, "the certificate to be served")
        bundles = stored.bundles()
        assert bundles == [stored.contents().authorities] * 2
        assert verifies(certificate, bundles[0])
    after = stored.configuration()
    for webhook in after["webhooks"]:
        del webhook["clientConfig"]["caBundle"]
    for one in (before, after):
        for noise in ("resourceVersion", "generation", "managedFields"):
            one["metadata"].pop(noise, None)
    assert after == before, "something else than caBundle was changed"


async def test_two_replicas_agree_on_one_certificate(stored: Stored, client: Client) -> None:
    async with serving(client) as one, serving(client) as other:
        await until(lambda: one.ready() is None and other.ready() is None, "both to be ready")
        leaf = pki.read_certificate(stored.contents().leaf.certificate)
        await until(lambda: served(one) == served(other), "both to serve the same")
        assert served(one) == leaf.public_bytes(Encoding.DER)
        version = stored.secret()["metadata"]["resourceVersion"]
        await asyncio.sleep(4 * POLL)  # several more rounds of both
        assert stored.secret()["metadata"]["resourceVersion"] == version


@pytest.mark.parametrize(
    "damage",
    [
        None,
        {"tls.crt": None},
        {"tls.key": base64.b64encode(b"garbage").decode()},
        {"ca.crt": ""},
        {"ca.key": base64.b64encode(pki.new_authority(dt.datetime.now(dt.UTC)).key).decode()},
    ],
    ids=["emptied", "certificate gone", "key garbled", "CA emptied", "key of another CA"],
)
async def test_damaged_secret_is_repaired_while_the_old_pair_serves(
    stored: Stored, client: Client, damage: dict[str, str] | None
) -> None:
    async with serving(client) as certificate:
        await until(lambda: certificate.ready() is None, "the certificate to be served")
        stored.patch(damage)
        assert served(certificate)

        def repaired() -> bool:
            contents = stored.contents()
            now = dt.datetime.now(dt.UTC)
            return bool(contents.leaf.certificate) and next_step(contents, NAMES, now, trusted=False) is None

        await until(repaired, "the Secret to be whole again")
        await until(lambda: stored.bundles() == [stored.contents().authorities] * 2, "the CA to be published")
        await until(lambda: verifies(certificate, stored.bundles()[0]), "the served certificate to be trusted")
        assert certificate.ready() is None


async def test_deleted_secret_needs_the_manifests_but_stops_nothing(
    control_plane: ControlPlane, stored: Stored, client: Client
) -> None:
    """The webhook's account may not create Secrets; what it holds in memory goes on being served."""
    async with serving(client) as certificate:
        await until(lambda: certificate.ready() is None, "the certificate to be served")
        control_plane.kubectl("delete", "secret", SECRET, "-n", "sutler-system")
        await asyncio.sleep(2 * POLL)
        assert certificate.ready() is None
        assert served(certificate)
        control_plane.kubectl("apply", "-f", str(REPOSITORY / "manifests" / "base" / "certificate.yaml"))
        await until(lambda: bool(stored.contents().leaf.certificate), "a new certificate")
        await until(lambda: verifies(certificate, stored.bundles()[0]), "the served certificate to be trusted")


async def test_ca_that_another_client_removes_is_published_again(stored: Stored, client: Client) -> None:
    async with serving(client) as certificate:
        await until(lambda: certificate.ready() is None, "the certificate to be served")
        remove = [{"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]
        stored.control_plane.kubectl(
            "patch", "mutatingwebhookconfiguration", "sutler-webhook", "--type=json", "-p", json.dumps(remove)
        )
        await until(lambda: stored.bundles() == [stored.contents().authorities] * 2, "both webhooks to trust it")


async def test_without_a_configuration_it_is_ready_and_publishes_when_there_is_one(
    control_plane: ControlPlane, stored: Stored, client: Client
) -> None:
    control_plane.kubectl("delete", "mutatingwebhookconfiguration", "sutler-webhook")
    async with serving(client) as certificate:
        await until(lambda: certificate.ready() is None, "the certificate to be served")
        control_plane.kubectl("create", "-f", "-", input=json.dumps(configuration()))
        await until(lambda: stored.bundles() == [stored.contents().authorities] * 2, "the CA to be published")


async def test_change_of_ca_is_trusted_at_every_moment(stored: Stored, client: Client) -> None:
    """Watched as the API server would: at no look is a leaf served that the published bundle does not vouch for."""
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=250)
    old = pki.new_authority(long_ago)
    stored.put(CertificateSecret(old.certificate, old.key, pki.new_leaf(old, NAMES, dt.datetime.now(dt.UTC))))
    old_leaf = pki.read_certificate(stored.contents().leaf.certificate)
    async with serving(client) as certificate:
        await until(lambda: certificate.ready() is None, "the certificate to be served")

        def switched() -> bool:
            bundle = stored.bundles()[0]
            assert verifies(certificate, bundle), "a leaf was served that was not trusted"
            return served(certificate) != old_leaf.public_bytes(Encoding.DER)

        await until(switched, "the leaf of the new CA")
        bundle = pki.read_bundle(stored.bundles()[0])
        assert len(bundle) == 2
        assert bundle[1] == pki.read_certificate(old.certificate)
        new_leaf = pki.read_certificate(stored.contents().leaf.certificate)
        assert pki.is_signed_by(new_leaf, bundle[0])


async def test_certificate_stays_served_while_the_api_server_hangs(stored: Stored, client: Client) -> None:
    async with serving(client) as certificate:
        await until(lambda: certificate.ready() is None, "the certificate to be served")
        bundle = stored.bundles()[0]
        stored.control_plane.pause()
        try:
            await asyncio.sleep(5 * POLL)
            assert certificate.ready() is None
            assert verifies(certificate, bundle)
        finally:
            stored.control_plane.resume()
        stored.patch(None)
        await until(lambda: bool(stored.contents().leaf.certificate), "it to go on when the API server does")


async def test_missing_permission_is_reported_by_readiness(control_plane: ControlPlane, stored: Stored) -> None:
    control_plane.kubectl("create", "serviceaccount", "powerless", "-n", "sutler-system")
    try:
        powerless = control_plane.kubeconfig_for("sutler-system", "powerless")
        async with connect(str(powerless), component="test") as client, serving(client) as certificate:
            await until(lambda: "403 Forbidden" in (certificate.ready() or ""), "the reason")
            assert SECRET in (certificate.ready() or "")
    finally:
        control_plane.kubectl("delete", "serviceaccount", "powerless", "-n", "sutler-system")
    assert stored.contents() == CertificateSecret()
