"""Settings of `python -m provisioner tokens`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from provisioner.tokens.planning.registry_token import Policy
from sutler.settings import LeaderElectionSettings

ENDPOINTS = (
    "ecr",
    "ecr-public",
    "aws-sts",
    "aws-metadata",
    "google-metadata",
    "google-sts",
    "google-iam",
    "azure-login",
    "azure-metadata",
    "acr",
    "aliyun-cr",
    "aliyun-sts",
    "aliyun-metadata",
)


class TokensSettings(LeaderElectionSettings):
    """Keeps source Secrets whose passwords expire, as RegistryTokens declare."""

    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """RegistryTokens that are worked on at the same time."""

    projected_tokens: Path = Path("/var/run/secrets/sutler.dev/tokens")
    """Folder of the tokens that are projected into this process's Pod, one file for each cloud: aws, google, azure,
    aliyun. They are used for `process: WebIdentity` only."""

    plugin_folder: Path | None = None
    """Folder of the credential provider plug-ins that `exec` may name. Default: none is ever run."""

    plugin_environment: list[str] = Field(default_factory=list)
    """Names of environment variables of this process that plug-ins get. All others are kept from them."""

    allowed_identities: list[str] = Field(default_factory=list)
    """Beginnings of role ARNs, client ids, e-mail addresses and role names that objects may name. Default: all."""

    other_registries: list[str] = Field(default_factory=list)
    """Hosts, with their ports, that tokens may be rendered for though they are not the cloud's own: mirrors that pass
    the password on."""

    endpoints: list[str] = Field(default_factory=list)
    """Other addresses of the clouds' services, as NAME=URL: ecr, ecr-public, aws-sts, aws-metadata, google-metadata,
    google-sts, google-iam, azure-login, azure-metadata, acr, aliyun-cr, aliyun-sts, aliyun-metadata. Identities are
    sent there: name none that you don't trust with them."""

    @field_validator("endpoints")
    @classmethod
    def _named(cls, value: list[str]) -> list[str]:
        for each in value:
            name, _, url = each.partition("=")
            parts = urlsplit(url)
            if name not in ENDPOINTS or parts.scheme not in {"https", "http"} or not parts.hostname:
                raise ValueError(f"must be NAME=URL with a NAME of {', '.join(ENDPOINTS)}")
        return value

    @property
    def endpoint_urls(self) -> dict[str, str]:
        return {name: url for name, _, url in (each.partition("=") for each in self.endpoints)}

    @property
    def policy(self) -> Policy:
        return Policy(tuple(self.allowed_identities), frozenset(self.other_registries))
