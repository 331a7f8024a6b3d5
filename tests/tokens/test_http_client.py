"""The way out, against real servers: no redirects, no proxies for metadata, bounds, and no secret in a text."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from provisioner.tokens.http_client import LARGEST_ANSWER_BYTES, HttpClient
from provisioner.tokens.planning.failure import Reason, TokenError
from provisioner.tokens.planning.http_message import HttpRequest

CANARY = {"Authorization": "Bearer canary"}
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(handler: RawHandler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname()[:2])


def request(host: str, seconds: float = 2.0, path: str = "/") -> HttpRequest:
    return HttpRequest("the request", "POST", f"http://{host}{path}", CANARY, b"canary", timeout_seconds=seconds)


async def failing(http: HttpClient, host: str, seconds: float = 2.0) -> TokenError:
    with pytest.raises(TokenError) as raised:
        await http.send(request(host, seconds))
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None
    return raised.value


async def test_redirect_is_an_answer_and_is_not_followed(http: HttpClient) -> None:
    asked: list[str] = []

    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        asked.append(got.path)
        return web.Response(status=307, headers={"Location": "/other"})

    async with serving(handler) as host:
        assert (await http.send(request(host))).status == 307
    assert asked == ["/"]


async def test_request_is_sent_as_it_was_signed(http: HttpClient) -> None:
    seen: list[tuple[str, bytes, str]] = []

    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        seen.append((got.raw_path, await got.read(), got.headers["Host"]))
        return web.Response(text="ok", headers={"X-Some": "a"})

    async with serving(handler) as host:
        path = "/a%20b/?InstanceName=a%2Bb&x=%E4%BD%A0"
        answer = await http.send(request(host, path=path))
        assert seen == [(path, b"canary", host)]
    assert (answer.status, answer.body, answer.headers["x-some"]) == (200, b"ok", "a")


async def test_cookies_are_not_kept(http: HttpClient) -> None:
    cookies: list[str] = []

    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        cookies.append(got.headers.get("Cookie", ""))
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with serving(handler) as host:
        await http.send(request(host))
        await http.send(request(host))
    assert cookies == ["", ""]


async def test_answer_of_the_largest_size_is_read_and_one_byte_more_is_not(http: HttpClient) -> None:
    size = LARGEST_ANSWER_BYTES

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x" * size)

    async with serving(handler) as host:
        assert len((await http.send(request(host))).body) == size
        size += 1
        assert (await failing(http, host)).reason is Reason.BAD_ANSWER


async def test_slow_answer_ends_in_time_however_it_trickles(http: HttpClient) -> None:
    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    async with raw(handler) as host:
        began = time.monotonic()
        error = await failing(http, host, 0.5)
        assert time.monotonic() - began < 5
    assert error.reason is Reason.ENDPOINT_UNREACHABLE
    assert "within 0.5 s" in str(error)


BROKEN = {
    "nothing": b"",
    "no HTTP": b"canary\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncan",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"canary" * 20_000,
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
}


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_answer_is_an_expected_error_that_quotes_nothing(http: HttpClient, what: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"canary")
        writer.write(BROKEN[what])
        writer.close()

    async with raw(handler) as host:
        assert (await failing(http, host)).reason is Reason.ENDPOINT_UNREACHABLE


async def test_closed_port_and_unknown_host_are_said(http: HttpClient) -> None:
    async with raw(lambda *_: asyncio.sleep(0)) as host:
        pass
    assert "no connection" in str(await failing(http, host))
    assert (await failing(http, "registry.invalid")).reason is Reason.ENDPOINT_UNREACHABLE


async def test_certificate_of_nobody_is_not_trusted(http: HttpClient) -> None:
    from tests.tokens.fakes.tls import self_signed  # noqa: PLC0415 - only this test makes keys

    async with self_signed() as host:
        with pytest.raises(TokenError) as raised:
            await http.send(HttpRequest("the request", "GET", f"https://{host}/", CANARY))
    assert "its certificate is not trusted" in str(raised.value)


async def test_proxy_is_asked_for_the_internet_and_never_for_metadata() -> None:
    proxied: list[str] = []
    direct: list[str] = []

    async def proxy(got: web.BaseRequest) -> web.StreamResponse:
        proxied.append(str(got.url))
        return web.Response()

    async def server(got: web.BaseRequest) -> web.StreamResponse:
        direct.append(got.path)
        return web.Response()

    async with (
        serving(proxy) as address,
        serving(server) as host,
        HttpClient.opened({"HTTP_PROXY": f"http://{address}"}) as http,
    ):
        await http.send(request("cloud.invalid"))
        await http.send(request(host, path="/latest/api/token"))
    assert [url.partition("//")[2] for url in proxied] == ["cloud.invalid/"]
    assert direct == ["/latest/api/token"]


async def test_netrc_gives_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        seen.append(got.headers.get("Authorization", ""))
        return web.Response()

    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(file))
    async with serving(handler) as host, HttpClient.opened({}) as http:
        await http.send(HttpRequest("the request", "GET", f"http://{host}/"))
    assert seen == [""]


async def test_nothing_of_a_request_is_logged(http: HttpClient, logged: io.StringIO) -> None:

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="canary")

    async with serving(handler) as host:
        await http.send(request(host))
    assert "the request" in logged.getvalue()
    assert "canary" not in logged.getvalue()
