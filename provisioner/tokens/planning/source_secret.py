"""The Secret that a RegistryToken keeps: whether it is its own, what it holds, and the patch between. Pure."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from provisioner.tokens.planning.credential import EVERY, FetchedCredential
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.registry_hosts import host_of
from provisioner.tokens.planning.registry_token import RegistryToken
from sutler import well_known
from sutler.registry import dockerconfig
from sutler.registry.auth_entry import AuthEntry
from sutler.registry.dockerconfig import DATA_KEYS, DOCKERCONFIGJSON, SourceError
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import IgnoredKeyError, parse_key
from sutler.registry.missing_credentials import join_shortened
from sutler.typedefs import Json

LARGEST_CONTENT_BYTES = 700_000
"""The API server takes a Secret of 1 MiB, in base64."""

_DATA_KEY = DATA_KEYS[DOCKERCONFIGJSON]


@dataclass(frozen=True)
class SourceSecret:
    """A Secret as it is."""

    version: str
    type: str
    value: bytes = field(repr=False)
    owner: str
    """The RegistryToken that its label names."""
    expires_at: str
    annotated: bool
    immutable: bool

    @property
    def fingerprint(self) -> bytes:
        return fingerprint(self.value)

    @property
    def is_empty(self) -> bool:
        """Whether no entry is in it: it was made to be filled."""
        try:
            return not dockerconfig.read_config(DOCKERCONFIGJSON, self.value).entries
        except SourceError:
            return True


def read_source_secret(secret: Json) -> SourceSecret:
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    data = secret.get("data") or {}
    try:
        value = base64.b64decode(data.get(_DATA_KEY, ""), validate=True)
    except (binascii.Error, ValueError):
        value = b""
    return SourceSecret(
        version=metadata["resourceVersion"],
        type=secret.get("type", ""),
        value=value,
        owner=(metadata.get("labels") or {}).get(well_known.TOKEN, ""),
        expires_at=annotations.get(well_known.EXPIRES_AT, ""),
        annotated=bool(annotations),
        immutable=bool(secret.get("immutable")),
    )


def fingerprint(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def require_own(secret: SourceSecret, token: RegistryToken, namespace: str) -> None:
    """Raises TokenError for a Secret that must not, or can't, be written."""
    where = f"Secret {namespace}/{token.secret_name}"
    if secret.owner != token.name:
        whose = f"is RegistryToken {secret.owner}'s" if secret.owner else f"has no label {well_known.TOKEN}"
        raise TokenError(
            Reason.CONFLICT,
            f"{where} {whose}, so Sutler does not change it: name another in spec.secretName, or label it: kubectl -n "
            f"{namespace} label secret {token.secret_name} {well_known.TOKEN}={token.name} --overwrite",
        )
    if secret.type != DOCKERCONFIGJSON:
        raise TokenError(
            Reason.CONFLICT,
            f"{where} is of type {secret.type}, which cannot be changed: delete it and create it as {DOCKERCONFIGJSON}",
        )
    if secret.immutable:
        raise TokenError(Reason.CONFLICT, f"{where} is immutable: delete it and create it without `immutable`")


def render_content(token: RegistryToken, credential: FetchedCredential) -> bytes:
    """The docker config: the same credential gives the same bytes. Raises TokenError if it has none for these."""
    entries = _entries(token, credential)
    content = dockerconfig.render(entries, DOCKERCONFIGJSON)
    if len(content) > LARGEST_CONTENT_BYTES:
        raise TokenError(
            Reason.BAD_ANSWER,
            f"{len(entries)} keys with this token make {len(content)} bytes, of {LARGEST_CONTENT_BYTES} that fit: "
            "list fewer registries, or give their host alone",
        )
    return content


def _entries(token: RegistryToken, credential: FetchedCredential) -> list[AuthEntry]:
    logins = {key: (each.username.encode(), each.password.encode()) for key, each in credential.logins.items()}
    if EVERY in logins:
        return [AuthEntry(registry, *logins[EVERY]) for registry in token.registries]
    by_host = [
        AuthEntry(registry, *logins[host_of(registry)]) for registry in token.registries if host_of(registry) in logins
    ]
    if by_host and token.provider == "acr":
        return by_host
    # A plug-in names its keys itself; what no registry of the token can use is left out.
    serving = RegistryCoverage.parsed(token.registries)
    found = [AuthEntry(key, *login) for key, login in logins.items() if _is_served(key, serving)]
    if not found:
        raise TokenError(
            Reason.BAD_ANSWER,
            f"the credentials are for {join_shortened(sorted(logins))}, and spec.registries has none of them",
        )
    return found


def _is_served(key: str, serving: RegistryCoverage) -> bool:
    try:
        return serving.served_by(parse_key(key))
    except IgnoredKeyError:
        return False


def content_patch(secret: SourceSecret, content: bytes, expires_at: str) -> list[Json]:
    """RFC 6902, in place; empty where the Secret holds this content already: then nothing is written.

    Readers are never without a token. The version makes the API server refuse the patch if the Secret has changed since
    it was read.
    """
    if secret.value == content:
        return []
    annotation = f"/metadata/annotations/{well_known.EXPIRES_AT.replace('/', '~1')}"
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": secret.version},
        {"op": "add", "path": "/data", "value": {_DATA_KEY: base64.b64encode(content).decode()}},
        {"op": "add", "path": annotation, "value": expires_at}
        if secret.annotated
        else {"op": "add", "path": "/metadata/annotations", "value": {well_known.EXPIRES_AT: expires_at}},
    ]
