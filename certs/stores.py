"""Keeps the CA and the leaf in a Secret that several replicas share without a leader."""

import base64
import binascii
import datetime as dt
from collections.abc import Callable
from typing import Protocol

from certs.pki import ServerNames
from certs.rotation import CertificateSecret, next_step
from sutler import log
from sutler.kube.client import Client
from sutler.kube.errors import AlreadyExists, Conflict, NotFound
from sutler.kube.resources import SECRETS
from sutler.typedefs import Json

_log = log.get(__name__)


class CertificateStore(Protocol):
    """Where the CA and the leaf are kept."""

    async def read(self) -> CertificateSecret: ...

    async def write(self, contents: CertificateSecret) -> CertificateSecret: ...


async def apply_next_step(
    keeper: CertificateStore,
    contents: CertificateSecret,
    names: ServerNames,
    trusted: Callable[[CertificateSecret, dt.datetime], bool],
) -> CertificateSecret:
    """What was read, taken one step further if one is due. `trusted`: whether clients know the signing CA by now."""
    now = dt.datetime.now(dt.UTC)
    step = next_step(contents, names, now, trusted=trusted(contents, now))
    if step is None:
        return contents
    _log.info("certificate changes", why=step.why)
    return await keeper.write(step.contents)


class SecretStore:
    """One Secret. Every write says which version it is based on, so that of two replicas one wins and both see it."""

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._found: Json | None = None

    async def read(self) -> CertificateSecret:
        """What is stored; empty contents if the Secret is absent."""
        try:
            self._found = await self._client.get(SECRETS, self._name, self._namespace)
        except NotFound:
            self._found = None
            return CertificateSecret()
        return CertificateSecret.from_data(_decode(self._found.get("data") or {}))

    async def write(self, contents: CertificateSecret) -> CertificateSecret:
        """Stores them in place of what was last read. Returns what is stored now: these, or another replica's."""
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
                    "app.kubernetes.io/name": "sutler",
                    "app.kubernetes.io/component": "webhook",
                    "app.kubernetes.io/part-of": "sutler",
                },
            },
            "type": "Opaque",
            "data": _encode(contents.to_data()),
        }


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
