"""The stream of a watch: lines of any length, each with one event, read with a time-out."""

import asyncio
from dataclasses import dataclass

import aiohttp
import msgspec

from sutler.kube.errors import KubeError, Status, status_error
from sutler.typedefs import Json


class StreamBroken(KubeError):  # noqa: N818 - named after what happened
    """The stream can't be trusted or has a gap: list again."""


class WatchStalled(KubeError):  # noqa: N818 - the same
    """Nothing arrived for longer than the API server is ever silent: the connection may be dead."""


@dataclass(frozen=True)
class WatchEvent:
    """One event: `type` is ADDED, MODIFIED, DELETED or BOOKMARK; the object of a bookmark has no name."""

    type: str
    object: Json


def key_of(obj: Json) -> str:
    """The object's "namespace/name", or its name when it has no namespace."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def version_of(obj: Json) -> str:
    version: str = obj["metadata"].get("resourceVersion", "")
    return version


async def read(reader: aiohttp.StreamReader, silence: float) -> bytes:
    """The next bytes; empty at the end of the stream.

    Raises:
        WatchStalled: when nothing arrived for `silence` seconds.
    """
    try:
        async with asyncio.timeout(silence):
            return await reader.readany()
    except TimeoutError as error:
        raise WatchStalled(f"nothing arrived for {silence:g} s") from error


class WatchLines:
    """Assembles chunks into whole lines. A line without an end is dropped; the next watch repeats its event."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        first, *others = chunk.split(b"\n")
        self._pieces.append(first)
        if not others:
            return []
        lines = [b"".join(self._pieces), *others[:-1]]
        self._pieces = [others[-1]]
        return lines


def decode(line: bytes) -> WatchEvent:
    """Decode the event of one line.

    Raises:
        StreamBroken: when the line is not an event, or has an error of the API server.
    """
    try:
        event = msgspec.json.decode(line, type=WatchEvent)
        if event.type == "ERROR":
            error = status_error(msgspec.convert(event.object, Status), call="WATCH")
            raise StreamBroken(str(error)) from error
        if event.type != "BOOKMARK":
            key_of(event.object)
        version_of(event.object)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        # The text of the error is not used: it may quote the line.
        raise StreamBroken(f"a line of {len(line)} bytes is not an event") from error
    return event
