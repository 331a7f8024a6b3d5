"""Client of Sutler's REST API for commands, and its options: URL, CA and token."""

import contextlib
import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import typer

from sutler.cli.exit_codes import BY_API_STATUS, ExitCode, UsageError
from sutler.cli.options import option, with_options
from sutler.errors import SutlerError
from sutler.typedefs import Json

BASE = "/api/v1"
URL = "https://localhost:8443"
_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.5
_PAGE = 1000
"""Entries requested per page of a list."""

Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="SUTLER_API_URL", help="URL of the REST API.")]
CaFile = Annotated[
    str | None,
    typer.Option(
        "--ca-file", metavar="PATH", envvar="SUTLER_API_CA", help="CA of the REST API (PEM).  [default: system CAs]"
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token-file", metavar="PATH", help="File with the token.  [default: the variable SUTLER_API_TOKEN]"),
]
TOKEN_VARIABLE = "SUTLER_API_TOKEN"  # noqa: S105 - its name


class ApiRefusedError(SutlerError):
    """The API has rejected a request; the text says why, and which values it accepts."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.exit_code = BY_API_STATUS.get(status, ExitCode.PROBLEM)


class UnreachableError(SutlerError):
    """The API does not answer, or what answers is not the API."""

    exit_code = ExitCode.CLUSTER


@dataclass(frozen=True)
class ApiResponse:
    """A response of the REST API with a status below 400."""

    status: int
    body: Json
    location: str | None
    lost: str | None = None
    """What a forced request has destroyed, as text."""


class ApiClient:
    """Sends requests to the REST API, one connection each."""

    def __init__(self, url: str, ca_file: str | None, token_file: str | None, environment: Mapping[str, str]) -> None:
        self._target = _parse_url(url)
        self._token = _read_token(token_file, environment)
        try:
            self._context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--ca-file {ca_file}: not readable as PEM certificates ({error})") from error

    def get(self, *path: str, **query: Any) -> Json:
        """The body of a GET; see `request`."""
        return self.request("GET", *path, **query).body

    def request(self, method: str, *path: str, body: Json | None = None, **query: Any) -> ApiResponse:
        """Sends a request. `path` is below /api/v1, unquoted; query values that are None or False are omitted."""
        target = f"{BASE}/{'/'.join(quote(part, safe='') for part in path)}"
        given = {name: "true" if value is True else str(value) for name, value in query.items() if value}
        return self._send(method, f"{target}?{urlencode(given)}" if given else target, body)

    def list_all(self, key: str, *path: str, **query: Any) -> Iterator[Json]:
        """All entries of a list, read page by page; `key` is their field in a page."""
        cursor = None
        while True:
            page = self.get(*path, limit=_PAGE, cursor=cursor, **query)
            yield from page[key]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def wait(self, response: ApiResponse) -> Json:
        """Waits until the operation of a 202 response has ended, and shows its progress on a terminal."""
        if response.location is None or response.status != http.HTTPStatus.ACCEPTED:
            return response.body
        while True:
            operation = self._send("GET", response.location).body
            _print_progress(operation)
            if operation["state"] == "succeeded":
                return {}
            if operation["state"] != "running":
                text = f"{operation['kind']} {operation['state']}: {operation['detail']}"
                raise ApiRefusedError(operation["status"] or 500, text)
            time.sleep(_POLL_SECONDS)

    def _send(self, method: str, target: str, body: Json | None = None) -> ApiResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPSConnection(
            self._target.hostname or "", self._target.port, context=self._context, timeout=_TIMEOUT_SECONDS
        )
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"the REST API at {self._target.geturl()} does not answer: {error}") from error
        finally:
            connection.close()
        found = _parse_body(text, response.status, self._target.geturl())
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiRefusedError(response.status, _error_text(found))
        return ApiResponse(
            response.status, found, response.headers.get("Location"), response.headers.get("Sutler-Lost")
        )


def _client(url: str, ca_file: str | None, token_file: str | None) -> ApiClient:
    return ApiClient(url, ca_file, token_file, os.environ)


API_OPTIONS = (option("url", Url, URL), option("ca_file", CaFile), option("token_file", Token))
with_api_client = with_options(_client, *API_OPTIONS)
"""For commands that send requests to the REST API."""


def _parse_url(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        target = urlsplit(url)
        if target.scheme == "https" and target.hostname and target.port != 0:
            return target
    raise UsageError(f"--url {url!r} is not https://HOST[:PORT]: a token is sent over TLS only")


def _read_token(path: str | None, environment: Mapping[str, str]) -> str:
    if path is None:
        token = environment.get(TOKEN_VARIABLE, "").strip()
    else:
        try:
            token = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file {path} cannot be read") from error
    if not token or not token.isprintable() or not token.isascii():
        where = path or f"the variable {TOKEN_VARIABLE}"
        raise UsageError(f"{where} holds no token: store one there, for example from `kubectl create token ACCOUNT`")
    return token


def _parse_body(text: bytes, status: int, url: str) -> Json:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnreachableError(f"{url} answered {status} without JSON: check that this is Sutler's REST API")
    return found


def _error_text(problem: Json) -> str:
    # The user has written no request body, so its paths mean nothing to them.
    lines = [(problem.get("detail") or problem.get("title") or "refused").removeprefix("body/")]
    if problem.get("accepted"):
        lines.append(f"  accepted: {problem['accepted']}")
    if problem.get("images"):
        lines.append(f"  images: {', '.join(problem['images'])}")
    return "\n".join(lines)


def _print_progress(operation: Json) -> None:
    if sys.stderr.isatty() and operation["progress"] is not None:
        end = "\n" if operation["state"] != "running" else ""
        sys.stderr.write(f"\r{operation['kind']} {operation['image']}: {operation['progress']:.0%}{end}")
        sys.stderr.flush()
