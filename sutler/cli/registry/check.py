"""Checks stored credentials by logging in to their registries."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sutler.cli.cluster_view import SecretInfo, TokenPassword, parse_secret_info
from sutler.cli.common_reads import list_mappings
from sutler.cli.exit_codes import RefusedError
from sutler.cli.output import columns
from sutler.cli.registry import login
from sutler.cli.registry.list_rows import no_such_mapping
from sutler.cli.token.render import ends_in
from sutler.kube.client import Client
from sutler.kube.errors import NotFound
from sutler.kube.resources import SECRETS
from sutler.registry.auth_entry import AuthEntry
from sutler.registry.explain import tries
from sutler.registry.glob import is_glob
from sutler.registry.image import ImageReference, parse_image
from sutler.registry.key_coverage import RegistryCoverage
from sutler.registry.keyring import parse_key
from sutler.registry.mapping import Mapping, MappingError, parse_mapping
from sutler.registry.pattern import Pattern

_CONCURRENCY = 8
"""Logins at the same time."""


@dataclass(frozen=True)
class CheckResult:
    """The result for one credential at one registry, or why there is none."""

    mapping: str
    registry: str
    key: str
    works: bool | None
    """None if the credential was not tried."""
    what: str
    """The result as text."""
    is_unreachable: bool = False
    """The credential was not tried because the registry is unreachable."""
    expires_at: str | None = None
    """When the password ends, RFC 3339; None if no RegistryToken keeps it."""

    def as_json(self) -> dict[str, Any]:
        return {
            "mapping": self.mapping,
            "registry": self.registry,
            "key": self.key or None,
            "works": self.works,
            "message": self.what,
            "expiresAt": self.expires_at,
        }


@dataclass(frozen=True)
class CheckOptions:
    names: Sequence[str]
    """Mappings to check; empty for all."""
    image: str | None
    """Also check that this image can be pulled."""
    namespace: str | None
    """Check the pull secret in this namespace; None: the source Secret."""
    plain_http: bool
    ca_file: str | None


def as_text(found: Sequence[CheckResult]) -> str:
    word = {True: "works", False: "FAILS", None: "not tried"}
    rows = [(each.mapping, each.registry, each.key or "-", word[each.works], each.what) for each in found]
    return columns(("MAPPING", "REGISTRY", "KEY", "RESULT", "WHY"), rows) if rows else "No registries yet."


async def check(client: Client, options: CheckOptions, own_namespace: str) -> list[CheckResult]:
    image = parse_image(options.image) if options.image else None
    selected = _select_mappings(await list_mappings(client), options, image)
    limit = asyncio.Semaphore(_CONCURRENCY)
    async with login.registries(plain_http=options.plain_http, ca_file=options.ca_file) as registries:

        async def run(mapping: Mapping, token: TokenPassword | None, found: "_Login | CheckResult") -> CheckResult:
            if isinstance(found, CheckResult):
                return found
            async with limit:
                credential = login.Credential(found.entry.username, found.entry.password)
                outcome = await registries.log_in(found.host, credential, image)
            key = found.entry.key
            what = f"{outcome.what}; {_life(token, client.now())}" if token else outcome.what
            expires_at = token.expires_at or None if token else None
            return CheckResult(
                mapping.name, found.registry, key, outcome.works, what, outcome.is_unreachable, expires_at
            )

        checks = []
        for mapping in selected:
            secret = await _secret(client, mapping, options.namespace, own_namespace)
            checks += [run(mapping, secret.token, found) for found in _attempts(mapping, secret, image)]
        return list(await asyncio.gather(*checks))


def _life(token: TokenPassword, now: datetime) -> str:
    """How long the password of a RegistryToken is good, and what to do if it has ended."""
    if token.has_ended(now):
        return f"the password of RegistryToken {token.token} has ended: to find the cause, run sutler token list"
    return f"RegistryToken {token.token} keeps it, and it ends in {ends_in(token.expires_at, now)}"


def _select_mappings(
    objects: Iterable[dict[str, Any]], options: CheckOptions, image: ImageReference | None
) -> list[Mapping]:
    found: dict[str, Mapping | MappingError] = {}
    for obj in objects:
        try:
            found[obj["metadata"]["name"]] = parse_mapping(obj)
        except MappingError as error:
            found[obj["metadata"]["name"]] = error
    unknown = [name for name in options.names if name not in found]
    if unknown:
        raise RefusedError(no_such_mapping(unknown, found))
    selected = []
    for mapping in (found[name] for name in options.names or sorted(found)):
        if isinstance(mapping, MappingError):
            raise RefusedError(f"{mapping}: correct it with kubectl edit registrymapping {mapping.name}")
        if image is None or options.names or any(pattern.matches(image) for pattern in mapping.patterns):
            selected.append(mapping)
    if image and not selected:
        raise RefusedError(f"no mapping matches {image.name}; see why: sutler explain {image.name}")
    return selected


async def _secret(client: Client, mapping: Mapping, namespace: str | None, own_namespace: str) -> SecretInfo:
    """The source Secret, or the pull secret in `namespace`."""
    name, where = (mapping.secret, namespace) if namespace else (mapping.copy_from, own_namespace)
    if name is None or where is None:
        return SecretInfo(
            None, "the mapping copies no Secret; select a namespace that has the pull secret with -n", unknown=True
        )
    try:
        return parse_secret_info(await client.get(SECRETS, name, where))
    except NotFound:
        return SecretInfo(None, f"Secret {where}/{name} does not exist", missing=True)


@dataclass(frozen=True)
class _Login:
    registry: str
    host: str
    entry: AuthEntry


def _attempts(mapping: Mapping, secret: SecretInfo, image: ImageReference | None) -> Iterator[_Login | CheckResult]:
    if secret.config is None:
        works = None if secret.unknown else False
        yield CheckResult(mapping.name, ",".join(mapping.registries), "", works, secret.problem)
        return
    by_key = {entry.key: entry for entry in secret.config.entries}
    if image:
        keys = [each.key for each in tries(image, [("", list(by_key))])]
        yield from (_Login(image.name, image.domain, by_key[key]) for key in keys)
        if not keys:
            yield CheckResult(
                mapping.name,
                image.name,
                "",
                False,
                f"no key of its Secret matches this image; see sutler explain {image.name}",
            )
        return
    for pattern in mapping.patterns:
        yield from _attempts_at(mapping, pattern, by_key)


def _attempts_at(mapping: Mapping, pattern: Pattern, by_key: dict[str, AuthEntry]) -> Iterator[_Login | CheckResult]:
    host = pattern.text.partition("/")[0]
    registry = RegistryCoverage([pattern])
    serving = [entry for key, entry in by_key.items() if registry.served_by(parse_key(key))]
    if not serving:
        yield CheckResult(mapping.name, pattern.text, "", False, "its Secret has no credential for this registry")
    for entry in serving:
        if any(map(is_glob, pattern.host.labels)):
            what = "a pattern is not an address; name one of its images with --image"
            yield CheckResult(mapping.name, pattern.text, entry.key, None, what)
        else:
            yield _Login(pattern.text, host, entry)
