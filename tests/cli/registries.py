"""Registries that differ from the usual one, and what they need beside them."""

import base64
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from tests.cluster import Place, Process
from tests.cluster.probe import get


@contextmanager
def docker_registry(place: Place, state: Path, auth: Mapping[str, Any], tls: Path | None = None) -> Iterator[str]:
    """Its host and port. `tls` is a folder with ca.crt, tls.crt and tls.key."""
    port = place.port()
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}"}
    if tls:
        http["tls"] = {"certificate": str(tls / "tls.crt"), "key": str(tls / "tls.key")}
    storage = {"filesystem": {"rootdirectory": str(state / "images")}}
    config = state / "config.yaml"
    config.write_text(yaml.safe_dump({"version": "0.1", "storage": storage, "http": http, "auth": dict(auth)}))
    process = Process.started(["docker-registry", "serve", str(config)], place=place, log=state / "registry.log")
    url, authority = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v2/", tls and tls / "ca.crt"
    try:
        process.until(lambda: get(url, authority)[0] == 401, "the registry to ask who is there")
        yield f"localhost:{port}"
    finally:
        process.stop()


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class PlainRegistry(ThreadingHTTPServer):
    """Asks for a password without TLS, and remembers what it was sent."""

    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        super().__init__((address, port), _PlainHandler)
        self.sent: list[str] = []


class _PlainHandler(BaseHTTPRequestHandler):
    server: PlainRegistry

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        if given:
            self.server.sent.append(given)
        self.send_response(200 if given else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="plain"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        del format, args


class TokenService(ThreadingHTTPServer):
    """Gives tokens for what a user asks for, if the password is right; by default there is one user."""

    daemon_threads = True

    def __init__(
        self,
        port: int,
        state: Path,
        is_right: Callable[[str, str], bool] = lambda user, password: (user, password) == ("UserName", "Password"),
    ) -> None:
        self.is_right = is_right
        super().__init__(("127.0.0.1", port), _Handler)
        self.asked: list[dict[str, list[str]]] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _certificate(self._key)
        self.bundle = state / "token.pem"
        self.bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    @classmethod
    @contextmanager
    def serving(cls, port: int, state: Path) -> Iterator[Self]:
        service = cls(port, state)
        with served(service):
            yield service

    @property
    def auth_of_registry(self) -> dict[str, Any]:
        """What a registry that believes this service is configured with."""
        realm = f"http://127.0.0.1:{self.server_port}/token"
        return {"token": {"realm": realm, "service": "test", "issuer": "test", "rootcertbundle": str(self.bundle)}}

    def token(self, scopes: list[str]) -> str:
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
        ]
        claims = {
            "iss": "test",
            "sub": "UserName",
            "aud": "test",
            "nbf": now - 10,
            "iat": now,
            "exp": now + 60,
            "jti": "1",
        }
        signed = f"{_encode(header)}.{_encode({**claims, 'access': access})}"
        signature = self._key.sign(signed.encode(), PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class _Handler(BaseHTTPRequestHandler):
    server: TokenService

    def do_POST(self) -> None:
        """Clients try OAuth first; without it they use GET."""
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.server.asked.append(query)
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(given).decode().partition(":")
        right = self.server.is_right(user, password)
        body = json.dumps(
            {"token": self.server.token(query.get("scope", []))} if right else {"details": given}
        ).encode()
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        del format, args


def _encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1)
    )
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
