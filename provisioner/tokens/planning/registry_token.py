"""RegistryToken objects, read into what the controller refreshes by. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.tokens.planning.source_parser import Fields, parse_source
from provisioner.tokens.planning.sources import PROVIDERS, TokenSource
from sutler.errors import SutlerError
from sutler.registry.pattern import PatternError, parse_pattern
from sutler.text import quoted
from sutler.typedefs import Json

MOST_REGISTRIES = 256
LONGEST_LABEL = 63
"""The name is the value of a label on the Secret."""

_part = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_name = re.compile(rf"{_part}(?:\.{_part})*").fullmatch
_LONGEST_NAME = 253


class RegistryTokenError(SutlerError):
    """A RegistryToken that can't be used; `problems` lists all that is wrong, each with its field."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class RegistryToken:
    name: str
    secret_name: str
    """The Secret in Sutler's own namespace that it keeps."""
    registries: tuple[str, ...]
    """The keys that are rendered."""
    source: TokenSource

    @property
    def provider(self) -> str:
        return PROVIDERS[type(self.source)]

    @property
    def identity(self) -> str:
        """The identity, for the status. It contains no secret."""
        return self.source.cloud_identity or str(self.source.identity)


@dataclass(frozen=True)
class Policy:
    """The process's limits for RegistryTokens."""

    allowed_identities: tuple[str, ...] = ()
    """Beginnings of role ARNs, client ids and e-mail addresses; empty: every one."""
    other_registries: frozenset[str] = frozenset()
    """Hosts that a key may be rendered for though they are not the named cloud's."""


def parse_registry_token(obj: Json, policy: Policy) -> RegistryToken:
    """From the API's JSON. Raises RegistryTokenError with all that is wrong."""
    problems: list[str] = []
    name = str((obj.get("metadata") or {}).get("name", ""))
    if len(name) > LONGEST_LABEL:
        problems.append(f"metadata.name has {len(name)} characters, at most {LONGEST_LABEL} fit into a label")
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        raise RegistryTokenError([*problems, "spec is missing"])
    secret_name = _secret_name(spec.get("secretName"), problems)
    registries = _registries(spec.get("registries"), problems)
    source = _source(spec, registries, policy, problems)
    if source and not _is_allowed(source, policy):
        problems.append(
            f"spec.{PROVIDERS[type(source)]} names {source.cloud_identity}, which --allowed-identities of the process "
            "does not allow: name another, or have it allowed"
        )
    if problems or source is None:
        raise RegistryTokenError(problems)
    return RegistryToken(name, secret_name, registries, source)


def is_secret_name(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _LONGEST_NAME and bool(_name(text))


def _secret_name(value: object, problems: list[str]) -> str:
    if not is_secret_name(value):
        problems.append(
            f"spec.secretName: {quoted(str(value or ''))} is no name of a Secret (lower-case letters, digits, '-' and "
            "'.'): name the Secret in Sutler's namespace that will hold the token"
        )
    return str(value)


def _registries(value: object, problems: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        problems.append("spec.registries must list at least one registry, such as acme.azurecr.io")
        return ()
    if len(value) > MOST_REGISTRIES:
        problems.append(f"spec.registries has {len(value)} entries, at most {MOST_REGISTRIES} are rendered")
    found = []
    for position, entry in enumerate(value[:MOST_REGISTRIES]):
        try:
            found.append(parse_pattern(str(entry)).text)
        except PatternError as error:
            problems.append(f"spec.registries[{position}]: {error}")
    return tuple(dict.fromkeys(found))


def _source(
    spec: Mapping[str, object], registries: tuple[str, ...], policy: Policy, problems: list[str]
) -> TokenSource | None:
    given = [name for name in PROVIDERS.values() if spec.get(name) is not None]
    if len(given) != 1:
        found = f"it has {' and '.join(given)}" if given else "it has none of them"
        problems.append(f"spec must have exactly one of {', '.join(PROVIDERS.values())}; {found}")
        return None
    (provider,) = given
    fields = Fields(f"spec.{provider}", spec[provider], problems)
    return parse_source(provider, fields, registries, policy.other_registries)


def _is_allowed(source: TokenSource, policy: Policy) -> bool:
    named = source.cloud_identity
    return not named or not policy.allowed_identities or named.startswith(policy.allowed_identities)
