"""What can happen to a request at the proxy of tests.kube.proxy."""

import asyncio
import json
from collections.abc import Callable

from aiohttp import web

from tests.kube.proxy import Exchange, Fault


def answer(
    status: int, *, reason: str = "", message: str = "from the proxy", retry_after: float | None = None
) -> Fault:
    """The API server's own way of saying no, which has done nothing."""

    async def fault(_: Exchange) -> web.StreamResponse:
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
        headers = {"Retry-After": f"{retry_after:g}"} if retry_after is not None else {}
        return web.json_response({**said, "reason": reason, "message": message}, status=status, headers=headers)

    return fault


def html(status: int = 502, text: str = "<html><body><h1>Bad Gateway</h1></body></html>") -> Fault:
    """What a load balancer says."""

    async def fault(_: Exchange) -> web.StreamResponse:
        return web.Response(text=text, content_type="text/html", status=status)

    return fault


def reset(*, late: bool = False) -> Fault:
    """No answer but a reset; `late`: after the API server has done it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        if late:
            async with exchange.upstream() as done:
                await done.read()
        exchange.reset()

    return fault


def stall(*, late: bool = False) -> Fault:
    """No answer for ever; `late`: although the API server has done it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        if late:
            async with exchange.upstream() as done:
                await done.read()
        await asyncio.Event().wait()
        raise AssertionError

    return fault


def cut_answer(share: float = 0.5) -> Fault:
    """An answer that ends in its middle, with the API server having done it."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        async with exchange.upstream() as done:
            body = await done.read()
            response = await exchange.begin(done)
            await response.write(body[: int(len(body) * share)])
            exchange.reset()

    return fault


def truncated(share: float = 0.5) -> Fault:
    """An answer that is complete for HTTP, and half a JSON."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        async with exchange.upstream() as done:
            body = await done.read()
            return web.Response(
                body=body[: int(len(body) * share)], content_type="application/json", status=done.status
            )

    return fault


def events(*lines: bytes, close: bool = True) -> Fault:
    """A watch that says just these lines and ends, or without `close` stays silent; the last may lack its line end."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        async with exchange.upstream() as real:
            response = await exchange.begin(real)
            for line in lines:
                await response.write(line)
            if close:
                await response.write_eof()
                return response
            await asyncio.Event().wait()
            raise AssertionError

    return fault


def changed(change: Callable[[bytes], bytes | None]) -> Fault:
    """Each line of the answer is altered, doubled, or with None left out."""

    async def fault(exchange: Exchange) -> web.StreamResponse:
        return await exchange.pass_on(change)

    return fault


def error_event(code: int, reason: str) -> bytes:
    """The line by which a watch tells an error: 410 Expired, for one."""
    status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": "from the proxy"}
    return json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
