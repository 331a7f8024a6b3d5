"""Looks at the certificate's Secret, at the webhook configuration, and at what is served where that can be reached."""

import asyncio
import base64
import binascii
import datetime as dt
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from certs.describe import StoredCertificates, summarize, trust_problem
from certs.pki import ServerNames
from certs.rotation import CertificateSecret
from sutler.cli.output import RefusedError
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, SECRETS
from sutler.typedefs import Json

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class BundleState:
    """The CAs that the API server trusts for one webhook of the configuration."""

    webhook: str
    empty: bool
    same: bool
    """It is the very bundle of the Secret."""
    untrusted: str
    """Why the API server would refuse the stored certificate; empty if it would not."""
    unserved: str | None
    """Why what is served there is refused, empty if it is not; None where it can't be reached from here."""


@dataclass(frozen=True)
class CertificateReport:
    now: dt.datetime
    namespace: str
    secret: str
    configuration: str
    version: str
    """Of the Secret."""
    keeper: str
    """The name of cert-manager's Certificate that keeps the Secret; empty when the webhook does."""
    stored: StoredCertificates
    published: tuple[BundleState, ...] | None
    """None: there is no such configuration."""


async def gather(client: Client, namespace: str, secret: str, configuration: str) -> CertificateReport:
    found, registered = await _secret(client, namespace, secret), await _configuration(client, configuration)
    contents = CertificateSecret.from_data(_decoded(found.get("data") or {}))
    webhooks = registered.get("webhooks") or [] if registered else []
    metadata = found["metadata"]
    now = dt.datetime.now(dt.UTC)
    return CertificateReport(
        now=now,
        namespace=namespace,
        secret=secret,
        configuration=configuration,
        version=metadata["resourceVersion"],
        keeper=(metadata.get("annotations") or {}).get("cert-manager.io/certificate-name", ""),
        stored=summarize(contents, names_for(webhooks), now),
        published=None if registered is None else tuple([await _published(each, contents) for each in webhooks]),
    )


def names_for(webhooks: list[Json]) -> ServerNames:
    """What the API server calls these webhooks by."""
    hosts = dict.fromkeys(_host(each["clientConfig"]) for each in webhooks)
    addresses = tuple(host for host in hosts if _is_address(host))
    return ServerNames(tuple(host for host in hosts if host not in addresses), addresses)


def _host(config: Json) -> str:
    if service := config.get("service"):
        return f"{service['name']}.{service['namespace']}.svc"
    return urlsplit(config["url"]).hostname or ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _secret(client: Client, namespace: str, name: str) -> Json:
    try:
        return await client.get(SECRETS, name, namespace)
    except NotFound:
        raise RefusedError(
            f"there is no Secret {namespace}/{name}: the manifests bring an empty one, which the webhook fills "
            "(kubectl apply -k manifests/base), or Sutler is elsewhere (--sutler-namespace)"
        ) from None


async def _configuration(client: Client, name: str) -> Json | None:
    try:
        return await client.get(MUTATING_WEBHOOK_CONFIGURATIONS, name)
    except NotFound:
        return None


async def _published(webhook: Json, contents: CertificateSecret) -> BundleState:
    config = webhook["clientConfig"]
    bundle = _base64(config.get("caBundle") or "")
    untrusted = trust_problem(contents.leaf.certificate, bundle)
    return BundleState(
        webhook=webhook["name"],
        empty=not bundle,
        same=bool(bundle) and bundle == contents.authorities,
        untrusted=untrusted,
        unserved=await _why_refused(config["url"], bundle) if "url" in config and not untrusted else None,
    )


async def _why_refused(url: str, bundle: bytes) -> str:
    """Connects as the API server would."""
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 443}"
    try:
        context = ssl.create_default_context(cadata=bundle.decode("ascii", "replace"))
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    except ssl.SSLCertVerificationError as error:
        return f"{where} serves a certificate that the published CA does not vouch for: {error.verify_message}"
    except TimeoutError:
        return f"{where} does not answer"
    except OSError as error:
        return f"{where} can't be connected to: {error.strerror or type(error).__name__}"
    writer.close()
    return ""


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    return {name: _base64(value or "") for name, value in data.items()}


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
