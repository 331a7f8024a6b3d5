"""Reads the certificate's Secret, the webhook registration, and what the webhook serves if it is reachable."""

import asyncio
import base64
import binascii
import datetime as dt
import ipaddress
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from certs.describe import summarize, trust_problem
from certs.pki import ServerNames
from certs.rotation import CertificateSecret
from sutler.cli.certs.certificate_report import BundleState, CertificateReport
from sutler.cli.exit_codes import RefusedError
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, SECRETS
from sutler.typedefs import Json

_CONNECT_SECONDS = 5.0


async def read_certificate(client: Client, namespace: str, secret: str, configuration: str) -> CertificateReport:
    """Raises RefusedError if there is no such Secret."""
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
        cert_manager=(metadata.get("annotations") or {}).get("cert-manager.io/certificate-name", ""),
        stored=summarize(contents, server_names(webhooks), now),
        published=None if registered is None else tuple([await _bundle_state(each, contents) for each in webhooks]),
    )


def server_names(webhooks: list[Json]) -> ServerNames:
    """The names and addresses by which the API server calls these webhooks."""
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
            f"there is no Secret {namespace}/{name}: create the empty one that the webhook fills "
            "(kubectl apply -k manifests/base), or name the namespace of Sutler with --sutler-namespace"
        ) from None


async def _configuration(client: Client, name: str) -> Json | None:
    try:
        return await client.get(MUTATING_WEBHOOK_CONFIGURATIONS, name)
    except NotFound:
        return None


async def _bundle_state(webhook: Json, contents: CertificateSecret) -> BundleState:
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
    """Connects as the API server would; empty if the served certificate is trusted."""
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port or 443}"
    try:
        context = ssl.create_default_context(cadata=bundle.decode("ascii", "replace"))
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    except ssl.SSLCertVerificationError as error:
        return f"{where} serves a certificate that the published CA has not signed: {error.verify_message}"
    except TimeoutError:
        return f"{where} does not answer"
    except OSError as error:
        return f"{where} cannot be connected to: {error.strerror or type(error).__name__}"
    writer.close()
    return ""


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    return {name: _base64(value or "") for name, value in data.items()}


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
