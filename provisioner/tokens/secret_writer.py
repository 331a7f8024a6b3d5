"""Reads and patches the Secrets that RegistryTokens keep. It creates and deletes none: its account has no such right.

An account that may create Secrets could make itself a token of any account of the namespace.
"""

from provisioner.tokens import metrics
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.registry_token import RegistryToken
from provisioner.tokens.planning.source_secret import (
    SourceSecret,
    content_patch,
    read_source_secret,
    require_own,
)
from sutler import log, well_known
from sutler.kube.client import Client
from sutler.kube.errors import ApiError, Conflict, Forbidden, KubeError, LeaseLost, NotFound
from sutler.kube.resources import SECRETS
from sutler.registry.dockerconfig import DOCKERCONFIGJSON

_log = log.get(__name__)


class SecretWriter:
    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def read(self, token: RegistryToken) -> SourceSecret:
        """Raises TokenError for one that is not there, not its own, or can't be written."""
        name = token.secret_name
        try:
            found = read_source_secret(await self._client.get(SECRETS, name, self._namespace))
        except NotFound:
            raise TokenError(
                Reason.SECRET_MISSING,
                f"Secret {self._namespace}/{name} does not exist, and this process cannot create it. Create it empty: "
                f"type {DOCKERCONFIGJSON}, label {well_known.TOKEN}={token.name}, .dockerconfigjson "
                '{"auths":{}} (`sutler registry add` does)',
            ) from None
        except KubeError as error:
            raise self._failure(error, token, "get") from None
        require_own(found, token, self._namespace)
        return found

    async def write(self, token: RegistryToken, secret: SourceSecret, content: bytes, expires_at: str) -> bool:
        """Whether anything was written: the same content is none.

        One request: a process that dies leaves the Secret as it was, or as it should be.
        """
        patch = content_patch(secret, content, expires_at)
        if not patch:
            return False
        try:
            await self._client.json_patch(SECRETS, token.secret_name, patch, self._namespace)
        except Conflict:
            # It has changed since it was read: a label was set, perhaps taken away.
            patch = content_patch(await self.read(token), content, expires_at)
            await self._again(token, patch)
        except LeaseLost:
            raise
        except KubeError as error:
            raise self._failure(error, token, "patch") from None
        metrics.WRITES.inc()
        _log.info("token written", token=token.name, secret=token.secret_name, expires_at=expires_at)
        return True

    async def _again(self, token: RegistryToken, patch: list[dict[str, object]]) -> None:
        try:
            if patch:
                await self._client.json_patch(SECRETS, token.secret_name, patch, self._namespace)
        except LeaseLost:
            raise
        except KubeError as error:
            raise self._failure(error, token, "patch") from None

    def _failure(self, error: KubeError, token: RegistryToken, verb: str) -> TokenError:
        if isinstance(error, Forbidden):
            return TokenError(
                Reason.SECRET_MISSING,
                f"this process may not {verb} Secret {self._namespace}/{token.secret_name}: grant its account get and "
                f"patch of it by a Role with resourceNames {token.secret_name}, as `sutler registry add` makes it",
            )
        asked = error.retry_after if isinstance(error, ApiError) else None
        return TokenError(
            Reason.API_SERVER_FAILED, f"Secret {self._namespace}/{token.secret_name}: {error}", retry_after=asked
        )
