"""Identities that lie in the cluster: keys in Secrets and tokens of ServiceAccounts, of Sutler's own namespace only."""

import base64
import binascii
from collections.abc import Mapping

from provisioner.tokens.planning.failure import Reason, TokenError
from sutler.kube.client import Client
from sutler.kube.errors import ApiError, Forbidden, KubeError, NotFound
from sutler.kube.resources import SECRETS, SERVICE_ACCOUNTS

ACCOUNT_TOKEN_SECONDS = 3600
"""The requested lifetime in seconds; the API server may grant less, at least 600."""


class ClusterIdentities:
    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    async def secret(self, name: str) -> Mapping[str, bytes]:
        """The data of a Secret. Raises TokenError, which names no value."""
        try:
            found = await self._client.get(SECRETS, name, self._namespace)
        except KubeError as error:
            raise self._failure(error, f"Secret {self._namespace}/{name}", f"get of secrets/{name}") from None
        try:
            return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        except (binascii.Error, ValueError, TypeError):
            raise TokenError(Reason.IDENTITY_MISSING, f"Secret {self._namespace}/{name} is not base64") from None

    async def account_token(self, name: str, audience: str) -> str:
        """A fresh token of a ServiceAccount, made out to the audience."""
        path = SERVICE_ACCOUNTS.path(self._namespace, name, "token")
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": ACCOUNT_TOKEN_SECONDS},
        }
        try:
            answer = await self._client.post(path, body)
        except KubeError as error:
            right = f"create of serviceaccounts/token {name}"
            raise self._failure(error, f"ServiceAccount {self._namespace}/{name}", right) from None
        token = (answer.get("status") or {}).get("token")
        if not isinstance(token, str) or not token:
            raise TokenError(Reason.IDENTITY_MISSING, f"the API server gave no token for ServiceAccount {name}")
        return token

    def _failure(self, error: KubeError, what: str, right: str) -> TokenError:
        if isinstance(error, NotFound):
            return TokenError(Reason.IDENTITY_MISSING, f"{what} does not exist: create it, or name another")
        if isinstance(error, Forbidden):
            return TokenError(
                Reason.IDENTITY_MISSING,
                f"the tokens process may not use {what}: grant its account {right} by a Role with resourceNames, as "
                "`sutler registry add` makes it",
            )
        asked = error.retry_after if isinstance(error, ApiError) else None
        return TokenError(Reason.API_SERVER_FAILED, f"{what}: {error}", retry_after=asked)
