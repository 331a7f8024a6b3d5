"""Credentials, certificates and the environment, on the real API server and a listener of the test's own."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from sutler.kube.client import Client, connect
from sutler.kube.config import ClientConfig
from sutler.kube.errors import ApiError, Unauthorized, Unreachable
from sutler.kube.resources import NAMESPACES, SECRETS
from sutler.kube.transport import Transport
from sutler.metrics import REGISTRY
from tests.cluster import ControlPlane
from tests.kube.proxy import FaultyProxy


async def test_environment_neither_diverts_nor_authenticates(
    proxied: Client, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login stranger password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await proxied.get(NAMESPACES, "default")
    assert [seen.headers["Authorization"].split()[0] for seen in proxy.seen] == ["Bearer"]
    assert proxy.seen[0].headers["User-Agent"] == "sutler-test"


async def test_requests_are_counted_by_code_method_and_host(proxied: Client) -> None:
    def counted() -> float:
        labels = {"code": "200", "method": "GET", "host": proxied.host}
        return REGISTRY.get_sample_value("rest_client_requests_total", labels) or 0.0

    assert counted() == 0
    await proxied.list(NAMESPACES)
    assert counted() == 1


async def test_service_account_is_used_and_its_token_reread(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Pod: a token file that is replaced, and a CA."""
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    _, _, port = cluster["server"].rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    (tmp_path / "token").write_text("expired\n")
    transport = Transport(ClientConfig(None, account=tmp_path), "test")
    await transport.open()
    try:
        client = Client(transport)
        with pytest.raises(Unauthorized):
            await client.get(NAMESPACES, "default")
        (tmp_path / "token").write_text(f"{user['token']}\n")
        transport._renewed_at = 0.0  # the pause between two renewals is over
        assert await client.get(NAMESPACES, "default")
    finally:
        await transport.close()


@pytest.mark.parametrize("together", [1, 10])
async def test_refused_credentials_are_read_again_from_the_kubeconfig(
    control_plane: ControlPlane, tmp_path: Path, together: int
) -> None:
    """Once for all requests that are refused together, and each of them is sent again."""
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    right = config["users"][0]["user"]["token"]
    path = tmp_path / "config"
    config["users"][0]["user"]["token"] = "expired"
    path.write_text(yaml.safe_dump(config))
    async with connect(str(path), component="test") as client:
        config["users"][0]["user"]["token"] = right
        path.write_text(yaml.safe_dump(config))
        found = await asyncio.gather(*(client.get(NAMESPACES, "default") for _ in range(together)))
        assert len(found) == together


async def test_plugin_gives_the_token(control_plane: ControlPlane, tmp_path: Path) -> None:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    token = config["users"][0]["user"]["token"]
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    plugin.chmod(0o700)
    config["users"][0]["user"] = {
        "exec": {"apiVersion": credential["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    async with connect(str(path), component="test") as client:
        assert await client.get(NAMESPACES, "default")


async def test_untrusted_certificate_is_named_and_a_renewed_ca_believed(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    right = base64.b64decode(cluster.pop("certificate-authority-data"))
    authority = tmp_path / "ca.crt"
    cluster["certificate-authority"] = str(authority)
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    authority.write_text(OTHER_CA)
    async with connect(str(path), component="test") as client:
        with pytest.raises(Unreachable, match="its certificate is not trusted: unable to get local issuer"):
            await client.get(NAMESPACES, "default")
        authority.write_bytes(right)
        client._transport._renewed_at = 0.0  # the pause between two renewals is over
        with pytest.raises(Unreachable):
            await client.get(NAMESPACES, "default")
        assert await client.get(NAMESPACES, "default")


async def test_refused_connection_is_reported_plainly(tmp_path: Path) -> None:
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    async with connect(str(path), component="test") as client:
        with pytest.raises(Unreachable, match=r"^GET namespaces default: 127.0.0.1:9: no connection: "):
            await client.get(NAMESPACES, "default")


@pytest.fixture
async def stranger() -> AsyncIterator[int]:
    """Something on that port which is no API server."""

    async def answer(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere", headers={"Set-Cookie": "a=b"})

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/default", answer)
    async with TestServer(app) as server:
        assert server.port
        yield server.port


async def test_stranger_on_the_port_is_an_error(stranger: int, tmp_path: Path) -> None:
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{stranger}"}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    async with connect(str(path), component="test") as client:
        with pytest.raises(ApiError, match=r"GET namespaces default: 404$"):
            await client.get(NAMESPACES, "default")


async def test_connections_are_closed_at_the_end(control_plane: ControlPlane) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _ in range(5):
        async with connect(str(control_plane.kubeconfig), component="test") as client:
            await client.list(SECRETS)
    assert open_files() == before


# Self-signed, valid for a hundred years; its key does not exist any more.
OTHER_CA = """\
-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUSyRCoJUnzumarGl57o47fcctt9wwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKYW5vdGhlciBDQTAgFw0yNjExMjIxNDI3MTJaGA8yMTI2MTAy
OTE0MjcxMlowFTETMBEGA1UEAwwKYW5vdGhlciBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABP4gwUj069RzVonZbU1D4PmZZX6JS8kR/j0c+CZz1oIBSn4kb33A
EpWbHki7xxY4R5XlZ/VCm3S4F6hZu2/8uQyjUzBRMB0GA1UdDgQWBBQTvKc+S3dc
lmrl4vLvkaTSv7v5nTAfBgNVHSMEGDAWgBQTvKc+S3dclmrl4vLvkaTSv7v5nTAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIEnlTpbeIuN9ohQO/QyI
wjcOpiIqrfYRLwBp3VvJqwksAiEA7IoaRLNNv+XmBhJrSDfiNn/lxaOkCAntaJAo
GB8G2MU=
-----END CERTIFICATE-----
"""
