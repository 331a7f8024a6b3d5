"""All that a provider gets from outside: HTTP, time, Secrets, ServiceAccounts' tokens, files, programs."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpAnswer, HttpRequest, require_success
from provisioner.tokens.planning.sources import Identity

T = TypeVar("T")

_SKEW = timedelta(minutes=4)
"""AWS refuses a signature that is five minutes off, Alibaba Cloud one that is fifteen."""

_REFUSALS = (400, 401, 403)


@dataclass(frozen=True)
class Endpoints:
    """Base URLs of the clouds' services where they are not the usual ones, by name."""

    others: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def url(self, name: str, usual: str) -> str:
        return self.others.get(name, usual).rstrip("/")


@dataclass(frozen=True)
class FetchContext:
    """Handed to each provider for one fetch.

    Everything that fails raises TokenError. `send` follows no redirect and bounds the answer. `secret` reads a Secret
    of Sutler's own namespace, `account_token(name, audience)` requests a token of a ServiceAccount there. `run_plugin`
    runs a program of the fixed folder with some bytes on its standard input.
    """

    send: Callable[[HttpRequest], Awaitable[HttpAnswer]]
    now: Callable[[], datetime]
    secret: Callable[[str], Awaitable[Mapping[str, bytes]]]
    account_token: Callable[[str, str], Awaitable[str]]
    run_plugin: Callable[[str, bytes], Awaitable[bytes]]
    environment: Mapping[str, str]
    projected_tokens: Path
    """Folder of the tokens that are projected into the process's own Pod: one file for each cloud."""
    endpoints: Endpoints = Endpoints()

    async def send_signed(self, sign: Callable[[datetime], HttpRequest]) -> tuple[HttpRequest, HttpAnswer]:
        """Sign by our clock; where the answer shows that this is wrong, once more by the endpoint's."""
        request = sign(self.now())
        answer = await self.send(request)
        server_time = answer.date
        if answer.status in _REFUSALS and server_time and abs(server_time - self.now()) > _SKEW:
            request = sign(server_time)
            answer = await self.send(request)
        return request, answer

    async def web_identity_token(self, identity: Identity, audience: str, cloud: str, variable: str) -> str:
        """The ServiceAccount's token that the cloud takes for an identity. Read at each use: it is rotated.

        `variable` names the file, as the cloud's own webhook sets it; else it is the file `cloud` in the folder.
        """
        if identity.service_account_name:
            return await self.account_token(identity.service_account_name, audience)
        named = self.environment.get(variable)
        return read_token_file(Path(named) if named else self.projected_tokens / cloud)

    def variable(self, name: str, what: str) -> str:
        """Of the process's environment. Raises TokenError where it is not set."""
        value = self.environment.get(name, "")
        if not value:
            raise TokenError(
                Reason.IDENTITY_MISSING, f"{what} is neither in the RegistryToken nor in {name} of the process"
            )
        return value


def read_token_file(path: Path) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise TokenError(
            Reason.IDENTITY_MISSING,
            f"the token file {path} can't be read ({why}): project a ServiceAccount token into the Pod, or name a "
            "ServiceAccount in the RegistryToken",
        ) from None
    if not text:
        raise TokenError(Reason.IDENTITY_MISSING, f"the token file {path} is empty")
    return text


def text_of(secret: Mapping[str, bytes], name: str, key: str, *, required: bool = True) -> str:
    """A key of a Secret as text, without the line break that `echo` leaves. Raises TokenError, which names no value."""
    try:
        value = secret.get(key, b"").decode().strip()
    except UnicodeDecodeError:
        value = ""
    if required and not value:
        has = ", ".join(sorted(secret)) or "none at all"
        raise TokenError(Reason.IDENTITY_MISSING, f"Secret {name} has no text under the key {key}; its keys are: {has}")
    return value


async def read_role(
    context: FetchContext, listing: HttpRequest, *, is_name: Callable[[str], object], missing: str
) -> str:
    """The first role that a metadata service lists. Raises TokenError if there is none that `is_name` accepts."""
    answer = await context.send(listing)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise TokenError(Reason.IDENTITY_MISSING, f"{listing.name}: {missing}")
    require_success(listing, answer)
    role = answer.body.decode("ascii", "replace").split("\n", 1)[0].strip()
    if not is_name(role):
        raise TokenError(Reason.BAD_ANSWER, f"{listing.name}: the answer does not name a role")
    return role
