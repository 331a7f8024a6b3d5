"""Whether stored credentials let anybody in: which ones are to be tried, and trying them."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sutler.cli.cluster_view import SecretInfo, held
from sutler.cli.explain.fetch import mappings
from sutler.cli.output import RefusedError, columns
from sutler.cli.registry import login
from sutler.cli.registry.list_rows import no_such_mapping
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

_AT_ONCE = 8


@dataclass(frozen=True)
class CheckResult:
    mapping: str
    registry: str
    key: str
    works: bool | None
    """None: it could not be tried."""
    what: str
    unreached: bool = False
    """It was to be tried, and the registry could not be reached."""

    def as_json(self) -> dict[str, Any]:
        return {
            "mapping": self.mapping,
            "registry": self.registry,
            "key": self.key or None,
            "works": self.works,
            "message": self.what,
        }


@dataclass(frozen=True)
class CheckOptions:
    """What to check, and how."""

    names: Sequence[str]
    image: str | None
    namespace: str | None
    """Check the Secret of this namespace, not the source."""
    plain_http: bool
    ca_file: str | None


def as_text(found: Sequence[CheckResult]) -> str:
    word = {True: "works", False: "FAILS", None: "not tried"}
    rows = [(each.mapping, each.registry, each.key or "-", word[each.works], each.what) for each in found]
    return columns(("MAPPING", "REGISTRY", "KEY", "RESULT", "WHY"), rows) if rows else "No registries yet."


async def check(client: Client, wish: CheckOptions, own_namespace: str) -> list[CheckResult]:
    image = parse_image(wish.image) if wish.image else None
    chosen = _choose(await mappings(client), wish, image)
    limit = asyncio.Semaphore(_AT_ONCE)
    async with login.registries(plain_http=wish.plain_http, ca_file=wish.ca_file) as registries:

        async def settle(mapping: Mapping, found: "_Attempt | CheckResult") -> CheckResult:
            if isinstance(found, CheckResult):
                return found
            async with limit:
                credential = login.Credential(found.entry.username, found.entry.password)
                outcome = await registries.try_out(found.host, credential, image)
            key = found.entry.key
            return CheckResult(mapping.name, found.registry, key, outcome.works, outcome.what, outcome.unreached)

        checks = []
        for mapping in chosen:
            secret = await _secret(client, mapping, wish.namespace, own_namespace)
            checks += [settle(mapping, found) for found in _attempts(mapping, secret, image)]
        return list(await asyncio.gather(*checks))


def _choose(objects: Iterable[dict[str, Any]], wish: CheckOptions, image: ImageReference | None) -> list[Mapping]:
    found: dict[str, Mapping | MappingError] = {}
    for obj in objects:
        try:
            found[obj["metadata"]["name"]] = parse_mapping(obj)
        except MappingError as error:
            found[obj["metadata"]["name"]] = error
    unknown = [name for name in wish.names if name not in found]
    if unknown:
        raise RefusedError(no_such_mapping(unknown, found))
    chosen = []
    for mapping in (found[name] for name in wish.names or sorted(found)):
        if isinstance(mapping, MappingError):
            raise RefusedError(f"{mapping}: mend it with kubectl edit registrymapping {mapping.name}")
        if image is None or wish.names or any(pattern.matches(image) for pattern in mapping.patterns):
            chosen.append(mapping)
    if image and not chosen:
        raise RefusedError(f"no mapping is for {image.name}: sutler explain {image.name} says why")
    return chosen


async def _secret(client: Client, mapping: Mapping, namespace: str | None, own_namespace: str) -> SecretInfo:
    """The source, or what is in the namespace that was asked for."""
    name, where = (mapping.secret, namespace) if namespace else (mapping.copy_from, own_namespace)
    if name is None or where is None:
        return SecretInfo(None, "it copies no Secret; name a namespace that has one with -n", unknown=True)
    try:
        return held(await client.get(SECRETS, name, where))
    except NotFound:
        return SecretInfo(None, f"Secret {where}/{name} does not exist", missing=True)


@dataclass(frozen=True)
class _Attempt:
    registry: str
    host: str
    entry: AuthEntry


def _attempts(mapping: Mapping, secret: SecretInfo, image: ImageReference | None) -> Iterator[_Attempt | CheckResult]:
    if secret.config is None:
        works = None if secret.unknown else False
        yield CheckResult(mapping.name, ",".join(mapping.registries), "", works, secret.problem)
        return
    by_key = {entry.key: entry for entry in secret.config.entries}
    if image:
        keys = [each.key for each in tries(image, [("", list(by_key))])]
        yield from (_Attempt(image.name, image.domain, by_key[key]) for key in keys)
        if not keys:
            yield CheckResult(
                mapping.name, image.name, "", False, f"none of its keys is for this image: sutler explain {image.name}"
            )
        return
    for pattern in mapping.patterns:
        yield from _attempts_at(mapping, pattern, by_key)


def _attempts_at(mapping: Mapping, pattern: Pattern, by_key: dict[str, AuthEntry]) -> Iterator[_Attempt | CheckResult]:
    host = pattern.text.partition("/")[0]
    registry = RegistryCoverage([pattern])
    serving = [entry for key, entry in by_key.items() if registry.served_by(parse_key(key))]
    if not serving:
        yield CheckResult(mapping.name, pattern.text, "", False, "its Secret has no credential for this registry")
    for entry in serving:
        if any(map(is_glob, pattern.host.labels)):
            what = "a pattern is no address: name one of its images with --image"
            yield CheckResult(mapping.name, pattern.text, entry.key, None, what)
        else:
            yield _Attempt(pattern.text, host, entry)
