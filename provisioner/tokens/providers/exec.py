"""The kubelet's credential provider contract: any published plug-in is a source."""

import re
from typing import Any

import msgspec

from provisioner.tokens.planning.credential import FetchedCredential, Login
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.sources import ExecSource
from provisioner.tokens.providers.context import FetchContext

LEAST_SECONDS = 300.0
"""Between two runs of a plug-in that wants no caching."""

UNSAID_SECONDS = 600.0
"""For an answer without cacheDuration, for which the kubelet's configuration has a default."""

_CACHE_KEY_TYPES = frozenset(("Image", "Registry", "Global"))
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_part = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_duration = re.compile(rf"(?:{_part.pattern})+|0").fullmatch


async def fetch_exec(context: FetchContext, source: ExecSource) -> FetchedCredential:
    request: dict[str, Any] = {
        "apiVersion": source.api_version,
        "kind": "CredentialProviderRequest",
        "image": source.image,
    }
    if source.identity.service_account_name:
        token = await context.account_token(source.identity.service_account_name, source.audience)
        request["serviceAccountToken"] = token
    output = await context.run_plugin(source.plugin, msgspec.json.encode(request))
    return parse_response(source, output)


def parse_response(source: ExecSource, output: bytes) -> FetchedCredential:
    """Raises TokenError, which quotes nothing of the output: it holds credentials."""
    try:
        found = msgspec.json.decode(output, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _failed(source, "its output is not a JSON object") from None
    if found.get("kind") != "CredentialProviderResponse":
        raise _failed(source, "its output is not a CredentialProviderResponse")
    if found.get("apiVersion") != source.api_version:
        raise _failed(source, f"its answer is not of {source.api_version}: set spec.exec.apiVersion to its version")
    if found.get("cacheKeyType") not in _CACHE_KEY_TYPES:
        raise _failed(source, "its cacheKeyType is none of Image, Registry and Global")
    logins = _logins(source, found.get("auth"))
    if not logins:
        raise TokenError(
            Reason.ACCESS_DENIED, f"plug-in {source.plugin} has no credential for {source.image}: run it by hand"
        )
    cached = _seconds(source, found.get("cacheDuration"))
    # The duration in a plug-in's answer is mostly half of the token's life.
    return FetchedCredential(logins, 2 * max(LEAST_SECONDS, cached), exact=False)


def _logins(source: ExecSource, auth: Any) -> dict[str, Login]:
    if auth is None:
        return {}
    if not isinstance(auth, dict):
        raise _failed(source, "its auth is not an object")
    logins = {}
    for key, value in auth.items():
        username, password = (value.get("username"), value.get("password")) if isinstance(value, dict) else (None, None)
        if not isinstance(username, str) or not isinstance(password, str):
            raise _failed(source, "an entry of its auth has no username and password")
        if key and username and password:
            logins[key] = Login(username, password)
    return logins


def _seconds(source: ExecSource, duration: Any) -> float:
    """Of a duration as Go writes it: 1h30m, 0s."""
    if duration is None:
        return UNSAID_SECONDS
    if not isinstance(duration, str) or len(duration) > 64 or not _duration(duration):  # noqa: PLR2004 - no duration is longer
        raise _failed(source, "its cacheDuration is not a duration such as 6h0m0s")
    return sum(float(number) * _UNITS[unit] for number, unit in _part.findall(duration))


def _failed(source: ExecSource, why: str) -> TokenError:
    return TokenError(Reason.PLUGIN_FAILED, f"plug-in {source.plugin}: {why}")
