"""One fetch: the provider that the object names, and the checks that all of their answers share."""

from typing import assert_never

from provisioner.tokens.planning.credential import FetchedCredential
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.schedule import is_bad_expiry
from provisioner.tokens.planning.sources import (
    AcrSource,
    AliyunSource,
    ArtifactRegistrySource,
    EcrPublicSource,
    EcrSource,
    ExecSource,
    TokenSource,
)
from provisioner.tokens.providers.acr import fetch_acr
from provisioner.tokens.providers.aliyun import fetch_aliyun
from provisioner.tokens.providers.artifact_registry import fetch_artifact_registry
from provisioner.tokens.providers.context import FetchContext
from provisioner.tokens.providers.ecr import fetch_ecr, fetch_ecr_public
from provisioner.tokens.providers.exec import fetch_exec

LONGEST_PASSWORD_BYTES = 32_768
"""A registry's front server takes headers of 8 or 16 KiB; a password beyond this is none."""


async def fetch_credential(context: FetchContext, source: TokenSource) -> FetchedCredential:
    """Raises TokenError."""
    found = await _fetch(context, source)
    for login in found.logins.values():
        if not login.password or not login.username:
            raise TokenError(Reason.BAD_ANSWER, "the answer holds an empty user name or an empty token")
        if len(login.password) > LONGEST_PASSWORD_BYTES:
            raise TokenError(
                Reason.BAD_ANSWER, f"the token has {len(login.password)} characters, and no registry accepts that"
            )
        if any(letter < " " and letter not in "\t\r\n" for letter in login.password) or ":" in login.username:
            raise TokenError(Reason.BAD_ANSWER, "the token holds characters that no password can have")
    if is_bad_expiry(found.seconds_left):
        raise TokenError(
            Reason.BAD_EXPIRY,
            "the token has ended, or ends within a minute: compare the clocks of the endpoint and the node",
        )
    return found


async def _fetch(context: FetchContext, source: TokenSource) -> FetchedCredential:
    match source:
        case EcrSource():
            return await fetch_ecr(context, source)
        case EcrPublicSource():
            return await fetch_ecr_public(context, source)
        case ArtifactRegistrySource():
            return await fetch_artifact_registry(context, source)
        case AcrSource():
            return await fetch_acr(context, source)
        case AliyunSource():
            return await fetch_aliyun(context, source)
        case ExecSource():
            return await fetch_exec(context, source)
        case _:
            assert_never(source)
