"""Stores of the CA and the leaf: a Secret that replicas share without a leader, or a directory."""

import base64
import binascii
import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from certs.pki import CertificateError, KeyPair, ServerNames
from certs.rotation import CA_CERTIFICATE, CA_KEY, LEAF_CERTIFICATE, LEAF_KEY, CertificateSecret, next_step
from sutler import log, well_known
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, Conflict, NotFound
from sutler.kube.resources import SECRETS
from sutler.typedefs import Json

_log = log.get(__name__)


class CertificateStore(Protocol):
    """Where the CA and the leaf are stored. Its text names it."""

    async def read(self) -> CertificateSecret: ...

    async def write(self, contents: CertificateSecret) -> CertificateSecret: ...


async def apply_next_step(
    store: CertificateStore,
    contents: CertificateSecret,
    names: ServerNames,
    is_trusted: Callable[[CertificateSecret, dt.datetime], bool],
) -> CertificateSecret:
    """Take the next step of the rotation if one is due. Returns what is stored then."""
    now = dt.datetime.now(dt.UTC)
    step = next_step(contents, names, now, trusted=is_trusted(contents, now))
    if step is None:
        return contents
    _log.info("changing the certificate", why=step.why)
    return await store.write(step.contents)


class SecretStore:
    """One Secret. Every write names the version that it is based on: of two replicas one wins, and both see it."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._found: Json | None = None

    def __str__(self) -> str:
        return f"Secret {self._namespace}/{self._name}"

    async def read(self) -> CertificateSecret:
        """What is stored; empty contents if the Secret does not exist."""
        try:
            self._found = await self._client.get(SECRETS, self._name, self._namespace)
        except NotFound:
            self._found = None
            return CertificateSecret()
        return CertificateSecret.from_data(_decode(self._found.get("data") or {}))

    async def write(self, contents: CertificateSecret) -> CertificateSecret:
        """Replace what was read last. Returns what is stored now: these contents, or another replica's."""
        try:
            if self._found is None:
                self._found = await self._client.create(SECRETS, self._new(contents), self._namespace)
            else:
                data = {**(self._found.get("data") or {}), **_encode(contents.to_data())}
                self._found = await self._client.replace(SECRETS, {**self._found, "data": data})
        except (AlreadyExists, Conflict, NotFound):
            return await self.read()
        return contents

    def _new(self, contents: CertificateSecret) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "labels": {
                    well_known.NAME: "sutler",
                    well_known.COMPONENT: "webhook",
                    well_known.PART_OF: "sutler",
                },
            },
            "type": "Opaque",
            "data": _encode(contents.to_data()),
        }


class DirectoryStore:
    """tls.crt and tls.key in a directory, as in a mounted Secret; with them ca.crt and ca.key if Sutler issued them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return f"directory {self._path}"

    async def read(self) -> CertificateSecret:
        return CertificateSecret(
            authorities=self._bytes(CA_CERTIFICATE),
            authority_key=self._bytes(CA_KEY),
            leaf=KeyPair(self._bytes(LEAF_CERTIFICATE), self._bytes(LEAF_KEY)),
        )

    async def write(self, contents: CertificateSecret) -> CertificateSecret:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            for name, data in contents.to_data().items():
                self._replace(name, data)
        except OSError as error:
            raise CertificateError(
                f"{self} has no tls.crt and tls.key, and Sutler can't write them: {error.strerror}"
            ) from error
        return contents

    def _bytes(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise CertificateError(f"{self}: could not read {name}: {error.strerror}") from error

    def _replace(self, name: str, data: bytes) -> None:
        """Replace a file as a whole. Only this user may read keys."""
        fresh = self._path / f".{name}.new"
        secret = name in {CA_KEY, LEAF_KEY}
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        fresh.rename(self._path / name)


def _encode(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def _decode(data: dict[str, str]) -> dict[str, bytes]:
    decoded = {}
    for key, value in data.items():
        try:
            decoded[key] = base64.b64decode(value or "", validate=True)
        except binascii.Error:
            decoded[key] = b""
    return decoded
