"""Where a registry's password comes from, by the options of `add`: the block of a RegistryToken. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioner.tokens.planning.registry_hosts import host_of
from provisioner.tokens.planning.registry_token import Policy, RegistryTokenError, parse_registry_token
from provisioner.tokens.planning.sources import ExecSource, ProcessIdentity
from sutler.cli.exit_codes import UsageError

Json = dict[str, Any]

_IDENTITIES = {
    "web-identity": ProcessIdentity.WEB_IDENTITY,
    "pod-identity": ProcessIdentity.POD_IDENTITY,
    "metadata": ProcessIdentity.METADATA_SERVER,
}
_NAMED = {"account": "serviceAccountName", "secret": "secretName"}
IDENTITY_FORMS = "account:NAME, secret:NAME, web-identity, pod-identity or metadata"

_FIELDS: dict[str, dict[str, str]] = {
    "ecr": {"--role": "roleARN", "--region": "region"},
    "ecrPublic": {"--role": "roleARN"},
    "artifactRegistry": {"--audience": "audience", "--impersonate": "serviceAccountEmail"},
    "acr": {"--tenant": "tenantID", "--client": "clientID"},
    "aliyun": {
        "--role": "roleARN",
        "--region": "region",
        "--oidc-provider": "oidcProviderARN",
        "--instance": "instanceID",
    },
    "exec": {"--audience": "audience"},
}
"""The field of each source that an option fills."""


@dataclass(frozen=True)
class TokenChoice:
    """What was typed: the source's field in the spec, and the options that go with it."""

    provider: str
    identity: str | None
    options: Mapping[str, str] = field(default_factory=dict)
    """By the option's name, those that were given."""
    plugin: str = ""


def token_block(choice: TokenChoice) -> Json:
    """The source's block in the spec. Raises UsageError."""
    known = _FIELDS[choice.provider]
    block: Json = {}
    if choice.provider == "exec":
        # As the API server completes it: what is there already is compared with this.
        block = {"plugin": choice.plugin, "apiVersion": ExecSource.api_version}
    for option, value in choice.options.items():
        if option not in known:
            others = ", ".join(sorted(known))
            raise UsageError(f"{option} cannot be combined with {choice.provider}, which has the options {others}")
        block[known[option]] = value
    if choice.identity:
        block["identity"] = _identity(choice.identity)
    if choice.provider == "aliyun" and block.get("identity") == {"process": ProcessIdentity.METADATA_SERVER}:
        # There the role is the node's own, and has a name instead of an ARN.
        block |= {"roleName": block.pop("roleARN")} if "roleARN" in block else {}
    return block


def checked_spec(server: str, secret: str, choice: TokenChoice) -> tuple[Json, str]:
    """The whole spec, and a note on it. Raises UsageError with all that is wrong with it."""
    spec = {"secretName": secret, "registries": [server], choice.provider: token_block(choice)}
    obj = {"metadata": {"name": ""}, "spec": spec}
    try:
        parse_registry_token(obj, Policy())
    except RegistryTokenError as strict:
        try:
            parse_registry_token(obj, Policy(other_registries=frozenset([host_of(server)])))
        except RegistryTokenError as error:
            raise UsageError(_in_options("; ".join(error.problems), choice.provider)) from error
        host = host_of(server)
        return (
            spec,
            f"{strict.problems[0].partition('. ')[0]}: the tokens process accepts it with --other-registries {host}",
        )
    return spec, ""


def _identity(text: str) -> Json:
    if process := _IDENTITIES.get(text):
        return {"process": str(process)}
    kind, _, name = text.partition(":")
    if kind in _NAMED and name:
        return {_NAMED[kind]: name}
    raise UsageError(f"--identity is {IDENTITY_FORMS}, not {text!r}")


def _in_options(problems: str, provider: str) -> str:
    """The same in the words of the command line."""
    for option, name in {**_FIELDS[provider], "--identity": "identity"}.items():
        problems = problems.replace(f"spec.{provider}.{name} is missing", f"{option} is missing")
    return problems
