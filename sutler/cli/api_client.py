"""The REST API, asked from the command line: where it is, who asks, what it answers."""

import contextlib
import functools
import http.client
import inspect
import json
import os
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import typer

from sutler.cli.output import ExitCode, UsageError
from sutler.errors import SutlerError
from sutler.typedefs import Json

BASE = "/api/v1"
URL = "https://localhost:8443"
_SECONDS = 60.0
_PAGE = 1000

Url = Annotated[str, typer.Option("--url", metavar="URL", envvar="SUTLER_API_URL", help="Where the REST API is.")]
CaFile = Annotated[
    str | None,
    typer.Option(
        "--ca-file", metavar="PATH", envvar="SUTLER_API_CA", help="Its CA (PEM).  [default: those of the system]"
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token-file", metavar="PATH", help="File with the token.  [default: the variable SUTLER_API_TOKEN]"),
]
TOKEN_VARIABLE = "SUTLER_API_TOKEN"  # noqa: S105 - its name


class ApiRefusedError(SutlerError):
    """The API has said no; its text says why and what would do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.exit_code = _EXIT.get(status, ExitCode.PROBLEM)


class UnreachableError(SutlerError):
    exit_code = ExitCode.CLUSTER


_EXIT = {
    401: ExitCode.CLUSTER,
    403: ExitCode.CLUSTER,
    422: ExitCode.USAGE,
    502: ExitCode.CLUSTER,
    503: ExitCode.CLUSTER,
    504: ExitCode.CLUSTER,
}


@dataclass(frozen=True)
class ApiResponse:
    status: int
    body: Json
    location: str | None
    lost: str | None = None
    """Of what was forced: what it has destroyed, in words."""


class ApiClient:
    def __init__(self, url: str, ca_file: str | None, token_file: str | None, environment: Mapping[str, str]) -> None:
        self._target = _target(url)
        self._token = _token(token_file, environment)
        try:
            self._context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"--ca-file {ca_file}: not readable as PEM certificates ({error})") from error

    def get(self, *path: str, **query: Any) -> Json:
        return self.ask("GET", *path, **query).body

    def ask(self, method: str, *path: str, body: Json | None = None, **query: Any) -> ApiResponse:
        """`path` below /api/v1, unquoted; parameters that are None or False are left out."""
        target = f"{BASE}/{'/'.join(quote(part, safe='') for part in path)}"
        given = {name: "true" if value is True else str(value) for name, value in query.items() if value}
        return self._send(method, f"{target}?{urlencode(given)}" if given else target, body)

    def items(self, key: str, *path: str, **query: Any) -> Iterator[Json]:
        """All of a list, page by page."""
        cursor = None
        while True:
            page = self.get(*path, limit=_PAGE, cursor=cursor, **query)
            yield from page[key]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def finished(self, answer: ApiResponse) -> Json:
        """Waits for what was answered with 202, with its progress where somebody looks."""
        if answer.location is None or answer.status != http.HTTPStatus.ACCEPTED:
            return answer.body
        while True:
            shown = self._send("GET", answer.location).body
            _tell(shown)
            if shown["state"] == "succeeded":
                return {}
            if shown["state"] != "running":
                raise ApiRefusedError(shown["status"] or 500, f"{shown['kind']} {shown['state']}: {shown['detail']}")
            time.sleep(0.5)

    def _send(self, method: str, target: str, body: Json | None = None) -> ApiResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPSConnection(
            self._target.hostname or "", self._target.port, context=self._context, timeout=_SECONDS
        )
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"the REST API at {self._target.geturl()} does not answer: {error}") from error
        finally:
            connection.close()
        found = _decoded(text, response.status, self._target.geturl())
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiRefusedError(response.status, _text(found))
        return ApiResponse(
            response.status, found, response.headers.get("Location"), response.headers.get("Sutler-Lost")
        )


_ACCESS = (
    inspect.Parameter("url", inspect.Parameter.KEYWORD_ONLY, default=URL, annotation=Url),
    inspect.Parameter("ca_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=CaFile),
    inspect.Parameter("token_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Token),
)


def with_console(command: Callable[..., None]) -> Callable[..., None]:
    """For a command that asks the API: gives it a Console, and it the options that say where that is and who asks."""
    signature = inspect.signature(command)
    _, *own = signature.parameters.values()
    parameters = [*own, *_ACCESS]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        url, ca_file, token_file = (given.pop(option.name) for option in _ACCESS)
        command(ApiClient(url, ca_file, token_file, os.environ), **given)

    # What typer makes options of.
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # any function may have one
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _target(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        target = urlsplit(url)
        if target.scheme == "https" and target.hostname and target.port != 0:
            return target
    raise UsageError(f"--url {url!r} is not https://HOST[:PORT]: tokens are sent over TLS only")


def _token(path: str | None, environment: Mapping[str, str]) -> str:
    if path is None:
        token = environment.get(TOKEN_VARIABLE, "").strip()
    else:
        try:
            token = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file {path} can't be read") from error
    if not token or not token.isprintable() or not token.isascii():
        where = path or f"the variable {TOKEN_VARIABLE}"
        raise UsageError(f"{where} holds no token: put one there, for instance from `kubectl create token ACCOUNT`")
    return token


def _decoded(text: bytes, status: int, url: str) -> Json:
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnreachableError(f"{url} answered {status} with something that is not JSON: is it Sutler's REST API?")
    return found


def _text(problem: Json) -> str:
    # Where in the request it is wrong means nothing to who has written none.
    lines = [(problem.get("detail") or problem.get("title") or "refused").removeprefix("body/")]
    if problem.get("accepted"):
        lines.append(f"  accepted: {problem['accepted']}")
    if problem.get("images"):
        lines.append(f"  images: {', '.join(problem['images'])}")
    return "\n".join(lines)


def _tell(operation: Json) -> None:
    if sys.stderr.isatty() and operation["progress"] is not None:
        end = "\n" if operation["state"] != "running" else ""
        sys.stderr.write(f"\r{operation['kind']} {operation['image']}: {operation['progress']:.0%}{end}")
        sys.stderr.flush()
