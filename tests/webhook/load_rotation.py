"""Certificates and CAs that change under load, and Secrets that are damaged meanwhile. No request may fail.

The clients trust what the API server trusts, the published caBundle, and open a new connection for every request.
"""

import asyncio
import base64
import datetime as dt
import ssl
from collections.abc import Iterator

from certs import pki
from certs.rotation import CA_KEY, LEAF_CERTIFICATE, LEAF_KEY
from sutler.cli.certs.certificate_report import CertificateReport
from sutler.cli.certs.fetch import read_certificate
from sutler.kube.client import Client
from sutler.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS
from tests.certs.cluster_objects import Stored
from tests.cluster import wait_for_async
from tests.cluster.installation import NAMESPACE
from tests.webhook.clients import Pool, Report
from tests.webhook.pods import body, pod
from tests.webhook.replicas import SECRET, Replicas

_LOOK_SECONDS = 0.1

Damage = dict[str, str | None]


class Trust:
    """The CAs that the API server trusts now."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._bundle = ""

    def context(self) -> ssl.SSLContext:
        return self._context

    async def follow(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        found = await self._client.get(MUTATING_WEBHOOK_CONFIGURATIONS, "sutler-webhook")
        bundle: str = found["webhooks"][0]["clientConfig"]["caBundle"]
        if bundle != self._bundle:
            self._bundle = bundle
            self._context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())


async def rotations(
    replicas: Replicas, stored: Stored, client: Client, *, rate: float, certificates: int, authorities: int
) -> Report:
    """Change the certificate and the CA so many times, with damage of each kind in between."""
    report, trust = Report(), Trust(client)
    await trust.look()
    pool = Pool(replicas.balancer.port, trust.context, report, keeps=False, patience=10)
    following = asyncio.create_task(trust.follow())
    load = asyncio.create_task(pool.at_rate([body(pod("quay.io/acme/app:1"))], rate, 3600))
    damages = _damages(stored)
    try:
        for number in range(certificates):
            # Of each three: one rotation as it is asked for, two after damage.
            await _changed(
                stored, client, {LEAF_CERTIFICATE: None, LEAF_KEY: None} if number % 3 == 0 else next(damages)
            )
        for _ in range(authorities):
            await _changed(stored, client, {CA_KEY: None}, authority=True)
        await asyncio.sleep(1)
    finally:
        for task in (load, following):
            task.cancel()
        await asyncio.gather(load, following, return_exceptions=True)
    return report


async def _changed(stored: Stored, client: Client, damage: Damage, *, authority: bool = False) -> None:
    """Damage the Secret, and wait until there is another certificate in it, signed by the first CA and published."""
    before = await _seen(client)
    await asyncio.to_thread(stored.patch, damage)

    async def renewed() -> bool:
        now = await _seen(client)
        done = now.stored.leaf is not None and now.stored.leaf != before.stored.leaf and not now.stored.unusable
        signer = now.stored.authorities[0].name if now.stored.authorities else ""
        moved = not authority or now.stored.authorities[0] != before.stored.authorities[0]
        return done and moved and now.stored.leaf is not None and now.stored.leaf.signer == signer

    await wait_for_async(renewed, f"a new certificate after {sorted(damage)}", 60)


async def _seen(client: Client) -> CertificateReport:
    return await read_certificate(client, NAMESPACE, SECRET, "sutler-webhook")


def _damages(stored: Stored) -> Iterator[Damage]:
    """Torn, truncated, missing, garbled; made from what is there at that time."""
    now = dt.datetime.now(dt.UTC)
    while True:
        yield {LEAF_KEY: _text(pki.new_authority(now).key)}
        yield {LEAF_CERTIFICATE: _text(stored.contents().leaf.certificate[:300])}
        yield {LEAF_KEY: None}
        yield {LEAF_CERTIFICATE: _text(b"garbage"), LEAF_KEY: ""}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
